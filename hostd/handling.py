"""What the executor and those who do tasks say to each other: what a handler is, what it is handed, how it ends.

A handler may be run again at any time, because hostd may die at any time: it looks before it acts. What it changes in
the database at the end is its :data:`Effect`, which is committed together with the end of its task.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from core.coordination import states
from core.coordination.tasks import Claimed
from core.errors import DosvmError

#: What a handler leaves to be written together with the end of its task.
Effect = Callable[[Session], object]


class Interrupted(Exception):
    """hostd ends while a handler waits: the task stays as it is, and the next hostd takes it up again."""


class Obsolete(DosvmError):
    """The task speaks of a placement that is over: it ends as cancelled."""

    code = "obsolete"


class Cancelled(DosvmError):
    """Somebody wanted the task to end in its middle: it ends as cancelled, and what it had begun is undone."""

    code = "cancelled"


@dataclass(frozen=True)
class Record:
    """The effect most tasks of VMs have: what libvirt says of the VM, under the placement that the task speaks of."""

    uuid: str
    host_id: int
    epoch: int
    values: Mapping[str, Any]
    written: Callable[[], None] = lambda: None

    def __call__(self, session: Session) -> bool:
        """Write it, if the VM is still placed here; whether it is."""
        placed = states.record(session, self.uuid, self.host_id, self.epoch, self.values)
        self.written()
        return placed

    def with_end(self, session: Session, task: int, boot: str, now: datetime) -> bool:
        """Write it together with the task's end where one statement can, and say whether it could."""
        ended = states.end_and_record(
            session, task, boot, now, uuid=self.uuid, host_id=self.host_id, epoch=self.epoch, values=self.values
        )
        if not ended:
            return False
        self.written()
        return True


def done(_written: bool) -> None:
    """End of an effect: whether a row was still there to be written does not matter."""


@dataclass(frozen=True)
class Context:
    """What a handler is handed beside its task."""

    progress: Callable[[int], None]
    closing: threading.Event
    cancelled: Callable[[], bool] = lambda: False
    """Whether somebody wants the task to end; the database is asked once a second at most."""
    held: Callable[[], bool] = lambda: True
    """Whether the task is still this host's; the database is asked each time."""


@dataclass(frozen=True)
class Handler:
    """How a kind of task is done, what is written when it cannot be done, and what follows when it was done."""

    run: Callable[[Claimed, Context], Effect | None]
    topics: frozenset[str]
    failed: Callable[[Claimed, DosvmError], Effect | None] | None = None
    then: Callable[[Claimed], None] | None = None
    storage: bool = False
    """It works on storage, which may be slow or hang: after a while other tasks are begun as if it were not there."""
    long: bool = False
    """It works on storage, and may take hours."""
