"""A share of a whole as a circle: full where it is used, hatched where it is free, so that no colour is needed.

Drawn with braille dots, which are as high as they are wide, so that a circle is round; with ASCII characters where
the font has no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from widgets.glyphs import glyphs
from widgets.leaf import Leaf
from widgets.text import fit, one_line, strip_of

#: Bits of the dots of a braille cell, by line and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
#: Every so many dots the free part has a line of its hatch.
_HATCH = 4
#: What a cell of a drawn circle shows: nothing, mostly what is free, mostly what is used.
OUTSIDE, FREE, USED = "", "free", "used"

Cell = tuple[str, str]


@lru_cache(64)
def disc(columns: int, rows: int, share: float | None, braille: bool = True) -> tuple[tuple[Cell, ...], ...]:
    """A circle of cells, each a character and what it shows (:data:`OUTSIDE`, :data:`FREE`, :data:`USED`).

    Args:
        columns: how wide, in cells.
        rows: how high; the circle is as large as fits into both.
        share: how much of it is used, from 12 o'clock as the clock goes; more than 1 is all. None: a ring alone, for
            what has no limit.
        braille: whether the font has braille.
    """
    wide, high = (2, 4) if braille else (1, 1)
    # How much wider than high a dot is: braille dots are square, whole cells twice as high as wide.
    stretch = 1.0 if braille else 0.5
    middle_x, middle_y = columns * wide / 2, rows * high / 2
    radius = min(middle_x * stretch, middle_y)
    ring = radius - (1.1 if braille else 0.8)
    lines = []
    for row in range(rows):
        line = []
        for column in range(columns):
            bits = used = free = 0
            for y in range(high):
                for x in range(wide):
                    over, down = column * wide + x, row * high + y
                    part = _part((over + 0.5 - middle_x) * stretch, down + 0.5 - middle_y, radius, ring, share)
                    used += part == USED
                    free += part in (FREE, _EDGE)
                    shown = part in (USED, _EDGE) or (part == FREE and (over + down) % _HATCH == 0)
                    bits |= _DOTS[y][x] if shown else 0
            what = OUTSIDE if not used + free else USED if used > free else FREE
            line.append((_character(bits, what, braille), what))
        lines.append(tuple(line))
    return tuple(lines)


_EDGE = "edge"


def _part(x: float, y: float, radius: float, ring: float, share: float | None) -> str:
    """What of the circle a point belongs to, seen from its middle."""
    distance = math.hypot(x, y)
    if distance > radius:
        return OUTSIDE
    if share is None:
        return _EDGE if distance > ring else OUTSIDE
    if (math.atan2(x, -y) / math.tau) % 1.0 < share:
        return USED
    return _EDGE if distance > ring else FREE


def _character(bits: int, what: str, braille: bool) -> str:
    if braille:
        return chr(_BRAILLE + bits) if bits else " "
    return {OUTSIDE: " ", FREE: glyphs().bar_empty, USED: glyphs().bar_full}[what]


def percent(share: float) -> str:
    """A share in words that never say "none" or "all" of what is not."""
    whole = math.floor(share * 100 + 1e-9)
    return "<1%" if share > 0 and whole == 0 else f"{whole}%"


class Pie(Leaf):
    """A circle with a title above it and the figures below; as large as there is room for."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"pie--title", "pie--chosen", "pie--used", "pie--free", "pie--over"}
    DEFAULT_CSS = """
    Pie {
        height: 1fr;
        width: 1fr;
        .pie--title { text-style: bold; }
        .pie--chosen { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
        .pie--used { color: $text-error; }
        .pie--free { color: $text-success; }
        .pie--over { color: $text-error; text-style: bold; }
    }
    """

    @dataclass
    class Pressed(Message):
        """It was clicked."""

        pie: Pie

    def __init__(self, *, id: str | None = None) -> None:
        """Make an empty circle."""
        super().__init__(id=id)
        self._title = ""
        self._share: float | None = None
        self._figures: tuple[str, ...] = ()
        self._chosen = False

    @property
    def share(self) -> float | None:
        """How much of it is used."""
        return self._share

    def set(self, title: str, share: float | None, figures: Sequence[str], *, chosen: bool = False) -> None:
        """Show a share (more than 1 is more than all; None: no limit) with lines of figures below it."""
        shown = (title, share, tuple(figures), chosen)
        if shown != (self._title, self._share, self._figures, self._chosen):
            self._title, self._share, self._figures, self._chosen = shown
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line of the title, the circle or the figures."""
        width, height, base = self.size.width, self.size.height, self.rich_style
        style = self.get_component_rich_style
        # Where there is room a line stays free below.
        rows = max(0, height - len(self._figures) - 1 - (1 if height > 12 else 0))
        if y == 0:
            marks = (glyphs().cursor, " ") if self._chosen else (" ", " ")
            title = marks[0] + one_line(self._title) + marks[1]
            return _centred([(title, style("pie--chosen" if self._chosen else "pie--title"))], width, base)
        if y <= rows:
            return self._circle(y - 1, rows, width)
        number = y - rows - 1
        if number < len(self._figures):
            over = self._share is not None and self._share > 1
            role = style("pie--over") if over else base
            return _centred([(fit(self._figures[number], width).rstrip(), role)], width, base)
        return Strip.blank(width, base)

    def _circle(self, y: int, rows: int, width: int) -> Strip:
        base = self.rich_style
        # Circles side by side do not touch.
        columns = max(0, min(width - 2, rows * 2))
        lines = disc(columns, rows, self._share, glyphs().braille)
        styles = {OUTSIDE: base, **{what: self.get_component_rich_style(f"pie--{what}") for what in (FREE, USED)}}
        return _centred([(character, styles[what]) for character, what in lines[y]], width, base)

    def on_click(self, event: events.Click) -> None:
        """Say so."""
        event.stop()
        self.post_message(self.Pressed(self))


def _centred(pieces: Sequence[tuple[str, Style]], width: int, base: Style) -> Strip:
    size = sum(cell_len(text) for text, _style in pieces)
    return strip_of([(" " * max(0, (width - size) // 2), base), *pieces], width, base)


class PieLegend(Leaf):
    """What the two patterns of circles mean, and more lines below."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"pie--used", "pie--free", "pie--title"}
    DEFAULT_CSS = """
    PieLegend {
        height: 1fr;
        width: 1fr;
        padding: 0 1;
        .pie--title { text-style: bold; }
        .pie--used { color: $text-error; }
        .pie--free { color: $text-success; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        """Make it empty."""
        super().__init__(id=id)
        self._words = ("", "")
        self._lines: tuple[tuple[str, bool], ...] = ()

    def set(self, used: str, free: str, lines: Sequence[tuple[str, bool]] = ()) -> None:
        """Give the two words, and the lines below, each with whether it is a heading."""
        if (self._words, self._lines) != ((used, free), tuple(lines)):
            self._words, self._lines = (used, free), tuple(lines)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line."""
        width, base = self.size.width, self.rich_style
        style = self.get_component_rich_style
        if 1 <= y <= 2:
            what, word = ((USED, self._words[0]), (FREE, self._words[1]))[y - 1]
            return strip_of([(_sample(what), style(f"pie--{what}")), (f" {one_line(word)}", base)], width, base)
        number = y - 4
        if 0 <= number < len(self._lines):
            text, heading = self._lines[number]
            return strip_of([(fit(text, width), style("pie--title") if heading else base)], width, base)
        return Strip.blank(width, base)


def _sample(what: str) -> str:
    """Four cells of a pattern."""
    if not glyphs().braille:
        return (glyphs().bar_full if what == USED else glyphs().bar_empty) * 4
    bits = [
        sum(_DOTS[y][x] for y in range(4) for x in range(2) if what == USED or (2 * cell + x + y) % _HATCH == 0)
        for cell in range(4)
    ]
    return "".join(chr(_BRAILLE + each) for each in bits)
