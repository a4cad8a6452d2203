"""Rows of a long list, held in pages as far as somebody looked at them. Pure data, no terminal."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Want:
    """Rows that are asked for: ``limit`` of them from ``offset``, for the list as of ``generation``."""

    generation: int
    offset: int
    limit: int


class Pages:
    """The pages of one list: at most ``keep`` of them, the least recently seen goes first.

    A *generation* is one order and choice of rows. When these change, the rows of the old generation are
    still there to look at until the first page of the new one comes.
    """

    def __init__(self, key: Callable[[Any], str], size: int = 100, keep: int = 12) -> None:
        """Make an empty list of unknown length.

        Args:
            key: gives the identity of a row.
            size: rows of a page.
            keep: pages held.
        """
        self.size = size
        self.total = 0
        self.more = False
        self.generation = 0
        self.known = False
        self._shown = 0
        self._key = key
        self._keep = keep
        self._held: OrderedDict[int, list[Any]] = OrderedDict()

    def restart(self) -> None:
        """Begin a new generation."""
        self.generation += 1

    @property
    def current(self) -> bool:
        """Whether what is held is of the present generation."""
        return self.known and self._shown == self.generation

    def row(self, index: int) -> Any | None:
        """The row at an index, if it is held."""
        number, place = divmod(index, self.size)
        page = self._held.get(number)
        if page is None or place >= len(page):
            return None
        return page[place]

    def touch(self, first: int, last: int) -> None:
        """Say that these rows are looked at."""
        for number in range(first // self.size, last // self.size + 1):
            if number in self._held:
                self._held.move_to_end(number)

    def find(self, key: str) -> int | None:
        """The index of the row with this identity, if it is held."""
        for number, page in self._held.items():
            for place, row in enumerate(page):
                if self._key(row) == key:
                    return number * self.size + place
        return None

    def rows(self) -> Iterator[Any]:
        """All rows held, in no particular order of pages."""
        for page in self._held.values():
            yield from page

    def covering(self, first: int, last: int) -> Want:
        """What to ask for to have these rows anew, in whole pages."""
        begin = max(0, first) // self.size * self.size
        end = (max(first, last) // self.size + 1) * self.size
        return Want(self.generation, begin, end - begin)

    def missing(self, first: int, last: int) -> Want | None:
        """What to ask for to have these rows at all; None when they are held."""
        if not self.current:
            return Want(self.generation, 0, self.size)
        last = min(last, self.total - 1)
        for number in range(max(0, first) // self.size, last // self.size + 1 if last >= 0 else 0):
            if number not in self._held:
                return Want(self.generation, number * self.size, self.size)
        return None

    def put(self, want: Want, rows: Sequence[Any], total: int, *, more: bool = False) -> bool:
        """Keep an answer; False when it is of a past generation.

        ``more`` says that there are more rows than ``total``, which was not counted to its end: a page further on
        tells a larger one, a page before it does not take that back.
        """
        if want.generation != self.generation:
            return False
        if more and self.current and total <= self.total:
            total, more = self.total, self.more
        counted_on = self.current and self.more and total >= self.total
        if not self.current or (total != self.total and not counted_on):
            # Rows came or went, or the order changed: indices of other pages mean something else now.
            self._held.clear()
        self._shown, self.known, self.total, self.more = self.generation, True, total, more
        for begin in range(0, len(rows), self.size):
            number = (want.offset + begin) // self.size
            self._held[number] = list(rows[begin : begin + self.size])
            self._held.move_to_end(number)
        while len(self._held) > self._keep:
            self._held.popitem(last=False)
        return True
