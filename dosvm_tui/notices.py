"""Where notices stand: where they lie over nothing that one is at, types into, or needs to go on."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any

from rich.cells import cell_len
from textual.css.query import NoMatches
from textual.notifications import Notification
from textual.screen import Screen
from textual.widgets._toast import ToastRack

from screens.base import BaseScreen
from widgets.dialog import Box, Dialog

#: Cells of a notice's line, see ``console.tcss``; what does not fit goes to the next one.
_LINE = 57
#: How much worse it is to hide a line that is needed than one of a dialog that is only there.
_NEEDED = 1000


def _lines(notices: Iterable[Notification], width: int) -> int:
    """How many lines notices take, each with the blank one before it."""
    line = max(1, min(_LINE, width * 9 // 10 - 3))
    return sum(1 + sum(max(1, ceil(cell_len(part) / line)) for part in n.message.split("\n")) for n in notices)


def _worth(screen: Screen[Any]) -> dict[int, int]:
    """The lines of a screen that are not to be hidden, and how much each is worth."""
    worth: dict[int, int] = {}

    def keep(first: int, lines: int, much: int) -> None:
        worth.update({y: max(much, worth.get(y, 0)) for y in range(first, first + lines)})

    focused = screen.focused
    if focused is not None:
        # Of what has many lines the one that one is at.
        keep(focused.region.y + int(getattr(focused, "at_line", 0)), 1, _NEEDED)
    if isinstance(screen, Dialog):
        for box in screen.query(Box):
            keep(box.region.y, box.region.height, 1)
        for widget in screen.needed():
            keep(widget.region.y, widget.region.height, _NEEDED)
    return worth


def _head(screen: Screen[Any]) -> int:
    """The lines at the top that stay free: of a full screen where one is, what is away, and what is searched by."""
    return screen.query_one("#body").region.y + 1 if isinstance(screen, BaseScreen) and screen.is_framed else 0


def place(screen: Screen[Any], notices: Iterable[Notification]) -> None:
    """Put a screen's notices at the bottom, or at the top, or between, wherever they hide least.

    Beside a dialog, if there is room; else over what nobody is at.
    """
    worth = _worth(screen)
    if not worth:
        return
    lines = _lines(notices, screen.size.width)
    # The last line is that of the keys.
    top, bottom = _head(screen), screen.size.height - 1 - lines
    places = [bottom, top, *range(bottom - 1, top, -1)]
    at = min(places, key=lambda first: sum(worth.get(y, 0) for y in range(first, first + lines)))
    try:
        rack = screen.get_child_by_type(ToastRack)
    except NoMatches:
        return
    rack.set_class(at == top and at != bottom, "-above")
    if at == bottom:
        rack.styles.clear_rule("margin")
    elif at == top:
        rack.styles.margin = (top, 0, 0, 0)
    else:
        rack.styles.margin = (0, 0, screen.size.height - at - lines, 0)
