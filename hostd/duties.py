"""Housekeeping that nobody asks for: done now and then by every hostd, and harmless when several do it at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.errors import DosvmError
from hostd.log import Throttled

logger = logging.getLogger("hostd.duties")


@dataclass(frozen=True)
class Duty:
    """Something to do every so many seconds, in one thread with the others; it looks at the time it takes itself."""

    name: str
    every: float
    work: Callable[[], object]


class Duties:
    """Does each duty in its time."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties
        self._closing = threading.Event()
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="duties", daemon=True)

    def start(self) -> None:
        """Begin; the first time comes after one interval."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        due = {duty.name: time.monotonic() + duty.every for duty in self._duties}
        while due and not self._closing.wait(max(0.0, min(due.values()) - time.monotonic())):
            for duty in self._duties:
                if time.monotonic() >= due[duty.name] and not self._closing.is_set():
                    self._do(duty)
                    due[duty.name] = time.monotonic() + duty.every

    def _do(self, duty: Duty) -> None:
        try:
            duty.work()
            self._throttled.clear(duty.name)
        except DosvmError as error:
            self._throttled.warning(duty.name, "a duty cannot be done", duty=duty.name, reason=error.text())
        except Exception:
            logger.exception("a duty broke: %s", duty.name)
