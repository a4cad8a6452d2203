"""Recent samples in memory: of one hour, so that a daemon that runs for years does not grow."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

#: Seconds for which samples are kept.
KEPT = 3600.0
#: Samples of one thing at most: an hour of the shortest interval there is.
MOST = 1800
#: Room given back at once: moving a few kilobytes now and then costs less than a place for each sample.
_SLACK = 64


class Ring:
    """The newest samples of one thing: a time (Unix seconds) and a few numbers each."""

    __slots__ = ("_at", "_begin", "_columns", "_values")

    def __init__(self, columns: tuple[str, ...]) -> None:
        """``columns`` names the numbers."""
        self._columns = columns
        self._begin = 0
        self._at = array("d")
        self._values = array("f")

    def add(self, at: float, values: tuple[float, ...]) -> None:
        """Keep a sample; those too old or too many make room."""
        self._at.append(at)
        self._values.extend(values)
        self._make_room(at)

    def extend(self, at: array[float], values: array[float]) -> None:
        """Keep samples, the oldest first; none older than the newest that is there."""
        place = bisect_right(at, self.newest)
        self._at.extend(at[place:])
        self._values.extend(values[place * len(self._columns) :])
        self._make_room(self.newest)

    def _make_room(self, now: float) -> None:
        while self._begin < len(self._at) and (
            len(self._at) - self._begin > MOST or self._at[self._begin] < now - KEPT
        ):
            self._begin += 1
        if self._begin >= _SLACK:
            del self._at[: self._begin]
            del self._values[: self._begin * len(self._columns)]
            self._begin = 0

    def _after(self, at: float) -> int:
        """The place of the first sample newer than ``at``."""
        place = len(self._at)
        while place > self._begin and self._at[place - 1] > at:
            place -= 1
        return place

    def since(self, at: float) -> list[dict[str, Any]]:
        """The samples newer than ``at``, oldest first, as rows."""
        return [self._row(index) for index in range(self._after(at), len(self._at))]

    def raw(self, at: float) -> tuple[array[float], array[float]]:
        """The times and the numbers, one sample's after the other's, newer than ``at``."""
        place = self._after(at)
        return self._at[place:], self._values[place * len(self._columns) :]

    def _row(self, index: int) -> dict[str, Any]:
        width = len(self._columns)
        values = self._values[index * width : (index + 1) * width]
        row: dict[str, Any] = {"at": self._at[index]}
        # Seven digits are what single precision holds; more would be noise.
        row.update((key, float(f"{value:.7g}")) for key, value in zip(self._columns, values, strict=True))
        return row

    def last(self) -> dict[str, Any] | None:
        """The newest sample."""
        return self._row(len(self._at) - 1) if len(self._at) > self._begin else None

    @property
    def newest(self) -> float:
        """The time of the newest sample, 0 when there is none."""
        return self._at[-1] if self._at else 0.0


class Store:
    """Rings by name. Thread-safe."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        """``columns`` names the numbers of each sample."""
        self.columns = columns
        self._guard = threading.Lock()
        self._rings: dict[str, Ring] = {}

    def add(self, name: str, at: float, values: tuple[float, ...]) -> None:
        """Keep a sample of ``name``."""
        with self._guard:
            ring = self._rings.get(name)
            if ring is None:
                ring = self._rings[name] = Ring(self.columns)
            ring.add(at, values)

    def put_back(self, name: str, at: array[float], values: array[float]) -> None:
        """Keep samples of an earlier run, the oldest first."""
        with self._guard:
            self._rings.setdefault(name, Ring(self.columns)).extend(at, values)

    def since(self, name: str, at: float) -> list[dict[str, Any]]:
        """The samples of ``name`` newer than ``at``, oldest first."""
        with self._guard:
            ring = self._rings.get(name)
            return ring.since(at) if ring is not None else []

    def last(self, name: str) -> dict[str, Any] | None:
        """The newest sample of ``name``."""
        with self._guard:
            ring = self._rings.get(name)
            return ring.last() if ring is not None else None

    def news(self, told: Mapping[str, float]) -> list[tuple[str, array[float], array[float]]]:
        """What is newer than ``told`` (name -> time) says: name, times, and numbers one sample's after the other's."""
        with self._guard:
            rings = [(name, ring) for name, ring in self._rings.items() if ring.newest > told.get(name, 0.0)]
            return [(name, *ring.raw(told.get(name, 0.0))) for name, ring in rings]

    def newest(self) -> dict[str, float]:
        """The time of the newest sample of each name."""
        with self._guard:
            return {name: ring.newest for name, ring in self._rings.items()}

    def keep(self, names: set[str]) -> None:
        """Forget all others."""
        with self._guard:
            for name in set(self._rings) - names:
                del self._rings[name]
