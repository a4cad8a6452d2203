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

#: Seconds between two times that a duty is done for news.
_CALM = 0.5


@dataclass(frozen=True)
class Duty:
    """Something to do every so many seconds, in one thread with the others; it looks at the time it takes itself."""

    name: str
    every: float
    work: Callable[[], object]
    concerns: Callable[[frozenset[str]], bool] = lambda _topics: False
    """Whether news of some kinds are a reason to do it at once."""


class Duties:
    """Does each duty in its time."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties
        self._guard = threading.Lock()
        self._soon: set[str] = set()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="duties", daemon=True)

    def start(self) -> None:
        """Begin; the first time comes after one interval."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._wake.set()
        self._thread.join(2.0)

    def soon(self, name: str) -> None:
        """Do a duty before its time; however often this is said, it is done once."""
        with self._guard:
            self._soon.add(name)
        self._wake.set()

    def heard(self, topics: frozenset[str]) -> None:
        """There are news of these kinds."""
        for duty in self._duties:
            if duty.concerns(topics):
                self.soon(duty.name)

    def _run(self) -> None:
        due = {duty.name: time.monotonic() + duty.every for duty in self._duties}
        while due and not self._closing.is_set():
            # A storm of news is one reason to look, not many.
            if self._wake.wait(max(0.0, min(due.values()) - time.monotonic())) and self._closing.wait(_CALM):
                return
            self._wake.clear()
            with self._guard:
                wanted, self._soon = self._soon, set()
            due.update(dict.fromkeys(wanted & due.keys(), 0.0))
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
