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
    """A key, what it does, whether it does it now, and if not why."""

    key: str
    label: str
    enabled: bool = True
    press: str = ""
    why: str = ""


class KeyBar(Bar):
    """The keys that act here; what does not act now is grey, and goes first when room is short."""

    def set_keys(self, hints: Sequence[KeyHint], last: Sequence[KeyHint] = ()) -> None:
        """Show these keys; ``last`` stand at the right and are always there."""
        self._hints, self._last = tuple(hints), tuple(last)
        self._fit()

    _hints: tuple[KeyHint, ...] = ()
    _last: tuple[KeyHint, ...] = ()

    def _fit(self) -> None:
        room = self.size.width - sum(_width(hint) for hint in self._last)
        shown = list(self._hints)
        while shown and sum(_width(hint) for hint in shown) > room:
            # From the right: what is grey first, then what is bright.
            grey = [n for n, hint in enumerate(shown) if not hint.enabled]
            del shown[grey[-1] if grey else -1]
        self.set(_pieces(shown), _pieces(self._last))

    def on_resize(self) -> None:
        """Fit into the new width."""
        self._fit()


def _width(hint: KeyHint) -> int:
    return cell_len(hint.key) + cell_len(hint.label) + 3


def _pieces(hints: Sequence[KeyHint]) -> list[Piece]:
    pieces = []
    for hint in hints:
        press = (hint.press or hint.key) if hint.enabled else ""
        pieces.append(Piece(f" {hint.key} ", "key" if hint.enabled else "muted", press))
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
