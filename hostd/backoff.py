"""How long to wait before the same thing is tried again."""

from __future__ import annotations

from core.clock import Clock
from hostd import intervals


class Backoff:
    """Growing pauses between attempts, per object; what has proved itself begins anew."""

    def __init__(
        self, clock: Clock, shortest: float = intervals.RESTART_MIN, longest: float = intervals.RESTART_MAX
    ) -> None:
        """``shortest`` and ``longest`` pause, in seconds; each is twice the one before."""
        self._clock = clock
        self._shortest = shortest
        self._longest = longest
        self._attempts: dict[str, tuple[int, float]] = {}

    def due(self, name: str) -> bool:
        """Whether the object may be tried now."""
        return self.pause(name) <= 0

    def pause(self, name: str) -> float:
        """Seconds until it may be tried."""
        _count, not_before = self._attempts.get(name, (0, 0.0))
        return max(0.0, not_before - self._clock.monotonic()) if name in self._attempts else 0.0

    def tried(self, name: str) -> float:
        """It is tried now; the pause before the next attempt, in seconds."""
        count, _not_before = self._attempts.get(name, (0, 0.0))
        pause = min(self._longest, self._shortest * 2.0**count)
        self._attempts[name] = (min(count + 1, 30), self._clock.monotonic() + pause)
        return pause

    def works(self, name: str) -> None:
        """It works; when it has done so for long enough since its last attempt, its past is forgotten."""
        if name not in self._attempts:
            return
        count, not_before = self._attempts[name]
        tried_at = not_before - min(self._longest, self._shortest * 2.0 ** (count - 1))
        if self._clock.monotonic() - tried_at >= intervals.PROVEN:
            del self._attempts[name]

    def forget(self, name: str) -> None:
        """Its past does not matter any more."""
        self._attempts.pop(name, None)

    def knows(self, name: str) -> bool:
        """Whether it was tried lately."""
        return name in self._attempts
