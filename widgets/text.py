"""Text in cells: what users wrote, made to fit exactly, with wide characters and without markup."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from widgets.glyphs import glyphs

#: Controls move the cursor, direction marks turn what follows, halves of pairs cannot be written: none may reach the
#: terminal.
_HARMFUL = {
    **dict.fromkeys((*range(32), *range(127, 160), 8232, 8233), " "),
    **dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}"),
    **dict.fromkeys((*range(8206, 8208), *range(8234, 8239), *range(8294, 8298), 65279)),
}


#: Of Chinese: what no line begins with, and what none ends with.
_CLOSING, _OPENING = frozenset("，。、；：！？）》」』】”’…"), frozenset("（《「『【“‘")


@lru_cache(8192)
def one_line(text: str) -> str:
    """The text on one line, controls and direction marks taken out."""
    return text if text.isascii() and text.isprintable() else text.translate(_HARMFUL)


@lru_cache(16384)
def _fit(text: str, width: int, right: bool, ellipsis: str) -> str:
    clean = one_line(text)
    length = cell_len(clean)
    if length > width:
        return set_cell_size(clean, width - 1) + ellipsis if width > 0 else ""
    space = " " * (width - length)
    return space + clean if right else clean + space


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly ``width`` cells: padded, or cut with an ellipsis."""
    return _fit(text, width, right, glyphs().ellipsis)


def strip_of(pieces: Iterable[tuple[str, Style]], width: int, rest: Style) -> Strip:
    """A line of ``width`` cells from styled pieces; neighbours of one style become one segment.

    Fewer segments are fewer bytes on a slow line.
    """
    segments: list[Segment] = []
    length = 0
    held, style = "", rest
    for text, own in pieces:
        size = cell_len(text)
        fitting = text if length + size <= width else set_cell_size(text, width - length)
        length += min(size, width - length)
        if own == style:
            held += fitting
            continue
        if held:
            segments.append(Segment(held, style))
        held, style = fitting, own
    if length < width:
        if style == rest:
            held += " " * (width - length)
        else:
            segments.append(Segment(held, style))
            held, style = " " * (width - length), rest
    if held:
        segments.append(Segment(held, style))
    return Strip(segments, width)


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most ``width`` cells; breaks at blanks, and inside words too long or without any."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines.extend(_wrap_line(one_line(paragraph), max(2, width)))
    return lines


def _kept_together(line: str, character: str) -> int:
    """Where a full line of a script without blanks ends: no sign that closes stands first, none that opens last."""
    place = len(line)
    while place > 1 and (character in _CLOSING or line[place - 1] in _OPENING):
        place -= 1
        character = line[place]
    # Rather a sign in the wrong place than a word torn, or a line of nothing else.
    whole = place == len(line) or not (line[place].isascii() and line[place - 1].isascii())
    return place if place > 1 and whole else len(line)


def _wrap_line(text: str, width: int) -> list[str]:
    lines, line, length, blank = [], "", 0, -1
    for character in text:
        size = cell_len(character)
        if length + size > width:
            if character == " ":
                lines.append(line)
                line, length, blank = "", 0, -1
                continue
            # Scripts without blanks break anywhere; others at the last blank of the line.
            if blank >= 0 and character.isascii():
                lines.append(line[:blank])
                line = line[blank + 1 :]
            else:
                kept = _kept_together(line, character)
                lines.append(line[:kept])
                line = line[kept:]
            length, blank = cell_len(line), line.rfind(" ")
        if character == " ":
            blank = len(line)
        line += character
        length += size
    lines.append(line)
    return lines
