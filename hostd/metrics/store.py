"""Recent samples in memory: rings of fixed size, so that a daemon that runs for years does not grow."""

from __future__ import annotations

import threading
from array import array
from typing import Any


class Ring:
    """The newest samples of one thing: a time (Unix seconds) and a few numbers each."""

    __slots__ = ("_at", "_columns", "_next", "_size", "_values")

    def __init__(self, columns: tuple[str, ...], size: int) -> None:
        self._columns = columns
        self._size = size
        self._next = 0
        self._at = array("d")
        self._values = array("f")

    def add(self, at: float, values: tuple[float, ...]) -> None:
        """Keep a sample; the oldest makes room."""
        width = len(self._columns)
        if len(self._at) < self._size:
            self._at.append(at)
            self._values.extend(values)
        else:
            self._at[self._next] = at
            self._values[self._next * width : (self._next + 1) * width] = array("f", values)
        self._next = (self._next + 1) % self._size

    def since(self, at: float) -> list[dict[str, Any]]:
        """The samples newer than ``at``, oldest first, as rows."""
        count, width = len(self._at), len(self._columns)
        order = range(count) if count < self._size else [(self._next + i) % self._size for i in range(count)]
        rows = []
        for index in order:
            if self._at[index] > at:
                values = self._values[index * width : (index + 1) * width]
                row: dict[str, Any] = {"at": self._at[index]}
                # Seven digits are what single precision holds; more would be noise.
                row.update((key, float(f"{value:.7g}")) for key, value in zip(self._columns, values, strict=True))
                rows.append(row)
        return rows

    def last(self) -> dict[str, Any] | None:
        """The newest sample."""
        if not self._at:
            return None
        index = (self._next - 1) % len(self._at)
        return self.since(self._at[index] - 1e-6)[-1]


class Store:
    """Rings by name. Thread-safe."""

    def __init__(self, columns: tuple[str, ...], size: int) -> None:
        self._columns = columns
        self._size = size
        self._guard = threading.Lock()
        self._rings: dict[str, Ring] = {}

    def add(self, name: str, at: float, values: tuple[float, ...]) -> None:
        """Keep a sample of ``name``."""
        with self._guard:
            ring = self._rings.get(name)
            if ring is None:
                ring = self._rings[name] = Ring(self._columns, self._size)
            ring.add(at, values)

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

    def keep(self, names: set[str]) -> None:
        """Forget all others."""
        with self._guard:
            for name in set(self._rings) - names:
                del self._rings[name]
