"""Who works on which object in this hostd: one at a time, whether by a task or because reality went astray."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Targets:
    """The objects that are worked on now, by UUID."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy: dict[str, str] = {}
        self._on_release: list[Callable[[str], None]] = []

    def on_release(self, hook: Callable[[str], None]) -> None:
        """Call ``hook(uuid)`` when an object becomes free; it must return at once."""
        self._on_release.append(hook)

    def take(self, uuid: str, what: str) -> bool:
        """Begin to work on an object; False when somebody else does. ``what`` is a task kind or the like."""
        with self._guard:
            if uuid in self._busy:
                return False
            self._busy[uuid] = what
            return True

    def release(self, uuid: str) -> None:
        """End the work on an object."""
        with self._guard:
            self._busy.pop(uuid, None)
        for hook in self._on_release:
            hook(uuid)

    def doing(self, uuid: str) -> str:
        """What is being done with an object, or an empty text."""
        with self._guard:
            return self._busy.get(uuid, "")

    def busy(self) -> set[str]:
        """All objects that are worked on."""
        with self._guard:
            return set(self._busy)
