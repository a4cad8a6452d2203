"""The second-level menu: a column of entries, one of them the present one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.message import Message
from textual.strip import Strip

from widgets.glyphs import glyphs
from widgets.leaf import Leaf
from widgets.text import fit, strip_of


class SideMenu(Leaf, can_focus=True):
    """A column of (name, title) entries; Enter or a click chooses one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"menu--cursor", "menu--present"}
    DEFAULT_CSS = """
    SideMenu {
        width: 20;
        height: 1fr;
        background: $panel;
        color: $foreground;
        .menu--present { text-style: bold; color: $text-primary; }
        .menu--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    }
    """

    @dataclass
    class Chosen(Message):
        """An entry was chosen."""

        entry: str

    def __init__(self, *, id: str | None = None) -> None:
        """Make an empty menu."""
        super().__init__(id=id)
        self._entries: tuple[tuple[str, str], ...] = ()
        self._present = ""
        self._at = 0

    def set(self, entries: Sequence[tuple[str, str]], present: str) -> None:
        """Show these entries.

        Args:
            entries: name and title of each.
            present: the name of the one that is open.
        """
        if (tuple(entries), present) != (self._entries, self._present):
            self._entries, self._present = tuple(entries), present
            names = [name for name, _title in entries]
            self._at = names.index(present) if present in names else 0
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One entry; the first line is empty to stand beside the table's head."""
        width = self.size.width
        number = y - 1
        if not 0 <= number < len(self._entries):
            return Strip.blank(width, self.rich_style)
        name, title = self._entries[number]
        style = self.rich_style
        if self.has_focus and number == self._at:
            style = self.get_component_rich_style("menu--cursor")
        elif name == self._present:
            style = self.get_component_rich_style("menu--present")
        sign = glyphs().cursor if name == self._present else " "
        return strip_of([(f" {sign} {fit(title, max(0, width - 4))} ", style)], width, style)

    async def _on_key(self, event: events.Key) -> None:
        step = {"down": 1, "j": 1, "up": -1, "k": -1}.get(event.key)
        if step is not None:
            self._at = max(0, min(self._at + step, len(self._entries) - 1))
            self.refresh()
        elif event.key in ("enter", "space") and self._entries:
            self.post_message(self.Chosen(self._entries[self._at][0]))
        else:
            return
        event.stop()
        event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        if 0 <= event.y - 1 < len(self._entries):
            event.stop()
            self.post_message(self.Chosen(self._entries[event.y - 1][0]))
