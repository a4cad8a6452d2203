"""How fast bytes move, and how long the rest will take: of what is being sent, in words for people. Pure."""

from __future__ import annotations

from core.i18n import N_, _
from core.rules.sizes import format_size

#: Seconds over which the rate is taken, so that it neither jumps nor remembers an hour ago.
_SPAN = 5.0


class Pace:
    """Told how much is there at what time, it says the rate of the last seconds."""

    def __init__(self, size: int) -> None:
        """``size``: bytes in all."""
        self._size = size
        self._points: tuple[tuple[float, int], ...] = ()
        self._checked: float | None = None

    def tell(self, now: float, done: int, checked: int = 0) -> None:
        """At ``now`` (seconds of any steady clock) ``done`` bytes are there; less than before: it began anew.

        Nothing more comes while what had arrived before is looked at, of which ``checked`` bytes were.
        """
        self._checked = 100.0 * checked / max(1, done) if checked else None
        points = self._points if not checked else ()
        if points and done < points[-1][1]:
            points = ()
        points = (*points, (now, done))
        first = 0
        while len(points) - first > 2 and now - points[first + 1][0] >= _SPAN:
            first += 1
        # Whoever shows it reads in another thread: all of it changes at once.
        self._points = points[first:]

    @property
    def percent(self) -> float:
        """How much is there, in percent."""
        points = self._points
        return 100.0 * points[-1][1] / max(1, self._size) if points else 0.0

    @property
    def rate(self) -> float:
        """Bytes in a second; 0 while that is not known."""
        points = self._points
        if len(points) < 2:
            return 0.0
        (then, before), (now, done) = points[0], points[-1]
        return (done - before) / (now - then) if now > then else 0.0

    def words(self) -> str:
        """Rate and time left, in the language now set, such as ``412 MiB/s, 0:07 left``; empty while not known."""
        checked = self._checked
        if checked is not None:
            return _(N_("what had arrived is being checked: {percent}%")).format(percent=int(checked))
        rate, points = self.rate, self._points
        if not rate or not points:
            return ""
        left = round((self._size - points[-1][1]) / rate)
        hours, rest = divmod(left, 3600)
        clock = f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
        return _(N_("{rate}/s, {time} left")).format(rate=format_size(rate), time=clock)
