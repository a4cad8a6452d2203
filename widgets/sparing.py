"""Writes to the terminal only what looks different from what is there already.

Textual writes whole widgets whenever a part of them may have changed, and the whole screen several times while a
new one is laid out. On a fast terminal nobody sees it; over a slow line it is most of the waiting. Here what the
terminal shows is remembered, cell by cell, and of each line only the span that differs is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.screen import Screen
from textual.strip import Strip

from widgets.text import one_line

#: A cell: its character and style. The second cell of a wide character has an empty text.
Cell = tuple[str, Style | None]


class Seen:
    """What the terminal shows, as far as it is known."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._width = 0
        self._lines: list[list[Cell | None]] = []

    def forget(self) -> None:
        """Somebody else may have written to the terminal."""
        self._lines = []

    def fit(self, width: int, height: int) -> None:
        """The terminal has this size; when it is another, nothing is known any more."""
        if width != self._width or height != len(self._lines):
            self._width = width
            self._lines = [[None] * width for _line in range(height)]

    def difference(self, x: int, y: int, strip: Strip) -> tuple[int, Strip] | None:
        """Take over what is to stand at a place; returns where the difference begins and what it is, None for none."""
        if not 0 <= y < len(self._lines):
            return None
        new = _cells(strip)[: max(0, self._width - x)]
        line = self._lines[y]
        old = line[x : x + len(new)]
        if old == new:
            return None
        first = next(n for n, cell in enumerate(new) if cell != old[n])
        last = next(n for n in range(len(new) - 1, -1, -1) if new[n] != old[n])
        # Neither end may stand in the middle of a wide character, of the new or of what it overwrites.
        while first and (new[first][0] == "" or _is_second(old[first])):
            first -= 1
        while last + 1 < len(new) and (new[last + 1][0] == "" or _is_second(old[last + 1])):
            last += 1
        line[x : x + len(new)] = new
        return x + first, _strip(new[first : last + 1])


def _is_second(cell: Cell | None) -> bool:
    return cell is not None and cell[0] == ""


def _cells(strip: Strip) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        if text.isascii() and text.isprintable():
            cells += [(character, style) for character in text]
            continue
        for character in text:
            if not character.isprintable() and one_line(character) != character:
                # Of inputs, which paint what they hold as it is: no sequence in a name reaches the terminal.
                cells += [(one_line(character), style)] * min(1, cell_len(character))
                continue
            size = cell_len(character)
            if size:
                cells.append((character, style))
                cells += [("", style)] * (size - 1)
            elif cells:
                # A mark that joins the character before it.
                place = -1 if cells[-1][0] else -2
                before = cells[place]
                cells[place] = (before[0] + character, before[1])
    return cells


def _strip(cells: list[Cell]) -> Strip:
    segments: list[Segment] = []
    held: list[str] = []
    style: Style | None = None
    for text, own in cells:
        if held and own != style:
            segments.append(Segment("".join(held), style))
            held = []
        style = own
        held.append(text)
    segments.append(Segment("".join(held), style))
    return Strip(segments, len(cells))


class SparingUpdate(CompositorUpdate):
    """An update of Textual's, from which what is on the terminal already was taken out."""

    def __init__(self, seen: Seen, update: LayoutUpdate | ChopsUpdate, width: int, height: int) -> None:
        """Wrap an update for a terminal of this size."""
        self._seen = seen
        self._update = update
        self._size = (width, height)

    def _pieces(self) -> Iterator[tuple[int, int, Strip]]:
        """The update as strips with their places."""
        update = self._update
        if isinstance(update, LayoutUpdate):
            for y, line in enumerate(update.strips, update.region.y):
                x = update.region.x
                for strip in line:
                    yield x, y, strip
                    x += strip.cell_length
            return
        for y, begin, end in update.spans:
            for stop, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if chop is not None and x <= end and stop > begin:
                    yield x, y, chop

    def render_segments(self, console: Console) -> str:
        """What is to be written. Called once, when it really is written."""
        self._seen.fit(*self._size)
        written: list[str] = []
        for x, y, strip in self._pieces():
            found = self._seen.difference(x, y, strip)
            if found is not None:
                written.append(Control.move_to(found[0], y).segment.text)
                written.append(found[1].render(console))
        return "".join(written)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As the update itself would."""
        yield from self._update.__rich_console__(console, options)


class SparingOutput(App[Any]):
    """An application that writes only differences, and puts the terminal's cursor where one types."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As :class:`textual.app.App`."""
        super().__init__(*arguments, **options)
        self._seen_cells = Seen()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if isinstance(renderable, LayoutUpdate | ChopsUpdate) and not self.is_inline:
            renderable = SparingUpdate(self._seen_cells, renderable, *self.size)
        # There an input method shows what it offers. Textual follows what is typed, not what scrolls or grows above it.
        # Asked by name: the inputs' modules are not wanted by who only looks at lists.
        focused = screen.focused
        offset = getattr(focused, "cursor_screen_offset", None)
        if offset is not None and focused is not None and focused.region:
            self.cursor_position = offset
        super()._display(screen, renderable)

    def paint_all(self) -> None:
        """Write the whole screen again: something else wrote to the terminal."""
        self._seen_cells.forget()
        self.refresh(layout=True)
        self.screen.refresh(layout=True)
