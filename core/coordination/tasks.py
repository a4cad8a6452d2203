"""Tasks: entered by operations; found, claimed, reported and ended by the host that works on them. A task ends once.

Claiming and ending are single-statement compare-and-swaps: whoever comes second changes nothing, and a
claim counts only when its transaction has been committed.

What every task passes through are statements made once, on the table rather than on the class: putting one together
costs SQLAlchemy several times what the database needs to execute it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, Update, bindparam, delete, exists, insert, select, update
from sqlalchemy.orm import Session

from core.model import Task, TaskState, new_uuid, utc_now

_TABLE: Any = Task.__table__
_INSERT = insert(_TABLE)


@dataclass(frozen=True)
class Claimed:
    """A task that this run of hostd works on, or may. ``attempts`` counts the claims so far."""

    id: int
    uuid: str
    kind: str
    target: str
    target_name: str
    project_id: int | None
    payload: dict[str, Any]
    attempts: int
    origin: str


def enqueue(
    session: Session,
    *,
    kind: str,
    target: str,
    target_name: str,
    project_id: int | None,
    host_id: int,
    account: str,
    payload: dict[str, Any],
    origin: str,
    now: datetime | None = None,
) -> str:
    """Enter a task, by one statement, in the transaction of the operation that asks for it.

    Args:
        session: that transaction.
        kind: what to do, such as ``machine.start``.
        target: UUID of the object.
        target_name: its name as people know it.
        project_id: whose admins see the task; None: the system administrator only.
        host_id: who does it.
        account: who asked.
        payload: what the host must know beyond the object; JSON data.
        origin: UUID of the host that took the request.
        now: the time.

    Returns:
        The task's UUID.
    """
    uuid = new_uuid()
    row = {
        "uuid": uuid,
        "kind": kind,
        "target": target,
        "target_name": target_name,
        "project_id": project_id,
        "host_id": host_id,
        "account": account,
        "payload": json.dumps(payload, ensure_ascii=False) if payload else "",
        "state": TaskState.QUEUED.value,
        "origin": origin,
        "created": now or utc_now(),
    }
    session.execute(_INSERT, row)
    return uuid


def prune(session: Session, host_id: int, before: datetime, *, limit: int = 1000) -> int:
    """Forget up to ``limit`` tasks of a host that ended before a time, the oldest first; how many they were."""
    ended = [s.value for s in (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)]
    old = select(Task.id).where(Task.host_id == host_id, Task.state.in_(ended), Task.finished < before)
    # MariaDB deletes by a list of ids without holding the gaps between other hosts' tasks.
    ids = list(session.scalars(old.order_by(Task.id).limit(limit)))
    if ids:
        session.execute(delete(Task).where(Task.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def waiting(session: Session, host_id: int, *, busy: Collection[str] = (), limit: int = 10) -> list[Claimed]:
    """The tasks that may begin now: the oldest of each target that nothing works on. One statement."""
    known = {"own_host": host_id, "busy": list(busy), "most": limit}
    return [_claimed(row) for row in session.execute(_may_begin(_TABLE), known)]


@cache
def _may_begin(what: Any) -> Select[Any]:
    """What there is of the first ``most`` tasks that may begin on ``own_host``, but for the targets ``busy``."""
    task, before = _TABLE.c, _TABLE.alias().c
    earlier = exists().where(
        before.target == task.target,
        before.id < task.id,
        before.state.in_((TaskState.QUEUED.value, TaskState.RUNNING.value)),
    )
    return (
        select(what)
        .where(
            task.host_id == bindparam("own_host"),
            task.state == TaskState.QUEUED.value,
            ~earlier,
            task.target.not_in(bindparam("busy", expanding=True)),
        )
        .order_by(task.id)
        .limit(bindparam("most"))
    )


@cache
def _take() -> Update:
    task = _TABLE.c
    return (
        update(_TABLE)
        .where(task.id.in_(_may_begin(task.id)))
        .values(
            state=TaskState.RUNNING.value,
            claim=bindparam("own_boot"),
            attempts=task.attempts + 1,
            started=bindparam("taken_at"),
        )
        .returning(*task)
    )


def claim(session: Session, tasks: Collection[Claimed], boot: str, now: datetime) -> list[Claimed]:
    """Take waiting tasks for this run of hostd, one statement each; those that somebody else changed are left out."""
    taken = []
    for task in tasks:
        done = session.execute(
            update(Task)
            .where(Task.id == task.id, Task.state == TaskState.QUEUED.value)
            .values(state=TaskState.RUNNING.value, claim=boot, attempts=Task.attempts + 1, started=now)
            .execution_options(synchronize_session=False)
        )
        if done.rowcount == 1:  # type: ignore[attr-defined]
            taken.append(replace(task, attempts=task.attempts + 1))
    return taken


def take(
    session: Session, host_id: int, boot: str, now: datetime, *, busy: Collection[str] = (), limit: int = 10
) -> list[Claimed]:
    """Claim what may begin now (see :func:`waiting`) for this run of hostd.

    One statement on SQLite; on MariaDB, whose UPDATE returns nothing, one to look and one per task.
    """
    if session.get_bind().dialect.name != "sqlite":
        return claim(session, waiting(session, host_id, busy=busy, limit=limit), boot, now)
    known = {"own_host": host_id, "busy": list(busy), "most": limit, "own_boot": boot, "taken_at": now}
    return sorted((_claimed(row) for row in session.execute(_take(), known)), key=lambda task: task.id)


def claimed_by(session: Session, host_id: int, boot: str) -> list[Claimed]:
    """The tasks that this run of hostd holds, for when the answer to a claim was lost."""
    statement = select(Task).where(Task.host_id == host_id, Task.state == TaskState.RUNNING.value, Task.claim == boot)
    return [_claimed(task) for task in session.scalars(statement.order_by(Task.id))]


def _claimed(task: Any) -> Claimed:
    return Claimed(
        id=task.id,
        uuid=task.uuid,
        kind=task.kind,
        target=task.target,
        target_name=task.target_name,
        project_id=task.project_id,
        payload=json.loads(task.payload) if task.payload else {},
        attempts=task.attempts,
        origin=task.origin,
    )


def take_up_again(session: Session, host_id: int, boot: str) -> int:
    """Queue the tasks of this host that an earlier run of hostd left in the middle; how many they were."""
    done = session.execute(
        update(Task)
        .where(Task.host_id == host_id, Task.state == TaskState.RUNNING.value, Task.claim != boot)
        .values(state=TaskState.QUEUED.value, claim="")
        .execution_options(synchronize_session=False)
    )
    return int(done.rowcount)  # type: ignore[attr-defined]


def progress(session: Session, task_id: int, boot: str, percent: int) -> None:
    """Say how far a task is."""
    session.execute(
        update(Task)
        .where(Task.id == task_id, Task.state == TaskState.RUNNING.value, Task.claim == boot)
        .values(progress=percent)
        .execution_options(synchronize_session=False)
    )


def finish(
    session: Session, task_id: int, boot: str, state: TaskState, now: datetime, *, error: dict[str, Any] | None = None
) -> bool:
    """End a task, once.

    Args:
        session: the transaction that also holds what the task changed.
        task_id: the task.
        boot: the run of hostd that claimed it.
        state: done, failed or cancelled.
        now: the time.
        error: the wire form of what went wrong.

    Returns:
        Whether it was this caller's to end; if not, the transaction must be given up.
    """
    known = {
        "own_task": task_id,
        "own_boot": boot,
        "end": state.value,
        "ended_at": now,
        "why": json.dumps(error, ensure_ascii=False, default=str) if error else "",
    }
    done = session.execute(_finish(well=state is TaskState.DONE), known)
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


@cache
def _finish(*, well: bool) -> Update:
    task = _TABLE.c
    statement = (
        update(_TABLE)
        .where(
            task.id == bindparam("own_task"),
            task.state == TaskState.RUNNING.value,
            task.claim == bindparam("own_boot"),
        )
        .values(state=bindparam("end"), finished=bindparam("ended_at"), error=bindparam("why"))
    )
    return statement.values(progress=100) if well else statement


def cancel(session: Session, task_id: int, now: datetime) -> bool:
    """End a task that no host has taken yet; whether there still was one to end."""
    done = session.execute(
        update(Task)
        .where(Task.id == task_id, Task.state == TaskState.QUEUED.value)
        .values(state=TaskState.CANCELLED.value, finished=now)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def force_waits(session: Session, target: str) -> bool:
    """Whether a forced stop of a VM waits for its turn: who stops it gently now need not wait any longer."""
    statement = select(Task.payload).where(
        Task.target == target, Task.state == TaskState.QUEUED.value, Task.kind == "machine.stop"
    )
    return any(json.loads(payload or "{}").get("force") for payload in session.scalars(statement))


def targets_with_tasks(session: Session, targets: Collection[str], *, kind: str = "") -> set[str]:
    """Which of these objects have a task, of a certain kind when one is named, that has not ended."""
    if not targets:
        return set()
    open_states = (TaskState.QUEUED.value, TaskState.RUNNING.value)
    found = select(Task.target).where(Task.target.in_(list(targets)), Task.state.in_(open_states))
    return set(session.scalars(found.where(Task.kind == kind) if kind else found))
