"""How long a run really ran: from the start of its process to its end, less the time it stood still.

All times are milliseconds of one boot clock. It never steps, so neither does what is computed from it; a moment that
is reported out of order is taken as the last one that is certain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class RunTime:
    """One run.

    Attributes:
        begin: when its process began.
        paused: how long it stood still, without a pause that goes on.
        paused_from: when the pause began that goes on; None while it runs.
        end: when it ended; None while it goes on.
        certain: the last moment at which something was known of it; nothing happens before it.
    """

    begin: int
    paused: int = 0
    paused_from: int | None = None
    end: int | None = None
    certain: int = 0

    def _at(self, at: int) -> int:
        return max(at, self.begin, self.certain, self.paused_from or 0)

    def seen(self, at: int) -> RunTime:
        """It was as it is at this moment."""
        return self if self.end is not None else replace(self, certain=self._at(at))

    def pause(self, at: int) -> RunTime:
        """It stands still from this moment on."""
        if self.end is not None or self.paused_from is not None:
            return self
        moment = self._at(at)
        return replace(self, paused_from=moment, certain=moment)

    def resume(self, at: int) -> RunTime:
        """It goes on from this moment."""
        if self.end is not None or self.paused_from is None:
            return self
        moment = self._at(at)
        return replace(self, paused=self.paused + moment - self.paused_from, paused_from=None, certain=moment)

    def finish(self, at: int) -> RunTime:
        """It is over at this moment."""
        if self.end is not None:
            return self
        moment = self._at(at)
        return replace(self, end=moment, certain=moment)

    def ran(self, now: int) -> int:
        """Milliseconds it ran until it ended, or until ``now``."""
        until = self.end if self.end is not None else self._at(now)
        standing = until - self.paused_from if self.paused_from is not None else 0
        return max(0, until - self.begin - self.paused - standing)
