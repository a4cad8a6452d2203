"""Which actions are offered, and which of them make sense for a row now."""

from __future__ import annotations

from screens.spec import Action, ResourceSpec, Row, Target


def actions_of(spec: ResourceSpec, role: str) -> list[Action]:
    """The actions that the console offers to a role."""
    return [action for action in spec.actions if action.console and role in action.roles]


def takes_row(action: Action) -> bool:
    """Whether an action is on a row, or begins with the values of one."""
    return action.target is not Target.NOTHING or bool(action.prefill)


def is_allowed(action: Action, row: Row | None) -> bool:
    """Whether an action makes sense for a row now; a row of a shape it does not know is left to the service."""
    if action.target is Target.NOTHING:
        return True
    if row is None:
        return False
    if action.allowed is None:
        return True
    try:
        return action.allowed(row)
    except (KeyError, TypeError):
        return True
