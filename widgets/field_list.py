"""Names and values below each other: the details of one thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from widgets.text import fit, strip_of, wrap


class Fact(NamedTuple):
    """A name and its value; ``role`` as in :class:`widgets.virtual_table.Cell`, ``heading`` for a line alone."""

    label: str
    value: str
    role: str = ""
    heading: bool = False


class _Line(NamedTuple):
    label: str
    text: str
    role: str
    heading: bool


class FieldList(Widget, can_focus=True):
    """Facts, wrapped to the width; arrows scroll when there are more than fit."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "facts--label",
        "facts--heading",
        "facts--success",
        "facts--warning",
        "facts--error",
        "facts--muted",
    }
    DEFAULT_CSS = """
    FieldList {
        height: 1fr;
        background: $background;
        color: $foreground;
        .facts--label { color: $text-muted; }
        .facts--heading { color: $text-primary; text-style: bold; }
        .facts--success { color: $text-success; }
        .facts--warning { color: $text-warning; }
        .facts--error { color: $text-error; text-style: bold; }
        .facts--muted { color: $text-muted; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        """Make it empty."""
        super().__init__(id=id, classes=classes)
        self._facts: tuple[Fact, ...] = ()
        self._lines: list[_Line] = []
        self._label_width = 0
        self._top = 0

    def set(self, facts: Sequence[Fact]) -> None:
        """Show these facts; only lines that changed are painted again."""
        if tuple(facts) == self._facts:
            return
        self._facts = tuple(facts)
        self._layout()

    @property
    def content(self) -> str:
        """All it says, a fact a line."""
        return "\n".join(f"{fact.label}: {fact.value}" for fact in self._facts)

    def _layout(self) -> None:
        before, width_before = self._lines, self._label_width
        width = max(20, self.size.width)
        longest = max((cell_len(f.label) for f in self._facts if not f.heading), default=0)
        self._label_width = min(longest, width // 3, 30) + 2
        lines = []
        for fact in self._facts:
            if fact.heading:
                lines.append(_Line(fact.label, "", "", True))
                continue
            label = fact.label
            for text in wrap(fact.value, width - self._label_width - 3):
                lines.append(_Line(label, text, fact.role, False))
                label = ""
        self._lines = lines
        self._top = max(0, min(self._top, len(lines) - self.size.height))
        if width_before != self._label_width or len(before) != len(lines):
            self.refresh()
            return
        for number, (old, new) in enumerate(zip(before, lines, strict=True)):
            if old != new:
                self.refresh(Region(0, number - self._top, self.size.width, 1))

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._label_width = 0
        self._layout()

    def render_line(self, y: int) -> Strip:
        """A line of a fact."""
        width, base = self.size.width, self.rich_style
        number = self._top + y
        if number >= len(self._lines):
            return Strip.blank(width, base)
        line = self._lines[number]
        style = self.get_component_rich_style
        if line.heading:
            return strip_of([(" " + line.label, style("facts--heading"))], width, base)
        value = style(f"facts--{line.role}") if line.role else base
        label = " " + fit(line.label, self._label_width)
        return strip_of([(label, style("facts--label")), (" " + line.text, value)], width, base)

    async def _on_key(self, event: events.Key) -> None:
        page = max(1, self.size.height - 1)
        moves = {
            "down": 1,
            "j": 1,
            "up": -1,
            "k": -1,
            "pagedown": page,
            "pageup": -page,
            "home": -(10**6),
            "end": 10**6,
        }
        if event.key in moves:
            event.stop()
            event.prevent_default()
            self._scroll(moves[event.key])

    def _scroll(self, by: int) -> None:
        top = max(0, min(self._top + by, len(self._lines) - self.size.height))
        if top != self._top:
            self._top = top
            self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseEvent) -> None:
        """The wheel scrolls."""
        self._scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseEvent) -> None:
        """The wheel scrolls."""
        self._scroll(-3)
