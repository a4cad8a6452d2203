"""Time that stands until a test moves it."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta


class StillClock:
    """The :class:`core.clock.Clock` of tests: sleeping moves it, nothing else but the test does."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 31, 12, 0, 0)  # noqa: DTZ001  (naive UTC, as the database keeps it)
        self._monotonic = 1000.0
        self._guard = threading.Lock()

    def now(self) -> datetime:
        """See :meth:`core.clock.Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """See :meth:`core.clock.Clock.monotonic`."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """See :meth:`core.clock.Clock.sleep`."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        with self._guard:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds

    def set_wall(self, now: datetime) -> None:
        """Somebody sets the wall clock; the monotonic one goes on as it was."""
        self._now = now
