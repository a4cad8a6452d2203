"""Edits taken back from the operation log: what the log remembers of before is entered by the same edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select

from core.errors import InUse, NeedsConsent, NotFound, PermissionDenied, Refused, fields
from core.i18n import N_
from core.model import OperationLog
from core.services.dispatch import check_permission
from core.services.editing import changes_since
from core.services.operation import OPERATIONS, SYSTEM_ADMIN, Answer, Call, operation

#: An operation that edits -> the one that puts back; what the log remembers of it are its arguments.
EDITS: Mapping[str, str] = {
    "user.edit": "user.edit",
    # Somebody's own account is not the caller's own: what a person says of themselves the administrator may say too.
    "profile.edit": "user.edit",
    "project.edit": "project.edit",
    "project.configure": "project.configure",
    "project-group.edit": "project-group.edit",
    "host.edit": "host.edit",
    "host-group.edit": "host-group.edit",
    "pool.edit": "pool.edit",
    "volume.edit": "volume.edit",
    "image.edit": "image.edit",
    "instance.edit": "instance.edit",
    "secret.edit": "secret.edit",
    "settings.edit": "settings.edit",
}
#: What an edit writes by itself.
_OWN = frozenset({"state"})


class Edit(NamedTuple):
    """An edit as the log remembers it: by which operation, of which object (UUID), key -> [before, after]."""

    operation: str
    object: str
    version: int
    changes: Mapping[str, list[Any]]


def remembered(operation_name: str, detail: Mapping[str, Any]) -> Edit | None:
    """The edit that a row of the log speaks of; None when it speaks of none."""
    # What was put back was an edit as well, by the operation that it says.
    name = str(detail.get("edit", operation_name))
    changes = {key: both for key, both in (detail.get("changes") or {}).items() if key not in _OWN}
    if name not in EDITS or not changes or "object" not in detail:
        return None
    return Edit(name, str(detail["object"]), int(detail.get("version", 0)), changes)


def _unremembered(edit: Edit) -> list[str]:
    """Keys of which the log does not have the value before: passwords, configurations, what was never set.

    Of a secret value it has the same sign twice.
    """
    known = OPERATIONS[EDITS[edit.operation]].parameters
    return [
        key for key, (before, after) in edit.changes.items() if key not in known or before is None or before == after
    ]


def can_be_reverted(operation_name: str, detail: Mapping[str, Any]) -> bool:
    """Whether a row of the log speaks of an edit, and has all that it changed as it was before."""
    edit = remembered(operation_name, detail)
    return edit is not None and not _unremembered(edit)


def _edit_of(call: Call, reference: str) -> tuple[OperationLog, Edit]:
    row = call.session.scalar(select(OperationLog).where(OperationLog.request == reference))
    if row is None:
        raise NotFound(N_("There is no such row in the operation log."), field="log")
    edit = remembered(row.operation, json.loads(row.detail) if row.detail else {})
    if edit is None:
        raise Refused(
            N_("Only edits can be reverted."), remedy=N_("What was deleted may be in the trash."), field="log"
        )
    lost = _unremembered(edit)
    if lost:
        raise Refused(
            N_("It cannot be reverted: the log does not have what {what} was before."),
            remedy=N_("Edit it by hand."),
            field="log",
            what=fields((edit.operation, key) for key in lost),
        )
    return row, edit


def _checked(call: Call, edit: Edit, target: str) -> None:
    """See that the caller may edit it, and that nobody changed it since.

    Raises:
        PermissionDenied: others may.
        Refused: it was changed since, or is as it was before.
        NotFound: it is no more.
    """
    change = OPERATIONS[EDITS[edit.operation]]
    try:
        check_permission(change, call.actor)
    except PermissionDenied as error:
        raise PermissionDenied(
            N_("Only the administrators of its project may change {name}."),
            remedy=N_("Ask one of them: {account} may not, and may not revert it either."),
            name=target,
            account=call.actor.account,
        ) from error
    noun = change.name.partition(".")[0]
    argument = noun.replace("-", "_")
    now = OPERATIONS[f"{noun}.show"].function(call, **{argument: edit.object})
    different = [key for key, (_before, after) in edit.changes.items() if not _same(now.get(key), after)]
    if not different:
        return
    if all(_same(now.get(key), before) for key, (before, _after) in edit.changes.items()):
        raise Refused(N_("{name} is as it was before already."), field="log", name=target)
    since = changes_since(call, edit.object, edit.version)
    who = dict.fromkeys(one.account for one in since if set(one.keys) & set(different))
    raise Refused(
        N_("{who} changed {what} of {name} since.") if who else N_("{what} of {name} was changed since."),
        remedy=N_("Edit it by hand, or revert what was changed since first."),
        field="log",
        who=", ".join(who),
        what=fields((edit.operation, key) for key in different),
        name=target,
    )


def _same(one: Any, other: Any) -> bool:
    # Sets of names are remembered as lists, and in no order.
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(str, one)) == sorted(map(str, other))
    return bool(one == other)


@operation("log.revertible", roles=SYSTEM_ADMIN)
def revertible(call: Call, *, log: str) -> Answer:
    """What :func:`revert` would do: under ``lines`` a row as the log's ``contents``, what is now and what will be."""
    row, edit = _edit_of(call, log)
    _checked(call, edit, row.target)
    back = {key: [after, before] for key, (before, after) in edit.changes.items()}
    return {
        "operation": edit.operation,
        "name": row.target,
        "lines": [{"operation": edit.operation, "changes": {key: both}, "values": {}} for key, both in back.items()],
    }


@operation("log.revert", roles=SYSTEM_ADMIN, action=N_("Revert"), target="log")
def revert(call: Call, *, log: str) -> Answer:
    """Put back what an edit changed, by the same edit with its rights and rules, while it is as that edit left it."""
    row, edit = _edit_of(call, log)
    _checked(call, edit, row.target)
    change = OPERATIONS[EDITS[edit.operation]]
    argument = change.name.partition(".")[0].replace("-", "_")
    values = {key: before for key, (before, _after) in edit.changes.items()}
    try:
        answer: Answer = change.function(call, **{argument: edit.object}, **values)
    except NeedsConsent as error:
        raise InUse(
            error.message,
            remedy=N_("Change it by an edit, which asks whether that is meant."),
            field="log",
            **{key: value for key, value in error.parameters.items() if key not in ("field", "argument", "question")},
        ) from error
    call.detail.update(edit=change.name, reverted=row.at.isoformat())
    return answer
