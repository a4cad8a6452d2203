"""How a person sees a list: which columns in which order, and by what its rows are sorted. Kept per resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from screens.context import Settings
from screens.generic.cells import listed
from screens.spec import Column, Kind, ResourceSpec, Row

#: Kinds that take lines of their own: no column of a table.
_LONG = frozenset({Kind.MULTILINE, Kind.XML})
#: From so many lines on there is room for details below a list, from so many cells on beside it.
BELOW_FROM, RIGHT_FROM = 40, 140
#: Cells of the details when they stand beside a list.
PANE_WIDTH = 44
#: Cells that a terminal must have for them to stand at the right at all, whatever was chosen.
RIGHT_LEAST = 80


@dataclass(frozen=True)
class ListView:
    """What was chosen for a list.

    Attributes:
        columns: keys in order; empty: the declared ones that the width has room for.
        sort: key of the column it is sorted by.
        descending: the other way round.
    """

    columns: tuple[str, ...] = ()
    sort: str = ""
    descending: bool = False

    def sorted_by(self, key: str) -> ListView:
        """Sorted by a column; the other way round when it was sorted by it."""
        return replace(self, sort=key, descending=self.sort == key and not self.descending)


def usual_view(spec: ResourceSpec) -> ListView:
    """The view that the declaration gives."""
    return ListView((), spec.default_sort.lstrip("-"), spec.default_sort.startswith("-"))


def view_of(settings: Settings, spec: ResourceSpec, role: str) -> ListView:
    """What a person chose for a list, as far as it still makes sense; the usual view otherwise."""
    usual = usual_view(spec)
    kept: Mapping[str, Any] = settings.lists.get(spec.name, {})
    sort = str(kept["sort"]) if "sort" in kept else spec.default_sort
    columns = kept.get("columns")
    known = {column.key: column for column in spec.columns if role in column.roles and column.kind not in _LONG}
    # Whatever is kept may be of any kind: a list is no key.
    wanted = [str(key) for key in columns] if isinstance(columns, list) else []
    keys = tuple(dict.fromkeys(key for key in wanted if key in known))
    column = known.get(sort.lstrip("-"))
    if sort.lstrip("-") != usual.sort and (column is None or not can_sort(column)):
        return replace(usual, columns=keys)
    return ListView(keys, sort.lstrip("-"), sort.startswith("-"))


def keep_view(settings: Settings, spec: ResourceSpec, view: ListView) -> None:
    """Remember it; what is as declared takes no room."""
    kept: dict[str, Any] = {}
    if view.columns:
        kept["columns"] = list(view.columns)
    if replace(view, columns=()) != usual_view(spec):
        kept["sort"] = f"{'-' if view.descending else ''}{view.sort}"
    if kept == settings.lists.get(spec.name, {}):
        return
    if kept:
        settings.lists[spec.name] = kept
    else:
        settings.lists.pop(spec.name, None)
    settings.save()


def can_sort(column: Column) -> bool:
    """Whether the list operation sorts by it."""
    return column.sorts


def shown_columns(spec: ResourceSpec, role: str, view: ListView, width: int) -> list[Column]:
    """The columns of a list.

    Args:
        spec: the resource.
        role: who looks.
        view: what was chosen.
        width: cells there are for the list.
    """
    if not view.columns:
        return listed(spec, role, width)
    by_key = {column.key: column for column in spec.columns if role in column.roles}
    return [by_key[key] for key in view.columns if key in by_key]


def offered_columns(spec: ResourceSpec, role: str, rows: Sequence[Row]) -> list[Column]:
    """The columns one may choose: those of the list, and those of the details that its rows have too."""
    has = {key for row in rows for key in row}
    return [
        column
        for column in spec.columns
        if role in column.roles and column.kind not in _LONG and (not column.details_only or column.key in has)
    ]


def pane_place(wish: str, width: int, height: int) -> str:
    """Where the details of the row under the cursor stand: ``below``, ``right``, or empty for nowhere.

    Args:
        wish: ``auto`` (where there is room), ``below``, ``right`` or ``off``.
        width: of the terminal, in cells.
        height: of the terminal, in lines.
    """
    if wish == "auto":
        return "below" if height >= BELOW_FROM else "right" if width >= RIGHT_FROM else ""
    if wish == "right" and width < RIGHT_LEAST:
        return ""
    return "" if wish == "off" else wish


def next_pane(place: str) -> str:
    """The wish after a place, as one key goes through them."""
    return {"": "below", "below": "right", "right": "off"}[place]
