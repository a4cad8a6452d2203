"""A line chart over time: braille dots where the font has them, blocks of ASCII where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from widgets.glyphs import glyphs
from widgets.leaf import Leaf
from widgets.text import fit, strip_of

#: Bits of the dots of a braille cell, by line and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
#: A pause longer than so many usual distances between points is a gap, not a line.
_GAP = 3.5


@dataclass(frozen=True)
class Point:
    """A value at a time (Unix seconds); None where nothing is known.

    A point that stands for many has their least and their most as well.
    """

    at: float
    value: float | None
    low: float | None = None
    high: float | None = None


class LineChart(Leaf):
    """One quantity over some time, with its unit, its axes, and its value now or under a cursor.

    Only lines that look different are painted again.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--title",
        "chart--value",
        "chart--axis",
        "chart--line",
        "chart--grid",
        "chart--cursor",
    }
    DEFAULT_CSS = """
    LineChart {
        height: 1fr;
        min-height: 5;
        width: 1fr;
        background: $background;
        color: $foreground;
        .chart--title { text-style: bold; color: $foreground; }
        .chart--value { text-style: bold; color: $text-accent; }
        .chart--axis { color: $text-muted; }
        .chart--line { color: $text-primary; }
        .chart--grid { color: $surface; }
        .chart--cursor { color: $text-accent; text-style: bold reverse; }
    }
    """

    def __init__(
        self,
        title: str,
        write: Callable[[float], str],
        *,
        top: float | None = None,
        least: float = 1.0,
        binary: bool = False,
        id: str | None = None,
    ) -> None:
        """Make a chart without points.

        Args:
            title: what it shows, translated.
            write: a value with its unit, as short as can be.
            top: where the scale ends, when that is fixed (100 for percentages); otherwise it follows the values.
            least: the smallest end of a scale that follows the values.
            binary: the scale follows powers of 1024 rather than of 1000.
            id: the widget's id.
        """
        super().__init__(id=id)
        self._title = title
        self._write = write
        self._fixed_top = top
        self._least = least
        self._binary = binary
        self._points: tuple[Point, ...] = ()
        self._span = (0.0, 1.0)
        self._cursor: float | None = None
        self._empty = ""
        self._drawn: list[Strip] = []
        self._wide = 1

    def set_title(self, title: str) -> None:
        """Give it a title in another language."""
        self._title = title
        self._redraw()

    def set_points(
        self, points: Sequence[Point], begin: float, end: float, empty: str = "", *, cursor: float | None = None
    ) -> None:
        """Show these points.

        Args:
            points: oldest first.
            begin: where the time shown begins, Unix seconds.
            end: where it ends.
            empty: what stands there when there are no points.
            cursor: the time of which the value is told; None for the newest.
        """
        self._points, self._span, self._empty, self._cursor = tuple(points), (begin, end), empty, cursor
        self._redraw()

    @property
    def columns(self) -> int:
        """How many dots a line of the plot has as it is drawn now: more points than that are not seen."""
        return self._wide * 2 if glyphs().braille else self._wide

    @property
    def step(self) -> float:
        """Seconds that a cell of the plot stands for."""
        begin, end = self._span
        return (end - begin) / max(1, self._wide - 1)

    def under_cursor(self) -> Point | None:
        """The point nearest to the cursor, when there is one that it may speak for."""
        if self._cursor is None or not self._points:
            return None
        cursor = self._cursor
        nearest = min(self._points, key=lambda point: abs(point.at - cursor))
        near = max(self.step, _usual_distance(self._points))
        return nearest if abs(nearest.at - cursor) <= near else None

    @property
    def present(self) -> float | None:
        """The last value."""
        return next((p.value for p in reversed(self._points) if p.value is not None), None)

    def _redraw(self) -> None:
        before, self._drawn = self._drawn, self._draw()
        if len(before) != len(self._drawn):
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before, self._drawn, strict=True)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._drawn = self._draw()
        self.refresh()

    def notify_style_update(self) -> None:
        """Draw with the colours of another theme."""
        super().notify_style_update()
        self._drawn = []

    def render_line(self, y: int) -> Strip:
        """A line of the chart."""
        if not self._drawn and self.size.height:
            self._drawn = self._draw()
        return self._drawn[y] if y < len(self._drawn) else Strip.blank(self.size.width, self.rich_style)

    # -- drawing

    def _top(self) -> float:
        if self._fixed_top is not None:
            return self._fixed_top
        known = [p.value if p.high is None else p.high for p in self._points if p.value is not None]
        highest = max(known, default=0.0)
        return _round_up(max(highest, self._least), self._binary)

    def _draw(self) -> list[Strip]:
        width, height = self.size.width, self.size.height
        if width < 12 or height < 4:
            return [Strip.blank(width, self.rich_style) for _y in range(height)]
        base = self.rich_style
        axis = self.get_component_rich_style("chart--axis")
        line = self.get_component_rich_style("chart--line")
        top = self._top()
        # Title, plot, time axis.
        tall = height - 2
        marks = _marks(tall)
        labels = {y: self._write(top * (1 - y / (tall - 1)) if tall > 1 else top) for y in marks}
        gutter = max(cell_len(text) for text in labels.values()) + 1
        wide = max(4, width - gutter - 1)
        self._wide = wide
        plot = self._plot(wide, tall, top)
        marked = self._cursor_column(wide)
        strips = [self._head(width)]
        for y in range(tall):
            label = fit(labels.get(y, ""), gutter - 1, right=True) + " "
            sign = glyphs().tee if y in labels else glyphs().vertical
            strips.append(strip_of([(label + sign, axis), *self._marked(plot[y], marked, line)], width, base))
        strips.append(self._time_axis(gutter, wide, width))
        return strips

    def _head(self, width: int) -> Strip:
        style = self.get_component_rich_style
        title = self._title + "  "
        shown = self._said(width - cell_len(title))
        return strip_of([(title, style("chart--title")), (shown, style("chart--value"))], width, self.rich_style)

    def _said(self, width: int) -> str:
        """The value now, or under the cursor, with its range where there is room for all of it."""
        if self._cursor is None:
            value = self.present
            return self._write(value) if value is not None else self._empty or "-"
        point = self.under_cursor()
        if point is None or point.value is None:
            return self._empty or "-"
        if point.low is None or point.high is None or point.low == point.high:
            return self._write(point.value)
        now = self._write(point.value)
        lowest, highest = self._write(point.low), self._write(point.high)
        # One unit for both: beside another chart there is not room for more.
        if " " in highest:
            lowest = lowest.removesuffix(highest[highest.rindex(" ") :])
        ranged = f"{now} ({lowest}-{highest})"
        return ranged if cell_len(ranged) <= width else now

    def _cursor_column(self, wide: int) -> int | None:
        """The cell of the plot that the cursor is in."""
        begin, end = self._span
        if self._cursor is None or not begin <= self._cursor <= end or end <= begin:
            return None
        return min(wide - 1, round((self._cursor - begin) / (end - begin) * (wide - 1)))

    def _marked(self, row: str, column: int | None, line: Style) -> list[tuple[str, Style]]:
        """A line of the plot with the cursor in it: a stroke where it is empty, so that it is seen without colour."""
        if column is None:
            return [(row, line)]
        here = glyphs().vertical if row[column] == " " else row[column]
        style = self.get_component_rich_style("chart--axis" if row[column] == " " else "chart--cursor")
        return [(row[:column], line), (here, style), (row[column + 1 :], line)]

    def _time_axis(self, gutter: int, wide: int, width: int) -> Strip:
        axis = self.get_component_rich_style("chart--axis")
        form = time_form(self._span[1] - self._span[0])
        begin, end = (datetime.fromtimestamp(t, UTC).astimezone().strftime(form) for t in self._span)
        middle = max(1, wide - cell_len(begin) - cell_len(end))
        text = begin + " " * middle + end if wide >= 18 else end.rjust(wide)
        return strip_of([(" " * gutter + glyphs().corner + text, axis)], width, self.rich_style)

    def _heights(self, columns: int, rows: int, top: float) -> list[tuple[int, int] | None]:
        """For each column of dots from where to where the line runs, counted from the top; None for a gap."""
        begin, end = self._span
        known = [p for p in self._points if begin <= p.at <= end]
        found: list[tuple[int, int] | None] = [None] * columns
        if not known or end <= begin:
            return found
        scale = (columns - 1) / (end - begin)
        usual = _usual_distance(known)
        before: tuple[int, int, float] | None = None
        for point in known:
            if point.value is None:
                before = None
                continue
            x = round((point.at - begin) * scale)
            share = min(1.0, max(0.0, point.value / top if top else 0.0))
            y = rows - 1 - round(share * (rows - 1))
            if before is not None and point.at - before[2] <= usual * _GAP:
                _join(found, (before[0], before[1]), (x, y))
            else:
                _widen(found, x, y, y)
            if point.low is not None and point.high is not None and top:
                # All that lies between: what a mean would hide is seen.
                ends = [rows - 1 - round(min(1.0, max(0.0, v / top)) * (rows - 1)) for v in (point.high, point.low)]
                _widen(found, x, ends[0], ends[1])
            before = (x, y, point.at)
        return found

    def _plot(self, wide: int, tall: int, top: float) -> list[str]:
        if not glyphs().braille:
            return self._plain_plot(wide, tall, top)
        cells = [[0] * wide for _y in range(tall)]
        for x, span in enumerate(self._heights(wide * 2, tall * 4, top)):
            if span is None:
                continue
            for y in range(span[0], span[1] + 1):
                cells[y >> 2][x >> 1] |= _DOTS[y & 3][x & 1]
        return ["".join(chr(_BRAILLE + bits) if bits else " " for bits in row) for row in cells]

    def _plain_plot(self, wide: int, tall: int, top: float) -> list[str]:
        cells = [[" "] * wide for _y in range(tall)]
        for x, span in enumerate(self._heights(wide, tall, top)):
            if span is None:
                continue
            for y in range(span[0], tall):
                cells[y][x] = "*" if y <= span[1] else "."
        return ["".join(row) for row in cells]


