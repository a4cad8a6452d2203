"""Where notices stand: at the bottom, or at the top while the cursor is where they would lie over it."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any

from rich.cells import cell_len
from textual.css.query import NoMatches
from textual.notifications import Notification
from textual.screen import Screen
from textual.widgets._toast import ToastRack

#: Cells of a notice's line, see ``console.tcss``; what does not fit goes to the next one.
_LINE = 57


def _lines(notices: Iterable[Notification], width: int) -> int:
    """How many lines notices take, each with the blank one before it."""
    line = max(1, min(_LINE, width * 9 // 10 - 3))
    return sum(1 + sum(max(1, ceil(cell_len(part) / line)) for part in n.message.split("\n")) for n in notices)


def place(screen: Screen[Any], notices: Iterable[Notification]) -> None:
    """Put a screen's notices where its cursor is not; they stay where they are when nothing is to be hidden."""
    focused, height = screen.focused, screen.size.height
    if focused is None:
        return
    at = focused.region.y + int(getattr(focused, "at_line", 0))
    # The last line is that of the keys.
    first = height - 1 - _lines(notices, screen.size.width)
    try:
        screen.get_child_by_type(ToastRack).set_class(first <= at < height - 1, "-above")
    except NoMatches:
        return
