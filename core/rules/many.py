"""How much one call may be about."""

#: So many objects are acted on by one call at most: it is one transaction, for which SQLite's other writers wait.
AT_ONCE = 100
