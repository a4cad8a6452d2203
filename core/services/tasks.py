"""Tasks as people see them: what hosts were asked to do, how far they are, how they ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, select

from core.coordination import tasks
from core.coordination.tasks import OPEN
from core.errors import NotFound, Refused
from core.i18n import N_
from core.model import Host, Project, Task
from core.services.listing import Query, answer, called, iso, listing
from core.services.operation import EVERYBODY, Answer, Call, operation
from core.services.paging import Either, Named


def _visible(call: Call) -> list[ColumnElement[bool]]:
    return [] if call.actor.is_sysadm else [Task.project_id == call.actor.project_id]


def _statement(call: Call) -> Any:
    return (
        select(Task, Host.name.label("host"), Project.name.label("project"))
        .outerjoin(Host, Host.id == Task.host_id)
        .outerjoin(Project, Project.id == Task.project_id)
        .where(*_visible(call))
    )


def _row(found: Row[Any]) -> dict[str, Any]:
    task: Task = found.Task
    return {
        "uuid": task.uuid,
        "name": task.target_name,
        "kind": task.kind,
        "target": task.target,
        "target_name": task.target_name,
        "project": found.project or "",
        "host": found.host or "",
        "state": task.state,
        "progress": task.progress,
        "error": json.loads(task.error) if task.error else "",
        "outcome": json.loads(task.outcome) if task.outcome else "",
        "account": task.account,
        "attempts": task.attempts,
        "created": iso(task.created),
        "started": iso(task.started),
        "finished": iso(task.finished),
    }


@operation("task.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All tasks; for a project admin those of the project. ``target`` filters by the object's UUID or name."""
    rows, total = listing(
        call,
        select(Task.id).where(*_visible(call)),
        query,
        columns={
            "created": Task.created,
            "state": Task.state,
            "kind": Task.kind,
            "target_name": Task.target_name,
            "host": Named(Task.host_id, Host.name),
            "progress": Task.progress,
            "account": Task.account,
            "started": Task.started,
            "finished": Task.finished,
        },
        tie=(Task.created, Task.id),
        search=[Task.target_name, Task.account],
        filters={
            "state": lambda value: Task.state == value,
            "target": lambda value: Either((Task.target == value, Task.target_name == value)),
            "kind": lambda value: Task.kind == value,
            "host": lambda value: Task.host_id.in_(called(Host, value)),
        },
        rows=_statement(call),
    )
    return answer([_row(found) for found in rows], total)


@operation("task.show", roles=EVERYBODY)
def show(call: Call, *, task: str) -> Answer:
    """One task, by its UUID; its ``error`` is an error's wire form, ``outcome`` what it found; or empty."""
    found = call.session.execute(_statement(call).where(Task.uuid == task.lower())).one_or_none()
    if found is None:
        raise NotFound(N_("There is no task {task}."), field="task", task=task)
    return _row(found)


def shown(call: Call, tasks: Sequence[str]) -> list[Answer]:
    """As ``task.show``, but of many tasks by one statement, in the order asked for; those not found are left out."""
    rows = call.session.execute(_statement(call).where(Task.uuid.in_([task.lower() for task in tasks])))
    found = {row.Task.uuid: _row(row) for row in rows}
    return [found[task.lower()] for task in tasks if task.lower() in found]


#: Kinds that change nothing but by being done: one that was not begun can be as if it had never been asked for.
_CANCELLED_BY_WORD = frozenset({"machine.reboot", "machine.reset", "machine.suspend", "machine.resume"})
#: Kinds that their host breaks off, and undoes what it has begun.
_BROKEN_OFF = frozenset({"volume.merge"})
#: For the others the database says already what shall be; only another operation says otherwise.
_INSTEAD = {
    "machine.start": N_("Power the VM off instead."),
    "machine.stop": N_("Power the VM on again instead."),
    "machine.receive": N_("Bring the host back from maintenance instead."),
    "machine.migrate": N_("Bring the host back from maintenance instead."),
    "volume.create": N_("Delete the volume instead."),
    "image.check": N_("Delete the image instead."),
    "image.receive": N_("Delete the image instead."),
    "image.install": N_("Delete the image instead."),
    "pool.activate": N_("Delete the storage pool instead."),
}


@operation("task.cancel", roles=EVERYBODY, action=N_("Cancel"), target="task")
def cancel(call: Call, *, task: str) -> Answer:
    """Take back what no host has begun yet, or have a host break off what takes long."""
    found = call.session.execute(_statement(call).where(Task.uuid == task.lower())).one_or_none()
    if found is None:
        raise NotFound(N_("There is no task {task}."), field="task", task=task)
    wanted: Task = found.Task
    if wanted.state not in OPEN:
        raise Refused(
            N_("The task has ended: it is {state}."),
            remedy=N_("There is nothing left to take back."),
            field="task",
            state=wanted.state,
        )
    if wanted.kind in _BROKEN_OFF:
        if not tasks.break_off(call.session, wanted.id):
            raise Refused(N_("It has ended."), field="task")
        call.ring(wanted.host_id)
        return _noted(call, wanted)
    if wanted.kind not in _CANCELLED_BY_WORD:
        remedy = _INSTEAD.get(wanted.kind, N_("It ends by itself."))
        raise Refused(N_("A task of this kind cannot be taken back."), remedy=remedy, field="task")
    if not tasks.cancel(call.session, wanted.id, call.clock.now()):
        raise Refused(N_("A host has begun it already, or it has ended."), field="task")
    # What waited behind it may begin.
    call.ring(wanted.host_id)
    return _noted(call, wanted)


def _noted(call: Call, task: Task) -> Answer:
    call.note(task.target_name, object=task.uuid, kind=task.kind)
    call.changed("task")
    call.session.expire(task)
    return show(call, task=task.uuid)
