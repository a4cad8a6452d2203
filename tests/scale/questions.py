"""What a person can ask of each list, made from the declarations: opened, paged, searched, filtered, sorted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from screens import registry
from screens.generic.list_view import can_sort
from screens.spec import Filter, Kind, ResourceSpec

#: What is searched for: one thing, several, very many, the account with a third of the logs, one that left, nothing.
SEARCHES = ("00042", "user-0001", "7", "sysadm", "left-00", "nothing such")
#: Values of filters that are texts, by key; of others something is asked for that is not there.
TEXTS: Mapping[str, tuple[str, ...]] = {
    "account": ("user-00012", "user-0001", "sysadm", "left-00000", "user"),
    "target": ("vm-00012",),
    "usage": ("web/disks",),
}
TIMES = ("2025-01-05T00:00", "2025-06-01T00:00")


@dataclass(frozen=True)
class Question:
    """One question to a list operation: its arguments, and what a person calls it."""

    spec: ResourceSpec
    label: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def chooses(self) -> bool:
        """Whether rows are left out."""
        return bool(self.arguments.get("search") or self.arguments.get("filters"))


def listed(role: str) -> list[ResourceSpec]:
    """The resources of a role that have a list."""
    return [spec for spec in registry.resources() if spec.lists_by and role in spec.roles and not spec.single]


def questions(spec: ResourceSpec, role: str, *, combined: bool = False) -> Iterator[Question]:
    """All of a list's questions that the declaration offers to a role.

    Args:
        spec: the list.
        role: who asks.
        combined: each order together with each filter and with a search as well, in turn up and down.
    """
    usual = {"sort": spec.default_sort.removeprefix("-"), "descending": spec.default_sort.startswith("-")}
    yield Question(spec, "open", usual)
    for text in SEARCHES:
        yield Question(spec, f"search {text}", {**usual, "search": text})
    for column in spec.columns:
        if can_sort(column) and role in column.roles:
            for descending in (False, True):
                label = f"sort {'-' if descending else ''}{column.key}"
                yield Question(spec, label, {"sort": column.key, "descending": descending})
    for each in spec.filters:
        if role in each.roles:
            for value in _values(each):
                yield Question(spec, f"filter {each.key}={value}", {**usual, "filters": {each.key: value}})
    if combined:
        yield from _combined(spec, role)


def _combined(spec: ResourceSpec, role: str) -> Iterator[Question]:
    chosen: list[tuple[str, dict[str, Any]]] = [
        (f"filter {each.key}={value}", {"filters": {each.key: value}})
        for each in spec.filters
        if role in each.roles
        for value in _values(each)
    ]
    chosen += [(f"search {text}", {"search": text}) for text in ("7", "user-0001")]
    for column in spec.columns:
        if can_sort(column) and role in column.roles:
            for place, (label, arguments) in enumerate(chosen):
                order = {"sort": column.key, "descending": place % 2 == 1}
                yield Question(spec, f"{label}, sort {column.key}", {**order, **arguments})


def _values(known: Filter) -> tuple[Any, ...]:
    if known.kind is Kind.BOOLEAN:
        return (True, False)
    if known.kind is Kind.TIME:
        return TIMES
    if known.choices:
        return tuple(value for value, _label in known.choices)
    if known.resource:
        return (f"{known.resource}-00012",)
    return TEXTS.get(known.key, ("nothing such",))
