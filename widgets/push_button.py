"""A button of one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.message import Message
from textual.strip import Strip

from widgets.leaf import Leaf
from widgets.text import one_line, strip_of


class PushButton(Leaf, can_focus=True):
    """A word in brackets; Enter, Space or a click presses it. The focus is told by sign, not by colour alone."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"button--focus"}
    DEFAULT_CSS = """
    PushButton {
        height: 1;
        width: auto;
        margin: 0 1;
        background: $surface;
        color: $foreground;
        &:focus { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
        &.-danger { color: $text-error; }
        &.-danger:focus { background: $error; color: $background; }
        &.-off { color: $text-muted; text-style: dim; }
    }
    """

    @dataclass
    class Pressed(Message):
        """The button was pressed."""

        press: str

    def __init__(self, label: str, press: str, *, danger: bool = False, id: str | None = None) -> None:
        """Make a button.

        Args:
            label: its word.
            press: what :class:`Pressed` says.
            danger: whether it does harm.
            id: the widget's id.
        """
        super().__init__(id=id, classes="-danger" if danger else None)
        self._label = label
        self._press = press
        self._enabled = True

    def set_label(self, label: str) -> None:
        """Give it another word."""
        if label != self._label:
            self._label = label
            self.refresh(layout=True)

    def set_enabled(self, enabled: bool) -> None:
        """Whether it can be pressed; it keeps its place and its focus."""
        self._enabled = enabled
        self.set_class(not enabled, "-off")

    def get_content_width(self, container: object, viewport: object) -> int:
        """The word, its brackets, a blank at each side."""
        return cell_len(one_line(self._label)) + 4

    def render_line(self, y: int) -> Strip:
        """The word in brackets; sharper ones with the focus."""
        left, right = ("> ", " <") if self.has_focus else ("[ ", " ]")
        base = self.rich_style
        return strip_of([(left + one_line(self._label) + right, base)], self.size.width, base)

    def press(self) -> None:
        """Press it."""
        if self._enabled:
            self.post_message(self.Pressed(self._press))

    async def _on_key(self, event: events.Key) -> None:
        if event.key in ("enter", "space"):
            self.press()
        elif event.key in ("left", "up"):
            self.screen.focus_previous(PushButton)
        elif event.key in ("right", "down"):
            self.screen.focus_next(PushButton)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        event.stop()
        self.focus()
        self.press()
