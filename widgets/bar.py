"""One line of the screen: pieces of text from the left and from the right, some of which can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from widgets.glyphs import glyphs
from widgets.leaf import Leaf
from widgets.text import fit, one_line, strip_of


class Piece(NamedTuple):
    """A piece of a line.

    Attributes:
        text: literally.
        role: how it looks: empty, ``key``, ``chosen``, ``muted``, ``strong``, ``error``, ``warning`` or ``success``.
        press: what :class:`Bar.Pressed` says when it is clicked; empty when it cannot be.
    """

    text: str
    role: str = ""
    press: str = ""


class Bar(Leaf):
    """A line made of pieces; when room is short the left part is cut."""

    ROLES: ClassVar[tuple[str, ...]] = ("key", "chosen", "muted", "strong", "error", "warning", "success")
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"bar--{role}" for role in ROLES}
    DEFAULT_CSS = """
    Bar {
        height: 1;
        width: 1fr;
        background: $background;
        color: $foreground;
        .bar--key { color: $text-accent; text-style: bold; }
        .bar--chosen { background: $primary; color: $block-cursor-foreground; text-style: bold; }
        .bar--muted { color: $text-muted; }
        .bar--strong { text-style: bold; }
        .bar--error { color: $text-error; text-style: bold; }
        .bar--warning { color: $text-warning; text-style: bold; }
        .bar--success { color: $text-success; }
    }
    """

    @dataclass
    class Pressed(Message):
        """A piece was clicked."""

        press: str

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        """Make an empty line."""
        super().__init__(id=id, classes=classes)
        self._left: tuple[Piece, ...] = ()
        self._right: tuple[Piece, ...] = ()
        self._spots: list[tuple[int, int, str]] = []

    def set(self, left: Sequence[Piece], right: Sequence[Piece] = ()) -> None:
        """Show these pieces; nothing is painted when they are the same as before."""
        if (tuple(left), tuple(right)) != (self._left, self._right):
            self._left, self._right = tuple(left), tuple(right)
            self.refresh()

    @property
    def content(self) -> str:
        """What it says, for tests and for whoever reads aloud."""
        return "".join(p.text for p in (*self._left, *self._right))

    def render_line(self, y: int) -> Strip:
        """The line; where pieces came to stand is remembered for clicks."""
        width, base = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, base)
        right = _cells(self._right)
        room = max(0, width - right)
        pieces, used = self._place(self._left, room, 0)
        if used < room:
            pieces.append((" " * (room - used), base))
        after, _used = self._place(self._right, width - room, room)
        return strip_of(pieces + after, width, base)

    def _place(self, pieces: Sequence[Piece], room: int, begin: int) -> tuple[list[tuple[str, Style]], int]:
        if not begin:
            self._spots.clear()
        placed: list[tuple[str, Style]] = []
        used = 0
        for piece in pieces:
            text = one_line(piece.text)
            if used + cell_len(text) > room:
                text = fit(text, room - used) if room > used else ""
            size = cell_len(text)
            if piece.press and size:
                self._spots.append((begin + used, begin + used + size, piece.press))
            style = self.get_component_rich_style(f"bar--{piece.role}") if piece.role else self.rich_style
            placed.append((text, style))
            used += size
        return placed, used

    def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        for begin, end, press in self._spots:
            if begin <= event.x < end:
                event.stop()
                self.post_message(self.Pressed(press))
                return


def _cells(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(one_line(piece.text)) for piece in pieces)


class KeyHint(NamedTuple):
    """A key, what it does, whether it does it now, and if not why; ``short`` says what it does where room is short."""

    key: str
    label: str
    enabled: bool = True
    press: str = ""
    why: str = ""
    short: str = ""

    @property
    def shortened(self) -> KeyHint:
        """With its short label, if it has one."""
        return self._replace(label=self.short or self.label)


class KeyBar(Bar):
    """The keys that act here; what does not act now is grey, and goes first when room is short.

    When those that act do not fit either they stand closer, then say shortly what they do; only then the last goes.
    """

    def set_keys(self, hints: Sequence[KeyHint], last: Sequence[KeyHint] = ()) -> None:
        """Show these keys; ``last`` stand at the right and are always there."""
        self._hints, self._last = tuple(hints), tuple(last)
        self._fit()

    _hints: tuple[KeyHint, ...] = ()
    _last: tuple[KeyHint, ...] = ()

    def _fit(self) -> None:
        shown, last, close = fitted(self._hints, self._last, self.size.width)
        self.set(_pieces(shown, close=close), _pieces(last))

    def on_resize(self) -> None:
        """Fit into the new width."""
        self._fit()


def fitted(hints: Sequence[KeyHint], last: Sequence[KeyHint], width: int) -> tuple[list[KeyHint], list[KeyHint], bool]:
    """The keys that a line of so many cells has room for.

    Args:
        hints: the keys in the order of their use.
        last: those that stand at the right and are always there.
        width: cells of the line.

    Returns:
        What is shown of both, each with the label it gets; and whether they stand close, with one blank between.
    """
    shown, kept, close = list(hints), list(last), False

    def too_wide() -> bool:
        return _cells_of(shown, close=close) + _cells_of(kept, close=False) > width

    for number in range(len(shown) - 1, -1, -1):
        # From the right: what is grey first.
        if too_wide() and not shown[number].enabled:
            del shown[number]
    close = too_wide()
    saves = {number: cell_len(hint.label) - cell_len(hint.shortened.label) for number, hint in enumerate(shown)}
    for number in sorted(saves, key=saves.__getitem__, reverse=True):
        if too_wide():
            shown[number] = shown[number].shortened
    if too_wide():
        kept = [hint.shortened for hint in kept]
    while shown and too_wide():
        del shown[-1]
    return shown, kept, close


def _cells_of(hints: Sequence[KeyHint], *, close: bool) -> int:
    blanks = 2 if close else 3
    return sum(cell_len(hint.key) + cell_len(hint.label) + blanks for hint in hints) + (1 if close else 0)


def _pieces(hints: Sequence[KeyHint], *, close: bool = False) -> list[Piece]:
    pieces = []
    for number, hint in enumerate(hints):
        press = (hint.press or hint.key) if hint.enabled else ""
        before = "" if close and number else " "
        pieces.append(Piece(f"{before}{hint.key} ", "key" if hint.enabled else "muted", press))
        pieces.append(Piece(f"{hint.label} ", "" if hint.enabled else "muted", press))
    return pieces


def crumbs(parts: Sequence[str]) -> list[Piece]:
    """Where one is: the way from the outermost to the innermost."""
    pieces = [Piece(" ")]
    for number, part in enumerate(parts):
        if number:
            pieces.append(Piece(f" {glyphs().crumb} ", "muted"))
        last = number == len(parts) - 1
        pieces.append(Piece(part, "strong" if last else "", "" if last else f"crumb:{number}"))
    return pieces
