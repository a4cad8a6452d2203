"""Tasks as the host sees them that works on them: found, claimed, reported, ended. A task ends once.

Claiming and ending are single-statement compare-and-swaps: whoever comes second changes nothing, and a
claim counts only when its transaction has been committed.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session, aliased

from core.model import Task, TaskState


@dataclass(frozen=True)
class Claimed:
    """A task that this run of hostd works on. ``attempts`` counts the claims, this one included."""

    id: int
    uuid: str
    kind: str
    target: str
    target_name: str
    project_id: int | None
    payload: dict[str, Any]
    attempts: int
    origin: str


def waiting(session: Session, host_id: int, *, busy: Collection[str] = (), limit: int = 10) -> list[int]:
    """The ids of tasks that may begin now: the oldest of each target that nothing works on. One statement."""
    before = aliased(Task)
    earlier = exists().where(
        before.target == Task.target,
        before.id < Task.id,
        before.state.in_((TaskState.QUEUED.value, TaskState.RUNNING.value)),
    )
    statement = select(Task.id).where(Task.host_id == host_id, Task.state == TaskState.QUEUED.value, ~earlier)
    if busy:
        statement = statement.where(Task.target.not_in(list(busy)))
    return list(session.scalars(statement.order_by(Task.id).limit(limit)))


def claim(session: Session, ids: Collection[int], boot: str, now: datetime) -> list[Claimed]:
    """Take tasks for this run of hostd; those that somebody else changed meanwhile are left out."""
    taken = []
    for task_id in ids:
        done = session.execute(
            update(Task)
            .where(Task.id == task_id, Task.state == TaskState.QUEUED.value)
            .values(state=TaskState.RUNNING.value, claim=boot, attempts=Task.attempts + 1, started=now)
            .execution_options(synchronize_session=False)
        )
        if done.rowcount == 1:  # type: ignore[attr-defined]
            taken.append(task_id)
    if not taken:
        return []
    return [_claimed(task) for task in session.scalars(select(Task).where(Task.id.in_(taken)).order_by(Task.id))]


def claimed_by(session: Session, host_id: int, boot: str) -> list[Claimed]:
    """The tasks that this run of hostd holds, for when the answer to a claim was lost."""
    statement = select(Task).where(Task.host_id == host_id, Task.state == TaskState.RUNNING.value, Task.claim == boot)
    return [_claimed(task) for task in session.scalars(statement.order_by(Task.id))]


def _claimed(task: Task) -> Claimed:
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
    values: dict[str, Any] = {
        "state": state.value,
        "finished": now,
        "error": json.dumps(error, ensure_ascii=False, default=str) if error else "",
    }
    if state is TaskState.DONE:
        values["progress"] = 100
    done = session.execute(
        update(Task)
        .where(Task.id == task_id, Task.state == TaskState.RUNNING.value, Task.claim == boot)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def targets_with_tasks(session: Session, targets: Collection[str]) -> set[str]:
    """Which of these objects have a task that has not ended."""
    if not targets:
        return set()
    open_states = (TaskState.QUEUED.value, TaskState.RUNNING.value)
    return set(session.scalars(select(Task.target).where(Task.target.in_(list(targets)), Task.state.in_(open_states))))
