"""Words, wrapped, exactly as they are: never markup."""

from __future__ import annotations

from typing import ClassVar

from textual.geometry import Size
from textual.strip import Strip

from widgets.leaf import Leaf
from widgets.text import strip_of, wrap


class Paragraph(Leaf):
    """Text over as many lines as it needs."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"paragraph--text"}
    DEFAULT_CSS = """
    Paragraph {
        height: auto;
        width: 1fr;
        color: $foreground;
        &.-muted { color: $text-muted; }
        &.-strong { text-style: bold; }
        &.-error { color: $text-error; text-style: bold; }
        &.-warning { color: $text-warning; }
    }
    """

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        """Make a paragraph."""
        super().__init__(id=id, classes=classes)
        self._text = text

    @property
    def content(self) -> str:
        """The text."""
        return self._text

    def set(self, text: str) -> None:
        """Say something else."""
        if text != self._text:
            self._text = text
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the text needs; none for no text."""
        return len(wrap(self._text, width)) if self._text else 0

    def render_line(self, y: int) -> Strip:
        """A line of the text."""
        width, base = self.size.width, self.rich_style
        lines = wrap(self._text, width) if self._text else []
        return strip_of([(lines[y] if y < len(lines) else "", base)], width, base)
