"""How a database of an older version becomes one of this version: a numbered chain of steps.

``to_2`` leads from version 1 to version 2, and so on; each is a package, and each module in it one subject's
change, run in the order of their names. What a step says is frozen: it never reads :mod:`core.model`, which
goes on changing.
"""

#: Version of the tables. A program reads the version it was written for and no other.
SCHEMA = 2
#: The rows of the table ``setting`` that say which version a database has, and that it is being changed. Every
#: version of DOSVM reads them: table and keys stay for ever.
SCHEMA_KEY, UPGRADE_KEY = "schema", "upgrade"
