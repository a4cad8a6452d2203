"""The parameters that this hostd lives by, while it runs (manual 13.2.1).

The heartbeat fills it from the database; whoever keeps an interval reads ``now`` at each round, and has itself woken
when it changes, so that a pause of half an hour does not outlive the wish for one of two seconds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from core.rules.parameters import Parameters
from hostd.log import fields

logger = logging.getLogger("hostd.runtime")


class Runtime:
    """A value that is replaced as a whole: each reader sees parameters that belong together."""

    def __init__(self, parameters: Parameters | None = None) -> None:
        """Begin with these parameters, or with the first values."""
        self._now = parameters or Parameters()
        self._guard = threading.Lock()
        self._hooks: list[Callable[[], None]] = []

    @property
    def now(self) -> Parameters:
        """What holds now."""
        return self._now

    def on_change(self, hook: Callable[[], None]) -> None:
        """Call ``hook()`` after each change, in the thread that brings it; it must return at once."""
        self._hooks.append(hook)

    def take(self, parameters: Parameters) -> bool:
        """Live by these from now on; whether they are others than before."""
        with self._guard:
            before, self._now = self._now, parameters
        if before == parameters:
            return False
        old, new = before.as_dict(), parameters.as_dict()
        logger.info("parameters changed %s", fields(**{key: new[key] for key in new if new[key] != old[key]}))
        for hook in self._hooks:
            hook()
        return True