def time_form(seconds: float) -> str:
    """How times are written on an axis of so many seconds: as much as tells them apart (strftime)."""
    if seconds <= 2 * 3600:
        return "%H:%M:%S"
    return "%m-%d %H:%M" if seconds <= 14 * 86400 else "%Y-%m-%d"


def _join(found: list[tuple[int, int] | None], old: tuple[int, int], new: tuple[int, int]) -> None:
    (x0, y0), (x1, y1) = old, new
    if x1 == x0:
        _widen(found, x0, min(y0, y1), max(y0, y1))
        return
    last = y0
    for x in range(x0, x1 + 1):
        y = round(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
        _widen(found, x, min(last, y), max(last, y))
        last = y


def _widen(found: list[tuple[int, int] | None], x: int, low: int, high: int) -> None:
    if 0 <= x < len(found):
        old = found[x]
        found[x] = (low, high) if old is None else (min(old[0], low), max(old[1], high))


def _usual_distance(points: Sequence[Point]) -> float:
    distances = sorted(b.at - a.at for a, b in pairwise(points))
    return distances[len(distances) // 2] if distances else 1.0


def _marks(tall: int) -> list[int]:
    """The lines that get a label: top and bottom, and the middle where there is room."""
    if tall < 3:
        return [0]
    if tall % 2 and tall >= 5:
        return [0, tall // 2, tall - 1]
    return [0, tall - 1]


def _round_up(value: float, binary: bool) -> float:
    """The next round number: 1, 2 or 5 times a power of ten, or a power of two for bytes."""
    if binary:
        top = 1.0
        while top < value:
            top *= 2
        return top
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value)


class Gauge(Leaf):
    """A share of a whole as a bar, with the figures in words."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"gauge--success", "gauge--warning", "gauge--error", "gauge--rest"}
    DEFAULT_CSS = """
    Gauge {
        height: 1;
        .gauge--success { color: $text-success; }
        .gauge--warning { color: $text-warning; }
        .gauge--error { color: $text-error; }
        .gauge--rest { color: $text-muted; }
    }
    """

    def __init__(self, label_width: int = 24, figures_width: int = 26) -> None:
        """Make an empty bar; widths in cells of the words before and after it."""
        super().__init__()
        self._widths = (label_width, figures_width)
        self._shown: tuple[str, float | None, str] = ("", None, "")

    def set(self, label: str, share: float | None, figures: str) -> None:
        """Show a share (0 to 1, more is more than all); None for no limit."""
        if (label, share, figures) != self._shown:
            self._shown = (label, share, figures)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The bar."""
        width, base = self.size.width, self.rich_style
        label, share, figures = self._shown
        before, after = self._widths
        room = max(4, width - before - after - 7)
        full = 0 if share is None else max(0, min(room, round(share * room)))
        role = "success" if share is None or share < 0.8 else "warning" if share < 1 else "error"
        percent = "" if share is None else f"{share * 100:.0f}%"
        style = self.get_component_rich_style
        return strip_of(
            [
                (fit(label, before - 1) + " ", base),
                (glyphs().bar_full * full, style(f"gauge--{role}")),
                (glyphs().bar_empty * (room - full), style("gauge--rest")),
                (fit(percent, 5, right=True) + "  ", base),
                (fit(figures, after), base),
            ],
            width,
            base,
        )
