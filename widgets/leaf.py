"""The base of widgets that paint their lines themselves."""

from __future__ import annotations

from rich.style import Style
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widget import Widget

#: The place of the widget's own style among those of its parts.
_OWN = ("",)


class Leaf(Widget):
    """A widget without others in it, which never scrolls.

    Textual keeps the size of what a widget shows beside the size it has, and lays the whole screen out a second time
    when that changes, as it does whenever a screen was laid out. Here nothing depends on it.
    """

    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False)

    @property
    def rich_style(self) -> Style:
        """The widget's own style, put together once and kept for as long as the styles of its parts are."""
        found = self._rich_style_cache.get(_OWN)
        if found is None:
            style = super().rich_style
            found = self._rich_style_cache[_OWN] = (style, style)
        return found[0]
