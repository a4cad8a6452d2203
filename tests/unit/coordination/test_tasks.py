"""A task is taken by one, in its turn, and ends once, whatever happens at the same moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.coordination import tasks
from core.coordination.tasks import Claimed
from core.errors import Refused
from core.model import Task, TaskState
from tests.unit.coordination.conftest import Ground

NOW = datetime(2026, 1, 31, 12, 0)  # noqa: DTZ001  (naive UTC, as the database keeps it)


def order(ground: Ground, target: str = "vm-1", *, kind: str = "machine.start", host: int = 0, **payload: Any) -> str:
    """Enter a task; returns its UUID."""
    return ground.write(
        tasks.enqueue,
        [tasks.Order(kind, target, target, None, host or ground.host, payload)],
        account="zhao",
        origin="somewhere",
        now=NOW,
    )[0].uuid


def waiting(ground: Ground, **named: Any) -> list[Claimed]:
    """The tasks of the first host that may begin."""
    return ground.read(tasks.waiting, ground.host, **named)


def claim(ground: Ground, boot: str = "boot-1") -> list[Claimed]:
    """Take whatever may begin."""
    return ground.write(tasks.claim, waiting(ground), boot, NOW)


def row(ground: Ground, uuid: str) -> Task:
    """A task as it stands."""
    return ground.database.read(lambda session: session.scalars(select(Task).where(Task.uuid == uuid)).one())


def test_a_task_goes_its_way(ground: Ground) -> None:
    uuid = order(ground, epoch=3, name="'; DROP TABLE task; -- 字")
    (task,) = claim(ground)
    assert (task.uuid, task.kind, task.target, task.attempts) == (uuid, "machine.start", "vm-1", 1)
    assert task.payload == {"epoch": 3, "name": "'; DROP TABLE task; -- 字"}
    ground.write(tasks.progress, task.id, "boot-1", 40)
    assert row(ground, uuid).progress == 40
    assert ground.write(tasks.finish, task.id, "boot-1", TaskState.DONE, NOW)
    ended = row(ground, uuid)
    assert (ended.state, ended.progress, ended.finished, ended.error) == ("done", 100, NOW, "")


def test_of_one_target_the_oldest_of_several_targets_all(ground: Ground) -> None:
    first, second = order(ground, "vm-1"), order(ground, "vm-1", kind="machine.stop")
    third = order(ground, "vm-2")
    order(ground, "vm-3", host=ground.other_host)
    assert [task.uuid for task in waiting(ground)] == [first, third]
    assert [task.uuid for task in waiting(ground, busy=["vm-2"])] == [first]
    assert [task.uuid for task in waiting(ground, limit=1)] == [first]
    taken = claim(ground)
    assert waiting(ground) == []
    ground.write(tasks.finish, taken[0].id, "boot-1", TaskState.FAILED, NOW)
    assert [task.uuid for task in waiting(ground)] == [second]


def test_a_target_that_another_host_works_on_waits(ground: Ground) -> None:
    order(ground, "vm-1", kind="machine.stop", host=ground.other_host)
    order(ground, "vm-1")
    assert waiting(ground) == []


def test_of_many_who_take_it_one_gets_it(ground: Ground) -> None:
    order(ground)
    seen = waiting(ground)
    takers = [partial(ground.write, tasks.claim, seen, f"boot-{number}", NOW) for number in range(6)]
    assert sorted(len(taken) for taken in ground.at_once(takers)) == [0, 0, 0, 0, 0, 1]


def test_of_many_who_end_it_one_does(ground: Ground) -> None:
    uuid = order(ground)
    (task,) = claim(ground)
    ends = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)
    calls = [partial(ground.write, tasks.finish, task.id, "boot-1", ends[number % 3], NOW) for number in range(6)]
    done = ground.at_once(calls)
    assert done.count(True) == 1
    assert row(ground, uuid).state == ends[done.index(True) % 3].value


@pytest.mark.parametrize("boot", ["boot-0", ""])
def test_who_has_not_claimed_it_cannot_end_it_or_report_on_it(ground: Ground, boot: str) -> None:
    uuid = order(ground)
    (task,) = claim(ground)
    ground.write(tasks.progress, task.id, boot, 90)
    assert not ground.write(tasks.finish, task.id, boot, TaskState.DONE, NOW)
    assert (row(ground, uuid).state, row(ground, uuid).progress) == ("running", 0)


def test_a_claim_that_was_not_committed_was_none(ground: Ground) -> None:
    order(ground)
    seen = waiting(ground)

    def work(session: Session) -> None:
        assert tasks.claim(session, seen, "boot-1", NOW)
        raise Refused("the connection went away")

    with pytest.raises(Refused):
        ground.database.write(work)
    assert len(claim(ground, "boot-2")) == 1


def test_after_a_crash_the_next_run_takes_it_up_and_the_dead_one_cannot_end_it(ground: Ground) -> None:
    order(ground)
    order(ground, "vm-2", host=ground.other_host)
    (task,) = claim(ground, "boot-1")
    assert ground.write(tasks.take_up_again, ground.host, "boot-1") == 0
    assert ground.write(tasks.take_up_again, ground.host, "boot-2") == 1
    (again,) = claim(ground, "boot-2")
    assert (again.id, again.attempts) == (task.id, 2)
    assert not ground.write(tasks.finish, task.id, "boot-1", TaskState.DONE, NOW)
    assert [held.id for held in ground.read(tasks.claimed_by, ground.host, "boot-2")] == [task.id]
    assert ground.write(tasks.finish, task.id, "boot-2", TaskState.DONE, NOW)


def test_what_went_wrong_is_kept_as_it_was_said(ground: Ground) -> None:
    uuid = order(ground)
    (task,) = claim(ground)
    error = {"code": "engine", "message": "字 '; DROP", "parameters": {"at": NOW}}
    ground.write(tasks.finish, task.id, "boot-1", TaskState.FAILED, NOW, error=error)
    assert "字 '; DROP" in row(ground, uuid).error


def test_open_tasks_of_objects(ground: Ground) -> None:
    order(ground, "vm-1")
    order(ground, "vm-2")
    (first, _second) = claim(ground)
    ground.write(tasks.finish, first.id, "boot-1", TaskState.DONE, NOW)
    assert ground.read(tasks.targets_with_tasks, ["vm-1", "vm-2", "vm-3"]) == {"vm-2"}
    assert ground.read(tasks.targets_with_tasks, []) == set()


def test_old_ones_are_forgotten_open_ones_never(ground: Ground) -> None:
    old, fresh, running, queued = (order(ground, f"vm-{number}") for number in range(4))
    taken = {task.uuid: task.id for task in claim(ground)}
    ground.write(tasks.finish, taken[old], "boot-1", TaskState.DONE, NOW - timedelta(days=40))
    ground.write(tasks.finish, taken[fresh], "boot-1", TaskState.DONE, NOW)
    assert ground.write(tasks.prune, ground.host, NOW - timedelta(days=30)) == 1
    left = ground.database.read(lambda session: set(session.scalars(select(Task.uuid))))
    assert left == {fresh, running, queued}
