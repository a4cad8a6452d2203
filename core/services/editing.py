"""How every row is changed: only what differs, only when nobody else changed it meanwhile, and said in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select, update

from core.errors import AlreadyExists, Conflict, fields, overtaken
from core.i18n import N_
from core.model import OperationLog
from core.services.listing import iso
from core.services.operation import Call

#: Under which key the log says which fields of an instance's configuration changed, and never what they are.
CONFIGURATION = "configuration"
#: What the log has in place of a value that nobody is shown, before and after.
HIDDEN = "…"
#: How many of the newest log rows are looked through for who was faster.
_LOG_REACH = 2000


def edit(call: Call, row: Any, version: int | None, values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Change columns of a row by one compare-and-swap on its version.

    Args:
        call: the operation's call; what changed goes into its log detail.
        row: an object of a table with ``id``, ``uuid`` and ``version``.
        version: the version the caller last saw; None: whatever is there now.
        values: column -> new value; None leaves the column alone.

    Returns:
        What truly changed: column -> [before, after].

    Raises:
        Conflict: the row is no longer what the caller saw; names what changed.
    """
    check_version(call, row, version)
    changed = {
        key: [getattr(row, key), value]
        for key, value in values.items()
        if value is not None and getattr(row, key) != value
    }
    touch(call, row, changed)
    return changed


def touch(call: Call, row: Any, changed: Mapping[str, list[Any]]) -> None:
    """Write changed columns and the next version; also used when only the row's relations changed.

    ``changed`` is column -> [before, after]; keys that are no columns of the table go into the log only.

    Raises:
        Conflict: another transaction was faster.
    """
    call.unchanged = not changed
    if not changed:
        return
    table = type(row)
    columns = set(table.__table__.columns.keys())
    values = {key: after for key, (_before, after) in changed.items() if key in columns}
    done = call.session.execute(
        update(table)
        .where(table.id == row.id, table.version == row.version)
        .values(**values, version=row.version + 1)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise overtaken()
    call.session.expire(row, [*values, "version"])
    call.detail.update(object=row.uuid, version=row.version, changes={k: list(v) for k, v in changed.items()})


def check_version(call: Call, row: Any, version: int | None) -> None:
    """Refuse an edit of a row that is no longer what the caller saw.

    Raises:
        Conflict: it is not; names who changed what. Its ``changed`` says of each key who changed it last, and when:
            of a value that nobody is shown, that is all there is to be seen.
    """
    if version is None or version == row.version:
        return
    since = changes_since(call, row.uuid, version)
    who = dict.fromkeys(one.account for one in since)
    what = [(one.operation, key) for one in since for key in one.keys]
    if not what:
        raise Conflict(N_("It was changed meanwhile."), remedy=N_("Look again and repeat it."), field="version")
    raise Conflict(
        N_("{who} changed {what} meanwhile."),
        remedy=N_("Look again and repeat it."),
        field="version",
        who=", ".join(who),
        what=fields(what),
        changed={key: {"who": one.account, "at": one.at} for one in since for key in one.keys},
    )


class Changed(NamedTuple):
    """One change that the log knows of: whose, by which operation, of which keys, and when (ISO 8601, UTC)."""

    account: str
    operation: str
    keys: list[str]
    at: str


def changes_since(call: Call, uuid: str, version: int) -> list[Changed]:
    """Who changed an object after a version of it, oldest first, as far back as the log is read."""
    newest = call.session.scalar(select(func.max(OperationLog.id))) or 0
    rows = call.session.execute(
        select(OperationLog.account, OperationLog.operation, OperationLog.detail, OperationLog.at)
        .where(OperationLog.id > newest - _LOG_REACH, OperationLog.detail.contains(uuid))
        .order_by(OperationLog.id)
    ).all()
    found = []
    for account, name, detail, at in rows:
        data = json.loads(detail)
        if data.get("object") == uuid and data.get("version", 0) > version:
            # What was reverted was an edit as well, by the operation that it says.
            found.append(Changed(account, data.get("edit", name), list(_keys(data.get("changes", {}))), iso(at) or ""))
    return found


def _keys(changes: Mapping[str, Any]) -> Iterator[str]:
    """The keys that changed; of a configuration, whose values are not in the log, those of its fields."""
    for key, (_before, after) in changes.items():
        if key == CONFIGURATION and isinstance(after, list):
            yield from map(str, after)
        else:
            yield key


def unused(call: Call, taken: ColumnElement[bool], name: str, *, field: str = "name") -> None:
    """Refuse a name that is taken.

    Args:
        call: the operation's call.
        taken: the condition that a row has that name, such as ``Pool.name == name``.
        name: the name, for the sentence.
        field: the argument it came from.

    Raises:
        AlreadyExists: it is taken.
    """
    if call.session.scalar(select(func.count()).where(taken)):
        raise AlreadyExists(
            N_("The usage {name} is taken.") if field == "usage" else N_("The name {name} is taken."),
            remedy=N_("Choose another one."),
            field=field,
            name=name,
        )
