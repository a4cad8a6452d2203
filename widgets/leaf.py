"""The bases of widgets that paint their lines themselves, and of what lies behind them."""

from __future__ import annotations

from rich.style import Style
from textual.containers import Horizontal, Vertical
from textual.css.styles import RenderStyles
from textual.dom import DOMNode
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

    def _get_component_classes(self) -> frozenset[str]:  # type: ignore[override]
        """The parts whose styles are kept up to date: those that were painted. Textual makes all of them in advance."""
        return frozenset(self._component_styles)

    def get_component_styles(self, *names: str) -> RenderStyles:
        """See :class:`textual.dom.DOMNode`; a part's styles are sought out when it is painted first."""
        declared = super()._get_component_classes()
        for name in names:
            if name in declared and name not in self._component_styles:
                part = DOMNode(classes=name)
                part._attach(self)  # noqa: SLF001  (as Textual does it for all at once)
                self.app.stylesheet.apply(part, animate=False)
                self._component_styles[name] = part.styles
        return super().get_component_styles(*names)

    @property
    def rich_style(self) -> Style:
        """The widget's own style, put together once and kept for as long as the styles of its parts are."""
        found = self._rich_style_cache.get(_OWN)
        if found is None:
            style = super().rich_style
            found = self._rich_style_cache[_OWN] = (style, style)
        return found[0]


class Backdrop(Widget):
    """What lies behind other widgets and has nothing of its own but a ground; named last, styles follow the first base.

    Textual goes through its whole painting for it at every change of a line above it. Where colours are turned into
    greys it still does.
    """

    @property
    def BLANK(self) -> bool:  # type: ignore[override]
        """See :class:`textual.widget.Widget`."""
        return not self.app.no_color


class Across(Horizontal, Backdrop):
    """Widgets beside each other."""


class Down(Vertical, Backdrop):
    """Widgets below each other."""
