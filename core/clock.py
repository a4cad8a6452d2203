"""Time, injectable: the wall clock for records, the monotonic clock for waiting and liveness."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What everything that needs the time is handed."""

    def now(self) -> datetime:
        """The wall clock in UTC, naive (as the database keeps it)."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean something."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """See :meth:`Clock.now`."""
        return datetime.now(UTC).replace(tzinfo=None)

    def monotonic(self) -> float:
        """See :meth:`Clock.monotonic`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See :meth:`Clock.sleep`."""
        time.sleep(seconds)
