"""Tasks: entered by operations; found, claimed, reported and ended by the host that works on them. A task ends once.

Claiming and ending are single-statement compare-and-swaps: whoever comes second changes nothing, and a
claim counts only when its transaction has been committed.

What every task passes through are statements made once, on the table rather than on the class: putting one together
costs SQLAlchemy several times what the database needs to execute it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Insert, Select, Update, bindparam, delete, exists, insert, literal, select, update
from sqlalchemy.orm import Session

from core.model import Host, Image, Task, TaskState, Volume, new_uuid, utc_now

_TABLE: Any = Task.__table__
#: States of a task that has not ended.
OPEN = (TaskState.QUEUED.value, TaskState.RUNNING.value)
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


class Order(NamedTuple):
    """What a host is to do.

    Attributes:
        kind: what, such as ``machine.start``.
        target: UUID of the object.
        target_name: its name as people know it.
        project_id: whose admins see the task; None: the system administrator only.
        host_id: who does it.
        payload: what the host must know beyond the object; JSON data.
    """

    kind: str
    target: str
    target_name: str
    project_id: int | None
    host_id: int
    payload: dict[str, Any]


def enqueue(
    session: Session, orders: Sequence[Order], *, account: str, origin: str, now: datetime | None = None
) -> list[Claimed]:
    """Enter tasks, by one statement, in the transaction of the operation that asks for them.

    Args:
        session: that transaction.
        orders: what is to be done, by whom.
        account: who asked.
        origin: UUID of the host that took the request.
        now: the time.

    Returns:
        The tasks as their hosts will find them. The ``id`` is known of a single one only, and 0 otherwise.
    """
    entered = [_entered(order, origin) for order in orders]
    rows = [_row(task, order.host_id, account, now or utc_now()) for task, order in zip(entered, orders, strict=True)]
    if len(rows) == 1:
        done = session.execute(_INSERT, rows[0])
        return [replace(entered[0], id=int(done.inserted_primary_key[0]))]  # type: ignore[attr-defined]
    if rows:
        session.execute(_INSERT, rows)
    return entered


def enter_begun(
    session: Session, order: Order, boot: str, *, account: str, origin: str, now: datetime
) -> Claimed | None:
    """Enter a task as one that a run of hostd on its host works on already: it need not look for it, nor take it.

    Returns:
        The task; None, and nothing is entered, when an earlier one for the same target has not ended.
    """
    task = replace(_entered(order, origin), attempts=1)
    known = _row(task, order.host_id, account, now) | {"own_boot": boot}
    done = session.execute(_enter_begun(), {f"new_{key}": value for key, value in known.items()})
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return None
    return replace(task, id=int(done.lastrowid))  # type: ignore[attr-defined]


@cache
def _enter_begun() -> Insert:
    task, before, host = _TABLE.c, _TABLE.alias().c, Host.__table__.c
    new: dict[str, Any] = {key: bindparam(f"new_{key}", type_=task[key].type) for key in _ROW}
    new |= {
        "state": literal(TaskState.RUNNING.value),
        "claim": bindparam("new_own_boot", type_=task.claim.type),
        "attempts": literal(1),
        "started": bindparam("new_created", type_=task.started.type),
        "progress": literal(0),
        "error": literal(""),
    }
    earlier = exists().where(before.target == bindparam("new_target"), before.state.in_(OPEN))
    row = select(*(value.label(key) for key, value in new.items()))
    row = row.where(host.id == bindparam("new_host_id"), ~earlier)
    return insert(_TABLE).from_select(list(new), row)


def _entered(order: Order, origin: str) -> Claimed:
    return Claimed(
        0, new_uuid(), order.kind, order.target, order.target_name, order.project_id, order.payload, 0, origin
    )


#: What a new task has of its own.
_ROW = (
    "uuid",
    "kind",
    "target",
    "target_name",
    "project_id",
    "host_id",
    "account",
    "payload",
    "state",
    "origin",
    "created",
)


def _row(task: Claimed, host_id: int, account: str, created: datetime) -> dict[str, Any]:
    return {
        "uuid": task.uuid,
        "kind": task.kind,
        "target": task.target,
        "target_name": task.target_name,
        "project_id": task.project_id,
        "host_id": host_id,
        "account": account,
        "payload": json.dumps(task.payload, ensure_ascii=False) if task.payload else "",
        "state": TaskState.QUEUED.value,
        "origin": task.origin,
        "created": created,
    }


def follow(session: Session, task: Claimed, kind: str, host_id: int, payload: dict[str, Any]) -> str:
    """Enter the task that goes on where another ends, on the same object, for the same people; its UUID."""
    account = session.scalar(select(Task.account).where(Task.id == task.id)) or ""
    following = Order(kind, task.target, task.target_name, task.project_id, host_id, payload)
    return enqueue(session, [following], account=account, origin=task.origin)[0].uuid


def prune(session: Session, host_id: int, before: datetime, *, limit: int = 1000) -> int:
    """Forget up to ``limit`` tasks of a host that ended before a time, the oldest first; how many they were.

    A deletion stays while what it could not delete is there: it knows whose the file is.
    """
    old = select(Task.id).where(Task.host_id == host_id, *prunable(before))
    # MariaDB deletes by a list of ids without holding the gaps between other hosts' tasks.
    ids = list(session.scalars(old.order_by(Task.id).limit(limit)))
    if ids:
        session.execute(delete(Task).where(Task.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def prunable(before: datetime) -> list[ColumnElement[bool]]:
    """The condition of tasks that ended before a time and may be forgotten."""
    ended = [s.value for s in (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)]
    conditions: list[ColumnElement[bool]] = [Task.state.in_(ended), Task.finished < before]
    for kind, model in (("volume.delete", Volume), ("image.delete", Image)):
        there = exists().where(model.uuid == Task.target).correlate(Task)
        conditions.append(~((Task.kind == kind) & there))
    return conditions


def waiting(
    session: Session, host_id: int, *, busy: Collection[str] = (), without: Collection[str] = (), limit: int = 10
) -> list[Claimed]:
    """The tasks that may begin now: the oldest of each target that nothing works on, but for kinds; one statement."""
    known = {"own_host": host_id, "busy": list(busy), "without": list(without), "most": limit}
    return [_claimed(row) for row in session.connection().execute(_may_begin(_TABLE), known)]


@cache
def _may_begin(what: Any) -> Select[Any]:
    """What there is of the first ``most`` tasks that may begin on ``own_host``, but for ``busy`` and ``without``."""
    task = _TABLE.c
    return (
        select(what)
        .where(
            task.host_id == bindparam("own_host"),
            task.state == TaskState.QUEUED.value,
            ~_has_earlier(),
            task.target.not_in(bindparam("busy", expanding=True)),
            task.kind.not_in(bindparam("without", expanding=True)),
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
    """Take known tasks for this run of hostd, by one statement.

    Left out are those that somebody else changed, and those for whose target an earlier one has not ended.
    """
    if not tasks:
        return []
    known = {"wanted": [task.id for task in tasks], "own_boot": boot, "taken_at": now}
    done = session.execute(_claim(), known)
    taken = {task.id for task in tasks}
    if done.rowcount != len(taken):  # type: ignore[attr-defined]
        mine = select(Task.id).where(Task.id.in_(taken), Task.state == TaskState.RUNNING.value, Task.claim == boot)
        taken = set(session.scalars(mine)) if done.rowcount else set()  # type: ignore[attr-defined]
    return [replace(task, attempts=task.attempts + 1) for task in tasks if task.id in taken]


@cache
def _claim() -> Update:
    task = _TABLE.c
    return (
        update(_TABLE)
        .where(
            task.id.in_(bindparam("wanted", expanding=True)),
            task.state == TaskState.QUEUED.value,
            ~_has_earlier(),
        )
        .values(
            state=TaskState.RUNNING.value,
            claim=bindparam("own_boot"),
            attempts=task.attempts + 1,
            started=bindparam("taken_at"),
        )
    )


def _has_earlier() -> ColumnElement[bool]:
    """Whether an earlier task for the same target has not ended."""
    task, before = _TABLE.c, _TABLE.alias().c
    earlier = exists().where(before.target == task.target, before.id < task.id, before.state.in_(OPEN))
    return earlier.correlate(_TABLE)


def take(
    session: Session,
    host_id: int,
    boot: str,
    now: datetime,
    *,
    busy: Collection[str] = (),
    without: Collection[str] = (),
    limit: int = 10,
) -> list[Claimed]:
    """Claim what may begin now (see :func:`waiting`) for this run of hostd.

    One statement on SQLite; on MariaDB, whose UPDATE returns nothing, one to look and one to take.
    """
    if session.get_bind().dialect.name != "sqlite":
        return claim(session, waiting(session, host_id, busy=busy, without=without, limit=limit), boot, now)
    known = {"own_host": host_id, "busy": list(busy), "without": list(without), "most": limit}
    known |= {"own_boot": boot, "taken_at": now}
    taken = session.connection().execute(_take(), known)
    return sorted((_claimed(row) for row in taken), key=lambda task: task.id)


def claimed_by(session: Session, host_id: int, boot: str) -> list[Claimed]:
    """The tasks that this run of hostd holds, for when the answer to a claim was lost."""
    statement = select(Task).where(Task.host_id == host_id, Task.state == TaskState.RUNNING.value, Task.claim == boot)
    return [_claimed(task) for task in session.scalars(statement.order_by(Task.id))]


def is_held(session: Session, task_id: int, boot: str) -> bool:
    """Whether this run of hostd still holds a task."""
    mine = select(Task.id).where(Task.id == task_id, Task.state == TaskState.RUNNING.value, Task.claim == boot)
    return session.scalar(mine) is not None


def hand_over(session: Session, task_id: int, old: int, new: int) -> bool:
    """Give a task that has not ended to another host, from its start; whether it still was the old one's."""
    done = session.execute(
        update(Task)
        .where(Task.id == task_id, Task.host_id == old, Task.state.in_(OPEN))
        .values(host_id=new, state=TaskState.QUEUED.value, claim="")
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


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


def tell(session: Session, task_id: int, message: str, **parameters: Any) -> None:
    """Say what a task found: a sentence as :mod:`core.errors` has them, shown in the language of whoever reads it."""
    session.execute(
        update(Task)
        .where(Task.id == task_id)
        .values(outcome=json.dumps({"message": message, "parameters": parameters}, ensure_ascii=False))
        .execution_options(synchronize_session=False)
    )


def break_off(session: Session, task_id: int) -> bool:
    """Ask whoever works on a task, or will, to end it; whether it had not ended yet."""
    done = session.execute(
        update(Task)
        .where(Task.id == task_id, Task.state.in_(OPEN))
        .values(cancelled=True)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def is_cancelled(session: Session, task_id: int) -> bool:
    """Whether somebody asked for a task to end."""
    return bool(session.scalar(select(Task.cancelled).where(Task.id == task_id)))


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
    known = {"own_task": task_id, "own_boot": boot, "ended_at": now}
    if state is not TaskState.DONE:
        why = json.dumps(error, ensure_ascii=False, default=str) if error else ""
        known |= {"end": state.value, "why": why}
    done = session.execute(_finish(well=state is TaskState.DONE), known)
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


@cache
def _finish(*, well: bool) -> Update:
    task = _TABLE.c
    badly: dict[Any, Any] = {
        task.state: bindparam("end"),
        task.error: bindparam("why"),
        task.finished: bindparam("ended_at"),
    }
    return update(_TABLE).where(*is_own()).values(good_end() if well else badly)


def is_own() -> tuple[ColumnElement[bool], ...]:
    """For statements: the task ``own_task`` is one that the run of hostd ``own_boot`` works on."""
    task = _TABLE.c
    return (
        task.id == bindparam("own_task"),
        task.state == TaskState.RUNNING.value,
        task.claim == bindparam("own_boot"),
    )


def good_end() -> dict[Any, Any]:
    """For statements: what becomes of a task that ends well, at ``ended_at``."""
    task = _TABLE.c
    return {task.state: TaskState.DONE.value, task.progress: 100, task.error: "", task.finished: bindparam("ended_at")}


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
    found = select(Task.target).where(Task.target.in_(list(targets)), Task.state.in_(OPEN))
    return set(session.scalars(found.where(Task.kind == kind) if kind else found))


def worked_on(target: Any, *kinds: str) -> ColumnElement[bool]:
    """For statements: whether an object (``target`` is its table) has a task, of certain kinds if told, not ended."""
    task = exists().where(Task.target == target.uuid, Task.state.in_(OPEN))
    return (task.where(Task.kind.in_(kinds)) if kinds else task).correlate(target)
