"""Names and values below each other: the details of one thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip

from widgets.leaf import Leaf
from widgets.text import fit, one_line, strip_of, wrap


class Fact(NamedTuple):
    """A name and its value; ``role`` as in :class:`widgets.virtual_table.Cell`, ``heading`` for a line alone."""

    label: str
    value: str
    role: str = ""
    heading: bool = False


class _Part(NamedTuple):
    """A fact, or a line of a long one, where it stands: from cell ``x`` on, ``width`` cells."""

    x: int
    width: int
    label: str
    label_width: int
    text: str
    role: str
    heading: bool = False


#: A fact in one of several columns gets at least so many cells.
COLUMN = 38


class FieldList(Leaf, can_focus=True):
    """Facts, wrapped to the width; arrows scroll when there are more than fit."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "facts--label",
        "facts--heading",
        "facts--success",
        "facts--warning",
        "facts--error",
        "facts--muted",
        "facts--found",
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
        .facts--found { background: $block-cursor-background; color: $block-cursor-foreground; }
    }
    """

    def __init__(self, *, flow: bool = False, id: str | None = None, classes: str | None = None) -> None:
        """Make it empty; with ``flow`` short facts stand in several columns where there is room."""
        super().__init__(id=id, classes=classes)
        self._flow = flow
        self._facts: tuple[Fact, ...] = ()
        self._lines: list[list[_Part]] = []
        self._top = 0
        self._found = -1
        self._arranged = -1

    def set(self, facts: Sequence[Fact]) -> None:
        """Show these facts; only lines that changed are painted again."""
        if tuple(facts) != self._facts:
            self._facts = tuple(facts)
            self._arrange()

    @property
    def content(self) -> str:
        """All it says, a fact a line."""
        return "\n".join(f"{fact.label}: {fact.value}" for fact in self._facts)

    @property
    def line_count(self) -> int:
        """How many lines it needs at its present width."""
        return len(self._lines)

    def find(self, text: str, *, step: int = 0) -> tuple[int, int]:
        """Show a line that holds a text, whatever its case, and mark it.

        Args:
            text: what is looked for; empty for nothing.
            step: 0 for the first at or after what is marked or on top, 1 for the next one, -1 for the one before.

        Returns:
            Which of the lines it is, from 1, and how many there are; 0 of 0 when there is none.
        """
        words = text.lower()
        holds = [n for n, line in enumerate(self._lines) if words and words in _said(line).lower()]
        before, self._found = self._found, -1
        at = before if before >= 0 else self._top - (1 if step > 0 else 0)
        if holds:
            if step < 0:
                self._found = next((n for n in reversed(holds) if n < at), holds[-1])
            else:
                self._found = next((n for n in holds if n >= at + step), holds[0])
            if not self._top <= self._found < self._top + self.size.height:
                self._top = max(0, min(self._found - self.size.height // 3, len(self._lines) - self.size.height))
        self.refresh()
        return (holds.index(self._found) + 1, len(holds)) if holds else (0, 0)

    def _arrange(self) -> None:
        self._arranged = self.size.width
        before, self._lines = self._lines, self._laid_out(max(20, self.size.width))
        self._found = self._found if self._found < len(self._lines) else -1
        self._top = max(0, min(self._top, len(self._lines) - self.size.height))
        if len(before) != len(self._lines):
            self.refresh()
            return
        for number, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new:
                self.refresh(Region(0, number - self._top, self.size.width, 1))

    def _laid_out(self, width: int) -> list[list[_Part]]:
        longest = max((cell_len(f.label) for f in self._facts if not f.heading), default=0)
        labels = min(longest, width // 3, 30) + 2
        columns = max(1, width // COLUMN) if self._flow else 1
        each = width // columns
        lines: list[list[_Part]] = []
        held: list[Fact] = []
        for fact in (*self._facts, None):
            if fact is not None and columns > 1 and self._is_short(fact, each, labels):
                held.append(fact)
                continue
            lines += self._in_columns(held, columns, each, labels)
            held = []
            if fact is not None:
                lines += self._alone(fact, width, labels)
        return lines

    @staticmethod
    def _is_short(fact: Fact, width: int, labels: int) -> bool:
        return bool(fact.label) and not fact.heading and cell_len(fact.value) <= width - labels - 3

    @staticmethod
    def _in_columns(facts: Sequence[Fact], columns: int, each: int, labels: int) -> list[list[_Part]]:
        """Down the first column, then the next, as one reads a table of contents."""
        deep = -(-len(facts) // columns)
        return [
            [
                _Part(place // deep * each, each, fact.label, labels, one_line(fact.value), fact.role)
                for place, fact in enumerate(facts)
                if place % deep == row
            ]
            for row in range(deep)
        ]

    @staticmethod
    def _alone(fact: Fact, width: int, labels: int) -> list[list[_Part]]:
        if fact.heading:
            return [[_Part(0, width, fact.label, 0, "", "", heading=True)]]
        # What has no name takes the whole width.
        room = labels if fact.label else 0
        texts = wrap(fact.value, width - room - 3)
        return [
            [_Part(0, width, fact.label if number == 0 else "", room, text, fact.role)]
            for number, text in enumerate(texts)
        ]

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._lines = []
        self._arrange()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line: a fact, several beside each other, or a line of a long one."""
        width, base = self.size.width, self.rich_style
        if width != self._arranged:
            # Painted before it was told of its size.
            self._arrange()
        number = self._top + y
        if number >= len(self._lines):
            return Strip.blank(width, base)
        style = self.get_component_rich_style
        if number == self._found:
            found = style("facts--found")
            return strip_of([(" " + _said(self._lines[number]), found)], width, found)
        pieces: list[tuple[str, Style]] = []
        used = 0
        for part in self._lines[number]:
            if part.x > used:
                pieces.append((" " * (part.x - used), base))
            if part.heading:
                pieces.append((" " + part.label, style("facts--heading")))
                break
            label = " " + fit(part.label, part.label_width) if part.label_width else ""
            pieces.append((label + " ", style("facts--label")))
            pieces.append((part.text, style(f"facts--{part.role}") if part.role else base))
            used = part.x + cell_len(label) + 1 + cell_len(part.text)
        return strip_of(pieces, width, base)

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


def _said(line: Sequence[_Part]) -> str:
    """What a line says, as it is painted."""
    text = ""
    for part in line:
        text = text.ljust(part.x - (cell_len(text) - len(text)))
        label = fit(part.label, part.label_width) if part.label_width else part.label if part.heading else ""
        text += f"{label} {part.text}" if part.label_width else label + part.text
    return text
