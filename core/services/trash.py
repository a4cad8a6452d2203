"""The trash: what was deleted waits there, hidden from everything, until it is restored or its time is over."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, literal, select, union_all, update

from core.coordination.charges import charge
from core.coordination.parameters import read
from core.errors import AlreadyExists, NotFound, Refused, overtaken
from core.i18n import N_
from core.model import WITH_TRASH, HostGroup, Project, Secret, User
from core.rules import names
from core.rules.names import is_uuid
from core.services import contents
from core.services.editing import unused
from core.services.fields import ruled
from core.services.listing import Falling, Query, answer, iso, listing
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation


@dataclass(frozen=True)
class Bin:
    """One kind of things that go to the trash.

    Attributes:
        table: where it stands.
        column: its unique name.
        rule: the rule of its names.
        freed: another column that is unique, if only together with others; free as well while it is in the trash.
    """

    table: Any
    column: str
    rule: Callable[[str], None]
    freed: str = ""


BINS: Mapping[str, Bin] = {
    "user": Bin(User, "account", names.account),
    "project": Bin(Project, "name", names.name),
    "host-group": Bin(HostGroup, "name", names.name),
    "secret": Bin(Secret, "name", names.identifier, freed="usage"),
}


def discard(call: Call, row: Any, **memory: Any) -> None:
    """Put a row into the trash; its name is free from then on.

    Args:
        call: the operation's call.
        row: of one of the tables of :data:`BINS`.
        memory: what else is needed to take it back; JSON data.
    """
    kind, bin_ = next((kind, bin_) for kind, bin_ in BINS.items() if bin_.table is type(row))
    now = call.clock.now()
    free = {bin_.column: row.uuid}
    if bin_.freed:
        memory[bin_.freed] = getattr(row, bin_.freed)
        free[bin_.freed] = row.uuid
    done = call.session.execute(
        update(bin_.table)
        # Who deletes the same thing at this moment would write over what is remembered of it.
        .where(bin_.table.id == row.id, bin_.table.deleted.is_(None))
        .values(
            {
                "deleted": now,
                "deleted_by": call.actor.account,
                "trash_name": getattr(row, bin_.column),
                "trash_memory": json.dumps(memory) if memory else "",
                **free,
                "version": bin_.table.version + 1,
            }
        )
        .execution_options(synchronize_session=False)
    )
    _changed_one(done)
    if days_kept(call) == 0:
        remove(call, kind, row.id)
    call.changed("trash")


def days_kept(call: Call) -> int:
    """How many days what is deleted can be restored; 0: not at all."""
    return read(call.session).trash_days


def remove(call: Call, kind: str, row_id: int) -> None:
    """Let a row of the trash go for good: at once, or for a project once all that it owns is gone.

    Raises:
        Conflict: it is not in the trash any more: somebody restored it at this moment.
    """
    table = BINS[kind].table
    statement: Any = update(table).values(purging=True) if kind == "project" else delete(table)
    statement = statement.where(table.id == row_id, table.deleted.is_not(None))
    _changed_one(call.session.execute(statement.execution_options(synchronize_session=False)))


def _changed_one(done: Any) -> None:
    """What is read before it is written may be another's by then: the condition of the write decides."""
    if done.rowcount != 1:
        raise overtaken()


def _everything() -> Any:
    parts = []
    for kind, bin_ in BINS.items():
        columns = bin_.table.__table__.c
        parts.append(
            select(
                columns.uuid.label("uuid"),
                literal(kind).label("kind"),
                columns.trash_name.label("name"),
                columns.deleted.label("deleted"),
                columns.deleted_by.label("account"),
                columns.purging.label("purging"),
            ).where(columns.deleted.is_not(None))
        )
    return union_all(*parts).subquery("trash")


def _row(found: Any, days: int) -> dict[str, Any]:
    until: datetime = found.deleted + timedelta(days=days)
    return {
        "uuid": found.uuid,
        "name": found.name,
        "kind": found.kind,
        "state": "deleting" if found.purging else "restorable",
        "deleted": iso(found.deleted),
        "account": found.account,
        "until": iso(until),
    }


