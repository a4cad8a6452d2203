"""The line of a form's panels: which there are, which is seen, and on which something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from widgets.text import one_line, strip_of


class PanelTabs(Widget, can_focus=True):
    """The names of a form's panels; left and right go to another."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tabs--present", "tabs--wrong"}
    DEFAULT_CSS = """
    PanelTabs {
        height: 1;
        dock: top; /* the fields have what is left, not all of it */
        background: $panel;
        .tabs--present { background: $primary; color: $block-cursor-foreground; text-style: bold; }
        .tabs--wrong { color: $text-error; text-style: bold; }
    }
    """

    @dataclass
    class Chosen(Message):
        """A panel was chosen."""

        index: int

    def __init__(self) -> None:
        """Make it without panels."""
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._wrong: frozenset[int] = frozenset()
        self._at = 0

    def set(self, names: Sequence[str], at: int, wrong: frozenset[int] = frozenset()) -> None:
        """Show these names; ``wrong`` are the numbers of panels with an error on them."""
        self._names, self._at, self._wrong = tuple(names), at, wrong
        self.refresh()

    def _text(self, number: int) -> str:
        return f" {one_line(self._names[number])}{' !' if number in self._wrong else ''} "

    def render_line(self, y: int) -> Strip:
        """The names."""
        base = self.rich_style
        pieces = []
        for number in range(len(self._names)):
            style = base
            if number == self._at:
                style = self.get_component_rich_style("tabs--present")
            elif number in self._wrong:
                style = self.get_component_rich_style("tabs--wrong")
            left, right = ("[", "]") if number == self._at else (" ", " ")
            pieces.append((left + self._text(number)[1:-1] + right, style))
            pieces.append((" ", base))
        return strip_of(pieces, self.size.width, base)

    async def _on_key(self, event: events.Key) -> None:
        step = {"left": -1, "right": 1}.get(event.key)
        if step is None or not self._names:
            return
        event.stop()
        event.prevent_default()
        self.post_message(self.Chosen((self._at + step) % len(self._names)))

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        x = 0
        for number in range(len(self._names)):
            size = cell_len(self._text(number)) + 1
            if x <= event.x < x + size:
                event.stop()
                self.post_message(self.Chosen(number))
            x += size
