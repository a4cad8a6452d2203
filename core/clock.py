"""Time, injectable: the wall clock for records, the monotonic clock for waiting and liveness."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Protocol

#: How a time stands where only a text is kept, as the name of what was cleared before it.
WRITTEN = "%Y-%m-%d %H:%M:%S UTC"
_WRITTEN = re.compile(r"(?:(?<=^)|(?<=: ))(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC$")


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


def local_time(text: str) -> datetime:
    """A time of the database (UTC, ISO 8601) in the zone of this machine."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone()


def local_written(text: str) -> str:
    """A text that is, or ends with, a time as in :data:`WRITTEN`: with that in the zone of this machine."""
    return _WRITTEN.sub(lambda found: f"{local_time(found[1]):%Y-%m-%d %H:%M:%S}", text)