@operation("trash.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """All that was deleted and can be restored, the newest first."""
    trash = _everything()
    rows, total = listing(
        call,
        select(trash),
        query,
        columns={
            "deleted": trash.c.deleted,
            "name": trash.c.name,
            "kind": trash.c.kind,
            "account": trash.c.account,
            # As the words sort: what is being deleted before what can be restored.
            "state": Falling(trash.c.purging),
            # All is kept for as many days.
            "until": trash.c.deleted,
        },
        tie=trash.c.uuid,
        search=[trash.c.name],
        filters={"kind": lambda value: trash.c.kind == value},
        default=(trash.c.deleted.desc(), trash.c.uuid),
    )
    days = days_kept(call)
    return answer([_row(found, days) for found in rows], total)


def _find(call: Call, reference: str) -> tuple[str, Any]:
    """Something in the trash, by UUID or by the name it had.

    Returns:
        Its kind and its row.

    Raises:
        NotFound: there is none, or the name fits several.
    """
    found: list[tuple[str, Any]] = []
    for kind, bin_ in BINS.items():
        table = bin_.table
        which: ColumnElement[bool] = (
            table.uuid == reference.lower() if is_uuid(reference) else table.trash_name == reference
        )
        statement = select(table).where(table.deleted.is_not(None), which).limit(2)
        rows = call.session.scalars(statement.execution_options(**{WITH_TRASH: True}))
        found += [(kind, row) for row in rows]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(
            N_("Several things in the trash have the name {name}."),
            remedy=N_("Write the UUID."),
            field="trash",
            name=reference,
        )
    raise NotFound(N_("There is nothing called {name} in the trash."), field="trash", name=reference)


@operation("trash.show", roles=SYSTEM_ADMIN)
def show(call: Call, *, trash: str) -> Answer:
    """One thing in the trash, and under ``lines`` what hangs on it."""
    kind, row = _find(call, trash)
    everything = _everything()
    found = call.session.execute(select(everything).where(everything.c.uuid == row.uuid)).one()
    holds = contents.of_project(call, row.id) if kind == "project" else None
    return {**_row(found, days_kept(call)), "lines": contents.lines(holds) if holds else []}


@operation("trash.restore", roles=SYSTEM_ADMIN, action=N_("Restore"), target="trash")
def restore(call: Call, *, trash: str, name: str = "") -> Answer:
    """Take something back, under its name or under another one."""
    kind, row = _find(call, trash)
    bin_ = BINS[kind]
    if row.purging:
        raise Refused(
            N_("{name} is being deleted for good."), remedy=N_("It cannot be restored any more."), name=row.trash_name
        )
    wanted = name or row.trash_name
    ruled("name", bin_.rule, wanted)
    try:
        column = getattr(bin_.table, bin_.column)
        # As accounts are told apart: see :func:`core.services.users.named_alike`.
        taken = func.lower(column) == wanted.lower() if kind == "user" else column == wanted
        unused(call, taken, wanted)
    except AlreadyExists as error:
        error.remedy = N_("Restore it under another name.")
        raise
    memory = json.loads(row.trash_memory) if row.trash_memory else {}
    back = {bin_.column: wanted}
    if kind == "secret":
        back["usage"] = memory["usage"]
        taken = (Secret.kind == row.kind) & (Secret.usage == memory["usage"])
        try:
            unused(call, taken, memory["usage"], field="usage")
        except AlreadyExists as error:
            error.remedy = N_("Give the secret that has it another usage first, or delete it.")
            raise
    done = call.session.execute(
        update(bin_.table)
        .where(bin_.table.id == row.id, bin_.table.deleted.is_not(None), ~bin_.table.purging)
        .values(
            {
                "deleted": None,
                "deleted_by": "",
                "trash_name": "",
                "trash_memory": "",
                **back,
                "version": bin_.table.version + 1,
            }
        )
        .execution_options(synchronize_session=False)
    )
    _changed_one(done)
    call.note(wanted, object=row.uuid, kind=kind, name=row.trash_name)
    if kind == "project":
        _rejoin(call, row.id, memory.get("admins", []))
    if kind == "user":
        _leave_trashed(call, row)
    call.changed("trash", kind, "project", "user", "vm", "volume", "image", "instance")
    return {"uuid": row.uuid, "name": wanted, "kind": kind}


def _rejoin(call: Call, project_id: int, admins: list[str]) -> None:
    """Let those (UUIDs) manage a restored project again who managed it and have found no other one since."""
    if admins:
        call.session.execute(
            update(User)
            .where(User.uuid.in_(admins), User.project_id.is_(None))
            .values(project_id=project_id)
            .execution_options(synchronize_session=False)
        )


def _leave_trashed(call: Call, user: User) -> None:
    """Let a restored user manage nothing while the project of before is in the trash; the project remembers it."""
    columns = Project.__table__.c
    statement = select(columns.id, columns.trash_memory).where(
        columns.id == user.project_id, columns.deleted.is_not(None)
    )
    found = call.session.execute(statement.with_for_update()).one_or_none()
    if found is None:
        return
    memory = json.loads(found.trash_memory) if found.trash_memory else {}
    memory["admins"] = [*memory.get("admins", []), user.uuid]
    for row_id, table, values in (
        (user.id, User, {"project_id": None}),
        (found.id, Project, {"trash_memory": json.dumps(memory)}),
    ):
        call.session.execute(
            update(table).where(table.id == row_id).values(values).execution_options(synchronize_session=False)
        )


@operation("trash.purge", roles=SYSTEM_ADMIN, action=N_("Delete for good"), target="trash")
def purge(call: Call, *, trash: str) -> Answer:
    """Delete something in the trash for good; a project with the files of its volumes and images, by tasks."""
    from core.services.dismantling import dismantle

    kind, row = _find(call, trash)
    call.note(row.trash_name, object=row.uuid, kind=kind)
    call.changed("trash", kind)
    remove(call, kind, row.id)
    if kind != "project":
        return {"uuid": row.uuid, "name": row.trash_name}
    charge(call.session, Project, row.id)
    return {"uuid": row.uuid, "name": row.trash_name, "tasks": dismantle(call, row.id)}


def between(call: Call, since: datetime, until: datetime) -> list[tuple[str, str, datetime]]:
    """Kind, name and time of deletion of what was deleted after one time and not after another, the newest first."""
    trash = _everything()
    statement = (
        select(trash.c.kind, trash.c.name, trash.c.deleted)
        .where(trash.c.deleted > since, trash.c.deleted <= until, ~trash.c.purging)
        .order_by(trash.c.deleted.desc(), trash.c.name)
    )
    return [(row.kind, row.name, row.deleted) for row in call.session.execute(statement)]


def overdue(call: Call) -> list[tuple[str, datetime]]:
    """UUID, and time of deletion, of what has been in the trash for longer than it is kept."""
    trash = _everything()
    before = call.clock.now() - timedelta(days=days_kept(call))
    statement = select(trash.c.uuid, trash.c.deleted).where(trash.c.deleted <= before, ~trash.c.purging).limit(100)
    return [(row.uuid, row.deleted) for row in call.session.execute(statement)]


def half_gone(call: Call) -> list[int]:
    """The ids of the projects that are being deleted for good."""
    columns = Project.__table__.c
    return list(call.session.scalars(select(columns.id).where(columns.purging, columns.deleted.is_not(None))))


def refuse_trashed(call: Call, field: str, name: str, projects: ColumnElement[bool]) -> None:
    """Refuse to delete what a project in the trash still needs.

    Args:
        call: the operation's call.
        field: the argument that names what was to be deleted.
        name: its name.
        projects: the condition on ``Project.__table__`` under which a project needs it.

    Raises:
        Refused: one does; names it.
    """
    columns = Project.__table__.c
    holder = call.session.scalar(select(columns.trash_name).where(columns.deleted.is_not(None), projects).limit(1))
    if holder is not None:
        raise Refused(
            N_("{name} is still needed by project {project}, which is in the trash."),
            remedy=N_("Restore the project, or delete it for good."),
            field=field,
            name=name,
            project=holder,
        )
