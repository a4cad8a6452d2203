"""Which actions are offered, and which of them make sense for a row now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.i18n import _, sentences
from screens.spec import Action, ResourceSpec, Row, Target, Unfit


def actions_of(spec: ResourceSpec, role: str) -> list[Action]:
    """The actions that the console offers to a role."""
    return [action for action in spec.actions if action.console and role in action.roles]


def takes_row(action: Action) -> bool:
    """Whether an action is on a row, or begins with the values of one."""
    return action.target is not Target.NOTHING or bool(action.prefill)


def nothing(spec: ResourceSpec, role: str, fixed: Mapping[str, object]) -> str:
    """What stands in an empty list, and how the first row is made, if the reader may make one that stands there.

    Args:
        spec: the resource.
        role: who reads.
        fixed: the filters by which it is seen from a row of another resource: of those what is made must be given the
            row, as the form to add a VM is given its instance.
    """
    made = [action for action in actions_of(spec, role) if action.target is Target.NOTHING and action.key]
    # Two ways to make one, as to upload an image and to register one, are offered to the same people.
    stands = any(fixed.keys() <= {field.key for field in action.fields} for action in made)
    return sentences(_(spec.empty), _(spec.first) if stands else "")


def why_unfit(action: Action, row: Row) -> str:
    """The msgid of why an action makes no sense for a row now; empty when it does.

    What a row of a shape that a check does not know comes to is left to the service.
    """
    if action.target is Target.NOTHING:
        return ""
    return first_said(action.unfit, row)


def first_said(said: Sequence[Unfit], row: Row) -> str:
    """The msgid of the first of some remarks that holds for a row; empty when none does."""
    return next((unfit.why for unfit in said if _holds(unfit, row)), "")


def _holds(unfit: Unfit, row: Row) -> bool:
    try:
        return unfit.when(row)
    except (KeyError, TypeError):
        return False


def why_not(action: Action, rows: Sequence[Row]) -> str:
    """The msgid of why an action makes no sense for any of some rows; empty when it does for one."""
    first = ""
    for row in rows:
        why = why_unfit(action, row)
        if not why:
            return ""
        first = first or why
    return first


def is_allowed(action: Action, row: Row | None) -> bool:
    """Whether an action makes sense for a row now."""
    if row is None:
        return action.target is Target.NOTHING
    return not why_unfit(action, row)
