"""Work of which only so much is done at the same time, so that all of it is done sooner."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds after the end of one of those who go first in which the next of them is waited for: they come one by one.
_MORE = 0.05
#: Seconds that somebody lets others go first, at most, however many they are.
_YIELDS = 1.0


class Turns:
    """Lets so many work at once, in the order they came. Who takes too long counts no more: it delays nobody."""

    def __init__(self, most: int, patience: float) -> None:
        """``most`` at once; after ``patience`` seconds a place is given to the next, whatever became of its holder."""
        self._most = most
        self._patience = patience
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._since: dict[object, float] = {}
        self._first = 0
        self._first_until = 0.0

    @contextmanager
    def after_me(self) -> Iterator[None]:
        """Do something short that goes first: whoever waits for a place begins after it."""
        with self._changed:
            self._first += 1
        try:
            yield
        finally:
            with self._changed:
                self._first -= 1
                self._first_until = time.monotonic() + _MORE
                self._changed.notify_all()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for a place and hold it."""
        me, came = object(), time.monotonic()
        with self._changed:
            self._waiting.append(me)
            while self._waiting[0] is not me or (pause := self._full() or self._yields(came)) > 0:
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

    def _yields(self, came: float) -> float:
        """Seconds that one who came then lets others go first; 0 when there are none, or for long enough."""
        now = time.monotonic()
        until = came + _YIELDS if self._first else min(came + _YIELDS, self._first_until)
        return max(0.0, until - now)

    def _full(self) -> float:
        """Seconds after which a place is given on at the latest; 0 when there is one."""
        now = time.monotonic()
        left = sorted(self._patience - (now - since) for since in self._since.values())
        counted = [seconds for seconds in left if seconds > 0]
        return counted[0] if len(counted) >= self._most else 0.0
