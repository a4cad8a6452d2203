"""How the lines of a table look: its head, and a row, as strips of a terminal's line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.style import Style
from textual.strip import Strip

from widgets.column_layout import GUTTER, TableColumn
from widgets.glyphs import glyphs
from widgets.text import fit, strip_of


class Cell(NamedTuple):
    """One value as it is shown; ``role`` is empty, ``success``, ``warning``, ``error`` or ``muted``."""

    text: str
    role: str = ""


@dataclass(frozen=True)
class Line:
    """What stands at a line of the screen: all that decides how it is painted."""

    cells: tuple[Cell, ...]
    cursor: bool
    marked: bool
    focus: bool


class Plan(NamedTuple):
    """Where the columns stand: ``places`` are (number, cells), ``cut`` whether more are left and right of them."""

    columns: Sequence[TableColumn]
    places: Sequence[tuple[int, int]]
    cut: tuple[bool, bool]
    gap: int


def head_strip(plan: Plan, sort: tuple[str, bool], width: int, style: Style) -> Strip:
    """The titles.

    Args:
        plan: where the columns stand.
        sort: the key of the column by which rows are sorted, and whether downwards.
        width: cells of the line.
        style: of all of it.
    """
    signs = glyphs()
    pieces = [((signs.more_left if plan.cut[0] else " ").ljust(GUTTER), style)]
    for number, cells in plan.places:
        column = plan.columns[number]
        title = column.title
        if column.key == sort[0] and column.key:
            title = f"{title}{signs.descending if sort[1] else signs.ascending}"
        pieces.append((fit(title, cells, right=column.right) + " " * plan.gap, style))
    if plan.cut[1]:
        # However full the line is, one sees that there is more.
        return Strip.join([strip_of(pieces, width - 1, style), strip_of([(signs.more_right, style)], 1, style)])
    return strip_of(pieces, width, style)


def row_strip(line: Line, plan: Plan, width: int, style_of: Callable[[str], Style]) -> Strip:
    """A row.

    Args:
        line: what stands there.
        plan: where the columns stand.
        width: cells of the line.
        style_of: the style of a role; of the empty one the table's own.
    """
    base = style_of("")
    if line.cursor:
        base = style_of("cursor" if line.focus else "cursor-blurred")
    signs = glyphs()
    mark = (signs.cursor if line.cursor else " ") + (signs.mark if line.marked else " ")
    pieces = [(mark, base if line.focus or not line.marked else style_of("mark") + _ground(base))]
    for number, cells in plan.places:
        cell = line.cells[number]
        style = base
        if cell.role and not line.focus:
            style = style_of(cell.role) + _ground(base)
        text = fit(cell.text, cells, right=plan.columns[number].right)
        if style is base:
            pieces.append((text + " " * plan.gap, base))
        else:
            # Blanks after a coloured word belong to the line: one segment less.
            bare = text.rstrip(" ")
            pieces += [(bare, style), (text[len(bare) :] + " " * plan.gap, base)]
    return strip_of(pieces, width, base)


def _ground(style: Style) -> Style:
    return Style(bgcolor=style.bgcolor)
