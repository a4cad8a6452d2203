"""Tasks as people see them: what hosts were asked to do, how far they are, how they ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, select

from core.errors import NotFound
from core.i18n import N_
from core.model import Host, Project, Task
from core.services.listing import Either, Query, answer, iso, listing
from core.services.operation import EVERYBODY, Answer, Call, operation


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
        "account": task.account,
        "attempts": task.attempts,
        "created": iso(task.created),
        "started": iso(task.started),
        "finished": iso(task.finished),
    }


@operation("task.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All tasks; for a project admin those of the project. ``target`` filters by the object's UUID or name."""
    host = select(Host.name).where(Host.id == Task.host_id).correlate(Task).scalar_subquery()
    rows, total = listing(
        call,
        select(Task.id).where(*_visible(call)),
        query,
        columns={
            "created": Task.created,
            "state": Task.state,
            "kind": Task.kind,
            "target_name": Task.target_name,
            "host": host,
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
            "host": lambda value: Task.host_id.in_(select(Host.id).where((Host.name == value) | (Host.uuid == value))),
        },
        rows=_statement(call),
    )
    return answer([_row(found) for found in rows], total)


@operation("task.show", roles=EVERYBODY)
def show(call: Call, *, task: str) -> Answer:
    """One task, by its UUID; its ``error`` is an error's wire form, or empty."""
    found = call.session.execute(_statement(call).where(Task.uuid == task.lower())).one_or_none()
    if found is None:
        raise NotFound(N_("There is no task {task}."), field="task", task=task)
    return _row(found)


def shown(call: Call, tasks: Sequence[str]) -> list[Answer]:
    """As ``task.show``, but of many tasks by one statement, in the order asked for; those not found are left out."""
    rows = call.session.execute(_statement(call).where(Task.uuid.in_([task.lower() for task in tasks])))
    found = {row.Task.uuid: _row(row) for row in rows}
    return [found[task.lower()] for task in tasks if task.lower() in found]
