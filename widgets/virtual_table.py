"""A table of any length: it holds the pages somebody looks at, and paints the lines that changed.

The table does not fetch. It says what it wants (:class:`VirtualTable.Wanted`, :meth:`VirtualTable.wanted`); whoever
owns it fetches in a thread and hands the answer to :meth:`VirtualTable.deliver`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from widgets.column_layout import GUTTER, TableColumn, arrange
from widgets.leaf import Leaf
from widgets.pages import Pages, Want
from widgets.table_lines import Cell, Line, Plan, head_strip, row_strip
from widgets.text import strip_of, wrap

__all__ = ["Cell", "VirtualTable"]


class VirtualTable(Leaf, can_focus=True):
    """A table that shows rows of any kind through two functions: its identity and its cells.

    The cursor is on a row, not on a number: it goes with the row when the order changes. Keys: arrows,
    ``j k``, PageUp, PageDown, Home, End, ``g G``, Space marks, ``*`` marks all or none, Enter
    activates, left and right show columns that did not fit.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--head",
        "table--cursor",
        "table--cursor-blurred",
        "table--mark",
        "table--success",
        "table--warning",
        "table--error",
        "table--muted",
    }
    DEFAULT_CSS = """
    VirtualTable {
        height: 1fr;
        background: $background;
        color: $foreground;
        .table--head { color: $text-primary; text-style: bold; }
        .table--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
        .table--cursor-blurred { background: $surface; color: $foreground; }
        .table--mark { color: $accent; text-style: bold; }
        .table--success { color: $text-success; }
        .table--warning { color: $text-warning; }
        .table--error { color: $text-error; text-style: bold; }
        .table--muted { color: $text-muted; }
    }
    """

    class Wanted(Message):
        """Rows are needed that are not held: see :meth:`VirtualTable.wanted`."""

    @dataclass
    class Highlighted(Message):
        """The cursor is on another row, or the row under it changed."""

        row: Any

    @dataclass
    class Activated(Message):
        """Enter, or a second click, on a row."""

        row: Any

    @dataclass
    class Marked(Message):
        """Rows were marked or unmarked."""

        count: int

    class MarkAllWanted(Message):
        """All rows are to be marked, more than are held here: see :meth:`VirtualTable.mark`."""

    @dataclass
    class SortWanted(Message):
        """A column's title was clicked."""

        column: str

    def __init__(
        self,
        columns: Sequence[TableColumn],
        cells: Callable[[Any], Sequence[Cell]],
        key: Callable[[Any], str],
        *,
        id: str | None = None,
        page_size: int = 100,
    ) -> None:
        """Make a table.

        Args:
            columns: in order; the first that is ``flexible`` takes what is left over.
            cells: the cells of a row, one for each column.
            key: the identity of a row.
            id: the widget's id.
            page_size: rows that are fetched together.
        """
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._cells_of = cells
        self._key_of = key
        self._pages = Pages(key, page_size)
        self._top = 0
        self._cursor = 0
        self._cursor_key: str | None = None
        self._skipped = 0
        self._sort: tuple[str, bool] = ("", False)
        self._marks: dict[str, Any] = {}
        self._places: list[tuple[int, int]] = []
        self._cut = (False, False)
        self._arranged = -1
        self._gap = 1
        self._painted: dict[int, tuple[Line, Strip]] = {}
        self._placeholder = ""
        self._shown_cells: dict[int, tuple[Any, tuple[Cell, ...]]] = {}

    # -- what there is

    @property
    def total(self) -> int:
        """How many rows the list has."""
        return self._pages.total

    @property
    def more(self) -> bool:
        """Whether it has more than that, which were not counted."""
        return self._pages.more

    @property
    def loaded(self) -> bool:
        """Whether the rows on screen are of the order and choice last asked for."""
        return self._pages.current

    @property
    def cursor(self) -> int:
        """The number of the row under the cursor, from 0."""
        return self._cursor

    @property
    def cursor_row(self) -> Any | None:
        """The row under the cursor; None when there is none, or it is not there yet."""
        return self._pages.row(self._cursor)

    @property
    def marked(self) -> list[Any]:
        """The marked rows, as they were last seen, in the order they were marked."""
        return list(self._marks.values())

    @property
    def on_screen(self) -> tuple[int, int]:
        """Numbers of the first and the last row on screen."""
        return self._top, max(self._top, min(self.total, self._top + self._height) - 1)

    @property
    def at_line(self) -> int:
        """The line within the widget that the cursor is on; its titles are in line 0."""
        return 1 + self._cursor - self._top

    @property
    def _height(self) -> int:
        return max(1, self.size.height - 1)

    # -- fetching

    def wanted(self) -> Want | None:
        """What is to be fetched next; None when all that is on screen, and the page after it, is held."""
        first, last = self.on_screen
        missing = self._pages.missing(first, last)
        if missing is None and self.total:
            missing = self._pages.missing(last + 1, last + self._height)
        return missing

    def seen(self) -> Want:
        """What is to be fetched to see what is on screen anew."""
        return self._pages.covering(*self.on_screen) if self._pages.current else Want(self._pages.generation, 0, 100)

    def restart(self, *, to_top: bool = False) -> None:
        """The order or choice of rows changed: what is on screen stays until the first new page comes.

        Args:
            to_top: whether the cursor goes to the first row even if the row it is on is still there.
        """
        self._pages.restart()
        if to_top:
            self._cursor_key = None
        self._post_wanted()

    def deliver(self, want: Want, rows: Sequence[Any], total: int, *, more: bool = False) -> None:
        """Take rows that were fetched; those of a past order are dropped.

        Args:
            want: what was asked for.
            rows: the answer, JSON data or whatever the two functions understand.
            total: how many rows the list has.
            more: it has more, which were not counted.
        """
        renewed = not self._pages.current
        grew = total != self.total
        begun = bool(total) != bool(self.total)
        if not self._pages.put(want, rows, total, more=more):
            return
        for row in rows:
            key = self._key_of(row)
            if key in self._marks:
                self._marks[key] = row
        if renewed:
            self._top = self._cursor = 0
        self._follow_row(renewed)
        if renewed or begun or not self._places:
            # All lines: the words that stood for rows come or go.
            self._arrange()
            self.refresh()
        elif grew or self._too_narrow():
            self._arrange()
            self._repaint()
        else:
            self._repaint()
        self._cursor_key = None if self.cursor_row is None else self._key_of(self.cursor_row)
        self.post_message(self.Highlighted(self.cursor_row))
        if self.wanted() is not None:
            self.post_message(self.Wanted())

    def _follow_row(self, renewed: bool) -> None:
        """Put the cursor where its row is now, and keep it on the same line of the screen if that can be."""
        place = None if self._cursor_key is None else self._pages.find(self._cursor_key)
        before = self._cursor
        if place is not None and (not renewed or place < self._height):
            self._cursor = place
        self._cursor = max(0, min(self._cursor, self.total - 1))
        if not renewed:
            self._top += self._cursor - before
        self._top = max(0, min(self._top, self.total - self._height))
        if not self._top <= self._cursor < self._top + self._height:
            self._top = max(0, min(self._cursor, self.total - self._height))

    def _post_wanted(self) -> None:
        if self.wanted() is not None:
            self.post_message(self.Wanted())

    # -- changing what is shown

    def set_columns(self, columns: Sequence[TableColumn], cells: Callable[[Any], Sequence[Cell]] | None = None) -> None:
        """Show other columns, with the function that gives their cells, or the same under other titles."""
        self._columns = tuple(columns)
        self._cells_of = cells or self._cells_of
        self._skipped = 0
        self.redraw()

    def set_sort(self, column: str, descending: bool) -> None:
        """Mark a column as the one the list is sorted by; empty for none."""
        self._sort = (column, descending)
        self.redraw()

    def set_placeholder(self, text: str) -> None:
        """What stands there instead of rows when there are none."""
        if text != self._placeholder:
            self._placeholder = text
            if not self.total:
                self.refresh()

    def redraw(self) -> None:
        """Make every line anew: the language, the width, or what cells say has changed."""
        self._painted.clear()
        self._shown_cells.clear()
        self._arrange()
        self.refresh()

    def unmark(self) -> None:
        """Take all marks away."""
        if self._marks:
            self._marks.clear()
            self._repaint()
            self.post_message(self.Marked(0))

    def mark(self, rows: Sequence[Any]) -> None:
        """Mark these rows and no others."""
        self._marks = {self._key_of(row): row for row in rows}
        self._repaint()
        self.post_message(self.Marked(len(self._marks)))

    def go_to(self, key: str) -> bool:
        """Put the cursor on a row that is held; False when it is not."""
        place = self._pages.find(key)
        if place is not None:
            self._move(place)
        return place is not None

    def go_to_row(self, index: int) -> None:
        """Put the cursor on a row by its number."""
        self._move(index)

    # -- painting

    def _arrange(self) -> None:
        """Give each column its place: as wide as what is on screen needs, within what is declared."""
        first, last = self.on_screen
        rows = [row for row in (self._pages.row(index) for index in range(first, last + 1)) if row is not None]
        lines = [self._cells(row) for row in rows]
        self._skipped = min(self._skipped, max(0, len(self._columns) - 2))
        self._arranged = self.size.width
        found = arrange(self._columns, lines, self._arranged, self._skipped)
        if found != (self._places, self._cut, self._gap):
            self._painted.clear()
            self._places, self._cut, self._gap = found
            self.refresh()

    def _too_narrow(self) -> bool:
        """Whether a cell on screen needs more room than its column has."""
        first, last = self.on_screen
        for index in range(first, last + 1):
            row = self._pages.row(index)
            if row is None:
                continue
            cells = self._cells(row)
            for c, width in self._places:
                # Numbers, states and times are never cut: their column grows beyond what is declared.
                may_grow = width < self._columns[c].width or not self._columns[c].shrinks
                if may_grow and cell_len(cells[c].text) > width:
                    return True
        return False

    def _cells(self, row: Any) -> tuple[Cell, ...]:
        """The cells of a row, made once for each row that was fetched."""
        found = self._shown_cells.get(id(row))
        if found is None or found[0] is not row:
            if len(self._shown_cells) > 1000:
                self._shown_cells.clear()
            found = self._shown_cells[id(row)] = (row, tuple(self._cells_of(row)))
        return found[1]

    def _line(self, index: int) -> Line | None:
        row = self._pages.row(index)
        if row is None:
            return None
        marked = bool(self._marks) and self._key_of(row) in self._marks
        cursor = index == self._cursor
        return Line(self._cells(row), cursor, marked, cursor and self.has_focus)

    def _repaint(self) -> None:
        """Refresh the lines of the screen that say something else than was painted."""
        for y in range(1, self._height + 1):
            index = self._top + y - 1
            painted = self._painted.get(y)
            line = self._line(index) if index < self.total else None
            if (painted[0] if painted else None) != line:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        width = self.size.width
        if width != self._arranged:
            # Painted before it was told of its size: the first picture is already the right one.
            self._arrange()
        if y == 0:
            return head_strip(self._plan, self._sort, width, self._style("head"))
        index = self._top + y - 1
        if index >= self.total:
            self._painted.pop(y, None)
            return self._below(y, width)
        line = self._line(index)
        if line is None:
            self._painted.pop(y, None)
            return Strip.blank(width, self.rich_style)
        painted = self._painted.get(y)
        if painted is None or painted[0] != line or painted[1].cell_length != width:
            painted = (line, row_strip(line, self._plan, width, self._style))
            self._painted[y] = painted
        return painted[1]

    def _below(self, y: int, width: int) -> Strip:
        """What is under the last row: nothing, or the words that stand for rows."""
        if self.total or not self._placeholder:
            return Strip.blank(width, self.rich_style)
        lines = wrap(self._placeholder, min(width - 4, 76))
        number = y - 2
        text = lines[number] if 0 <= number < len(lines) else ""
        return strip_of([("  ", self.rich_style), (text, self._style("muted"))], width, self.rich_style)

    def _style(self, role: str) -> Style:
        return self.get_component_rich_style(f"table--{role}") if role else self.rich_style

    @property
    def _plan(self) -> Plan:
        return Plan(self._columns, self._places, self._cut, self._gap)

    # -- the hand

    async def _on_key(self, event: events.Key) -> None:
        moves: Mapping[str, int] = {
            "down": 1,
            "j": 1,
            "up": -1,
            "k": -1,
            "pagedown": self._height - 1 or 1,
            "pageup": -(self._height - 1 or 1),
            "home": -self.total,
            "g": -self.total,
            "end": self.total,
            "G": self.total,
        }
        word = event.character if event.is_printable and event.character else event.key
        if word in moves:
            self._move(self._cursor + moves[word])
        elif event.key == "space":
            self._toggle(self._cursor)
            self._move(self._cursor + 1)
        elif word == "*":
            self._toggle_all()
        elif event.key == "enter":
            self._activate()
        elif event.key in ("left", "right"):
            self._shift(1 if event.key == "right" else -1)
        else:
            return
        event.stop()
        event.prevent_default()

    def _activate(self) -> None:
        if self.cursor_row is not None:
            self.post_message(self.Activated(self.cursor_row))

    def _shift(self, by: int) -> None:
        if (by > 0 and self._cut[1]) or (by < 0 and self._skipped):
            self._skipped += by
            self._arrange()
            self.refresh()

    def _toggle(self, index: int) -> None:
        row = self._pages.row(index)
        if row is None:
            return
        key = self._key_of(row)
        if self._marks.pop(key, None) is None:
            self._marks[key] = row
        self._refresh_row(index)
        self.post_message(self.Marked(len(self._marks)))

    def _toggle_all(self) -> None:
        """None, when some are marked; otherwise all, which whoever owns the table fetches when not all are held."""
        held = list(self._pages.rows())
        if self._marks:
            self.mark(())
        elif len(held) < self.total:
            self.post_message(self.MarkAllWanted())
        else:
            self.mark(held)

    def _move(self, to: int) -> None:
        """Put the cursor on a row; at the edge the page jumps by a third, which a slow line carries better."""
        to = max(0, min(to, self.total - 1))
        before, self._cursor = self._cursor, to
        if to == before:
            return
        height, top = self._height, self._top
        jump = height // 3 if abs(to - before) == 1 else 0
        if abs(to - before) >= height - 1 and abs(to - before) < self.total:
            top += to - before
        if to < top:
            top = to - jump
        elif to >= top + height:
            top = to - height + 1 + jump
        top = max(0, min(top, self.total - height))
        if top != self._top:
            self._top = top
            self.refresh()
        else:
            self._refresh_row(before)
            self._refresh_row(to)
        self._pages.touch(*self.on_screen)
        self._cursor_key = None if self.cursor_row is None else self._key_of(self.cursor_row)
        self.post_message(self.Highlighted(self.cursor_row))
        self._post_wanted()

    def _refresh_row(self, index: int) -> None:
        y = index - self._top + 1
        if 1 <= y <= self._height:
            self.refresh(Region(0, y, self.size.width, 1))

    def on_resize(self) -> None:
        """Fit into the new width."""
        self._painted.clear()
        before = self._top
        self._top = max(0, min(self._top, self.total - self._height))
        if not self._top <= self._cursor < self._top + self._height:
            self._top = max(0, min(self._cursor, self.total - self._height))
        self._arrange()
        if self._top != before:
            self.refresh()
        self._post_wanted()

    def on_focus(self) -> None:
        """The cursor looks different with the focus."""
        self._refresh_row(self._cursor)

    def on_blur(self) -> None:
        """The cursor looks different without the focus."""
        self._refresh_row(self._cursor)

    def on_mouse_scroll_down(self, event: events.MouseEvent) -> None:
        """The wheel scrolls."""
        self._scroll(3)
        event.stop()

    def on_mouse_scroll_up(self, event: events.MouseEvent) -> None:
        """The wheel scrolls."""
        self._scroll(-3)
        event.stop()

    def _scroll(self, by: int) -> None:
        top = max(0, min(self._top + by, self.total - self._height))
        if top != self._top:
            self._top = top
            self.refresh()
            self._move(max(top, min(self._cursor, top + self._height - 1)))
            self._post_wanted()

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        event.stop()
        if event.y == 0:
            x = GUTTER
            for number, cells in self._places:
                if x <= event.x <= x + cells and self._columns[number].sortable:
                    self.post_message(self.SortWanted(self._columns[number].key))
                x += cells + self._gap
            return
        index = self._top + event.y - 1
        if index >= self.total:
            return
        if event.x < GUTTER or event.ctrl:
            self._toggle(index)
        elif index == self._cursor and event.chain > 1:
            self._activate()
        self._move(index)
