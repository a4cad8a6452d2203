"""Which columns of a table fit into a width, and how wide each is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rich.cells import cell_len

#: Cells before the first column: the cursor's sign and the mark's.
GUTTER = 2
#: A text column is not made narrower than this.
NARROWEST = 6


@dataclass(frozen=True)
class TableColumn:
    """A column.

    Attributes:
        key: what :class:`VirtualTable.SortWanted` calls it.
        title: its title, translated.
        width: the most cells it takes.
        right: whether values stand at the right, as numbers do.
        sortable: whether a click on its title asks for that order.
        flexible: takes what is left over, and is never left out.
        shrinks: may be cut with an ellipsis when room is short.
    """

    key: str
    title: str
    width: int
    right: bool = False
    sortable: bool = True
    flexible: bool = False
    shrinks: bool = True


class _Shown(Protocol):
    @property
    def text(self) -> str: ...


class Arrangement(NamedTuple):
    """The columns shown, each with its width and the blanks after it; whether some are left out before and after."""

    places: list[tuple[int, int]]
    cut: tuple[bool, bool]
    gap: int


def arrange(
    columns: Sequence[TableColumn], lines: Sequence[Sequence[_Shown]], width: int, skipped: int = 0
) -> Arrangement:
    """Fit columns into a width.

    Each is as wide as its title and the widest of the given lines need, up to its declared width. When that
    is too much, texts shrink; when that is not enough, columns at the right are left out.

    Args:
        columns: all of them.
        lines: the cells of the rows now on screen.
        width: cells there are.
        skipped: how many columns after the flexible one are left out at the left, because somebody went right.
    """
    roomy = _arrange(columns, lines, width, skipped, 2)
    natural = {n: _natural(columns[n], [line[n].text for line in lines]) for n, _width in roomy.places}
    if not roomy.cut[1] and all(cells >= natural[n] for n, cells in roomy.places):
        return roomy
    return _arrange(columns, lines, width, skipped, 1)


def _arrange(
    columns: Sequence[TableColumn], lines: Sequence[Sequence[_Shown]], width: int, skipped: int, gap: int
) -> Arrangement:
    chosen = [n for n, c in enumerate(columns) if c.flexible]
    others = [n for n, c in enumerate(columns) if not c.flexible]
    order = sorted(chosen + others[skipped:])
    widths = {n: _natural(columns[n], [line[n].text for line in lines]) for n in order}
    room = width - GUTTER
    _shrink(columns, widths, room, gap)
    left_out = False
    while len(order) > 1 and _used(widths, gap) > room:
        gone = next(n for n in reversed(order) if not columns[n].flexible or len(order) == 1)
        order.remove(gone)
        del widths[gone]
        left_out = True
        if _used(widths, gap) > room:
            continue
        # What the last one left free may let a shrunk column breathe again.
        widths = {n: _natural(columns[n], [line[n].text for line in lines]) for n in order}
        _shrink(columns, widths, room, gap)
    if chosen:
        # The sign that there is more stands in a cell of its own.
        free = room - _used(widths, gap) - left_out
        if free > 0:
            widths[chosen[0]] += free
    return Arrangement([(n, widths[n]) for n in order], (skipped > 0, left_out), gap)


def _natural(column: TableColumn, texts: Sequence[str]) -> int:
    title = cell_len(column.title) + (1 if column.sortable else 0)
    needed = max((cell_len(text) for text in texts), default=0)
    if column.flexible:
        return max(min(title, column.width), min(needed, 64))
    if not column.shrinks:
        return max(min(title, 14), needed)
    return max(min(title, max(column.width, 10)), min(needed, column.width))


def _used(widths: dict[int, int], gap: int) -> int:
    # Blanks stand after each column but the last.
    return sum(widths.values()) + gap * (len(widths) - 1)


def _shrink(columns: Sequence[TableColumn], widths: dict[int, int], room: int, gap: int) -> None:
    """Take from the widest texts, cell by cell, until all fit or none may give more."""
    excess = _used(widths, gap) - room
    while excess > 0:
        giving = [n for n in widths if columns[n].shrinks and widths[n] > (14 if columns[n].flexible else NARROWEST)]
        if not giving:
            return
        widest = max(giving, key=lambda n: widths[n])
        widths[widest] -= 1
        excess -= 1
