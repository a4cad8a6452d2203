"""Which rows a command is about, when they are not named: by a search and filters, as lists take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.errors import UsageError
from core.i18n import N_
from core.rpc.backend import HostdBackend
from dosvm_tui.commands.options import read_value
from dosvm_tui.commands.words import Option, Words
from screens.spec import Field, Kind, ResourceSpec

SELECTING: tuple[Option, ...] = (
    Option("search", "TEXT", N_("only rows whose names contain it")),
    Option("filter", "KEY=VALUE", N_("only rows with this value"), many=True),
)
#: Rows fetched by one call; the most a list operation gives.
_PAGE = 1000


def selects(words: Words) -> bool:
    """Whether the words select rows."""
    return bool(words.values.keys() & {option.name for option in SELECTING})


def refuse_empty(words: Words) -> None:
    """Refuse to select rows by nothing, as an empty variable of a shell does: that would be all of them.

    Raises:
        UsageError: a search is empty or blank, or the value of a filter is.
    """
    remedy = N_("Name the rows, or say what they have in common.")
    if any(not text.strip() for text in words.values.get("search", [])):
        raise UsageError(N_("{option} is empty: that would be every row."), remedy=remedy, option="--search")
    for text in words.values.get("filter", []):
        key, equals, value = text.partition("=")
        if equals and not value.strip():
            raise UsageError(N_("{option} is empty: that would be every row."), remedy=remedy, option=f"--filter {key}")


def query_of(spec: ResourceSpec, words: Words, sort: str) -> dict[str, Any]:
    """The arguments of a list operation that the words ask for, in an order (``-`` in front: the other way round).

    Raises:
        UsageError: a filter is unknown, or its value makes no sense.
    """
    return {
        "search": words.value("search") or "",
        "filters": dict(_filter(spec, text) for text in words.values.get("filter", [])),
        "sort": sort.removeprefix("-"),
        "descending": sort.startswith("-"),
    }


def _filter(spec: ResourceSpec, text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    known = {f.key: f for f in spec.filters}
    if not equals or key not in known:
        raise UsageError(
            N_("{option} takes KEY=VALUE; the keys are: {keys}."), option="--filter", keys=", ".join(known) or "-"
        )
    found = known[key]
    kind = found.kind if found.kind in (Kind.BOOLEAN, Kind.INTEGER, Kind.TIME) else Kind.TEXT
    return key, read_value(Field(key, found.label, kind, option="filter", choices=found.choices), value)


def rows_of(
    backend: HostdBackend, operation: str, query: dict[str, Any], limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a list, page by page; ``limit`` of them at most."""
    count = 0
    while limit is None or count < limit:
        page = _PAGE if limit is None else min(_PAGE, limit - count)
        answer = backend.call(operation, offset=count, limit=page, **query)
        yield from answer["rows"]
        count += len(answer["rows"])
        if not answer["rows"] or (count >= answer["total"] and not answer.get("more")):
            return
