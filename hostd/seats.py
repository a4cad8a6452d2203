"""How many tasks may run at the same time, and of which kinds: what waits for slow storage keeps no others waiting.

A task of storage steps aside after a while: others are begun as if it were not there. Some threads are never storage's:
VMs are started whatever waits for storage.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from hostd import intervals
from hostd.handling import Handler

#: Tasks of slow storage that run beside the others, at most; and those of them that may take hours, many of which wait
#: for others of their storage.
ASIDE, LONG = 32, 16


class Seats:
    """Who has a thread. The executor asks under its guard: what is free is decided together with who rang."""

    def __init__(self, threads: int, handlers: Mapping[str, Handler]) -> None:
        """``threads`` tasks run at the same time, and :data:`ASIDE` of storage beside them."""
        self._threads = threads
        self._handlers = handlers
        self._mine: set[int] = set()
        #: Tasks of storage by when they step aside, and those that did.
        self._slow: dict[int, float] = {}
        self._aside: set[int] = set()
        #: All tasks of storage, and those that may take hours.
        self._of_storage: set[int] = set()
        self._long: set[int] = set()
        self._promised = 0

    # -- who sits

    def take(self, task: int, handler: Handler | None) -> None:
        """A task is begun."""
        self._mine.add(task)
        if handler is not None and handler.storage:
            self._slow[task] = time.monotonic() + intervals.STORAGE_ASIDE
            self._of_storage.add(task)
            if handler.long:
                self._long.add(task)

    def leave(self, task: int) -> bool:
        """A task has ended; whether nobody knew that yet."""
        mine = task in self._mine
        self._mine.discard(task)
        self._aside.discard(task)
        self._slow.pop(task, None)
        self._of_storage.discard(task)
        self._long.discard(task)
        return mine

    def promise(self) -> bool:
        """Keep a place for a task that is about to be entered; whether there is one."""
        # Nobody knows yet whether it is one of storage.
        if self.free() <= 0 or self._rooms()[0][0] <= 0:
            return False
        self._promised += 1
        return True

    def release(self, promises: int) -> None:
        """What was promised has been begun, or never will be."""
        self._promised -= promises

    @property
    def promised(self) -> int:
        """Places that are kept."""
        return self._promised

    @property
    def busy(self) -> bool:
        """Whether any task has been begun."""
        return bool(self._mine)

    @property
    def tasks(self) -> frozenset[int]:
        """The tasks that have been begun."""
        return frozenset(self._mine)

    # -- what may sit down

    def free(self) -> int:
        """How many tasks may be begun with."""
        now = time.monotonic()
        for task in [task for task, due in self._slow.items() if due <= now]:
            if len(self._aside) >= ASIDE:
                break
            del self._slow[task]
            self._aside.add(task)
        return self._threads - (len(self._mine) - len(self._aside)) - self._promised

    def of_kinds(self, free: int) -> tuple[int, list[str]]:
        """How many of ``free`` tasks may be claimed at once, and which kinds are left out."""
        without: list[str] = []
        for room, kinds in self._rooms():
            if room <= 0:
                without += kinds
            else:
                free = min(free, room)
        return free, without

    def _rooms(self) -> tuple[tuple[int, list[str]], ...]:
        """How many tasks of storage may be begun with, and their kinds; and of those that may take hours."""
        kinds = [kind for kind, handler in self._handlers.items() if handler.storage]
        long = [kind for kind, handler in self._handlers.items() if handler.long]
        most = ASIDE + self._threads - max(1, self._threads // 2)
        return (most - len(self._of_storage) - self._promised, kinds), (LONG - len(self._long), long)

    def until_aside(self) -> float:
        """Seconds until a task steps aside."""
        if not self._slow or len(self._aside) >= ASIDE:
            return threading.TIMEOUT_MAX
        return max(0.01, min(self._slow.values()) - time.monotonic())
