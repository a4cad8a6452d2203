"""Work of which only so much is done at the same time, so that all of it is done sooner."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets so many work at once, in the order they came. Who takes too long counts no more: it delays nobody."""

    def __init__(self, most: int, patience: float) -> None:
        """``most`` at once; after ``patience`` seconds a place is given to the next, whatever became of its holder."""
        self._most = most
        self._patience = patience
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._since: dict[object, float] = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for a place and hold it."""
        me = object()
        with self._changed:
            self._waiting.append(me)
            while self._waiting[0] is not me or (pause := self._full()) > 0:
                self._changed.wait(None if self._waiting[0] is not me else pause)
            self._waiting.popleft()
            self._since[me] = time.monotonic()
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                del self._since[me]
                self._changed.notify_all()

    def _full(self) -> float:
        """Seconds after which a place is given on at the latest; 0 when there is one."""
        now = time.monotonic()
        left = sorted(self._patience - (now - since) for since in self._since.values())
        counted = [seconds for seconds in left if seconds > 0]
        return counted[0] if len(counted) >= self._most else 0.0
