"""What stands over everything while the terminal is too small to show it: half a form misleads more than none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.cells import cell_len
from textual.geometry import Size
from textual.message_pump import MessagePump
from textual.strip import Strip
from textual.widget import Widget

from widgets.leaf import Leaf
from widgets.text import strip_of, wrap

#: Cells and lines below which values of forms or their buttons would lie outside.
LEAST = Size(60, 20)


def is_too_small(size: Size) -> bool:
    """Whether a terminal of this size cannot show what is on the screens."""
    return size.width < LEAST.width or size.height < LEAST.height


class TooSmall(Leaf):
    """A sentence in the middle of nothing, over the whole screen."""

    DEFAULT_CSS = """
    TooSmall {
        width: 100%; height: 100%;
        background: $background; color: $text-warning; text-style: bold;
    }
    """

    def __init__(self, says: Callable[[], str]) -> None:
        """Make it; ``says`` gives the sentence in the language now set."""
        super().__init__()
        self._says = says

    def render_line(self, y: int) -> Strip:
        """A line; the sentence is centered both ways."""
        width, base = self.size.width, self.rich_style
        lines = wrap(self._says(), width)
        line = y - max(0, (self.size.height - len(lines)) // 2)
        text = lines[line].strip() if 0 <= line < len(lines) else ""
        return strip_of([(" " * max(0, (width - cell_len(text)) // 2) + text, base)], width, base)


class Covered(MessagePump):
    """A screen that is covered while the terminal is too small, and comes back as it was when it grows."""

    #: What had the focus before it was covered: what is not shown cannot keep it.
    _focused_before: Widget | None = None

    def too_small(self) -> str:
        """What is said then, translated."""
        return ""

    def get_loading_widget(self) -> Widget:
        """See :class:`textual.widget.Widget`: what covers it. Nothing else of it is composed meanwhile."""
        return TooSmall(self.too_small)

    def on_resize(self) -> None:
        """The terminal may have become too small, or large enough again."""
        self.call_later(self._cover_if_too_small)

    def on_screen_resume(self) -> None:
        """It may have while another screen was in front."""
        # A screen that was never laid out would cover itself with a widget that nobody gives a size.
        self.call_after_refresh(self._cover_if_too_small)

    def _cover_if_too_small(self) -> None:
        screen: Any = self  # it is mixed into screens, and must not be one: styles follow the first base that is
        small = is_too_small(screen.app.size)
        if small == screen.loading:
            return
        if small:
            self._focused_before = screen.focused
        screen.loading = small
        if not small:
            # While it is covered Textual does not tell a screen its size, and would lay it out by that of before.
            screen._refresh_layout(screen.app.size)  # noqa: SLF001
        before = self._focused_before
        if not small and before is not None:
            # Once it is composed again; as when the terminal itself comes back, so that nothing typed is selected.
            screen.call_after_refresh(
                lambda: screen.set_focus(before, from_app_focus=True) if before.is_attached else None
            )
