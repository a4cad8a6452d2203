"""Pure decisions: placement and the like."""
