"""The signs that widgets draw with: a full set, and one for terminals whose font has ASCII only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    """One set of signs; each takes one cell."""

    ellipsis: str
    ascending: str
    descending: str
    cursor: str
    mark: str
    more_left: str
    more_right: str
    crumb: str
    bar_full: str
    bar_empty: str
    chosen: str
    previous: str
    next: str
    vertical: str
    corner: str
    tee: str
    braille: bool


FULL = Glyphs(
    ellipsis="…",
    ascending="▲",
    descending="▼",
    cursor="▸",
    mark="*",
    more_left="‹",
    more_right="›",
    crumb="›",
    bar_full="█",
    bar_empty="░",
    chosen="✓",
    previous="◂",
    next="▸",
    vertical="│",
    corner="└",
    tee="┤",
    braille=True,
)
PLAIN = Glyphs(
    ellipsis="~",
    ascending="^",
    descending="v",
    cursor=">",
    mark="*",
    more_left="<",
    more_right=">",
    crumb=">",
    bar_full="#",
    bar_empty=".",
    chosen="x",
    previous="<",
    next=">",
    vertical="|",
    corner="+",
    tee="+",
    braille=False,
)

_now = FULL


def glyphs() -> Glyphs:
    """The set now in use."""
    return _now


def use_plain(plain: bool) -> None:
    """Choose the set for the whole process; widgets draw with it from their next refresh on."""
    global _now
    _now = PLAIN if plain else FULL
