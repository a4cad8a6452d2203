"""How every list is asked for and answered: search, filters, sort, page, and the total.

A list costs about the same whether it has a hundred rows or a million, because no statement reads a table from one
end to the other:

* The *total* is counted up to a bound and said to be "at least" beyond it (:class:`core.services.paging.Total`). The
  bound moves on with the page that is asked for, so that one can go on as far as one likes.
* A page is found by identity first (:mod:`core.services.paging`), along an index where there is one; the rows
  themselves are read for the page alone.

Services add one statement per many-to-many relation of the page, never one per row. Ties are broken by the identity,
so that pages neither repeat nor skip a row. ``tests/scale`` looks at the plans of every list, filter and order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from core.errors import InvalidInput
from core.i18n import N_
from core.services.operation import Answer, Call
from core.services.paging import Fits, Named, Order, Span, Summed, Total, find

#: Most rows of one page.
MAX_LIMIT = 1000

#: How a filter's value becomes a condition, and how a text does that is searched for.
Condition = Callable[[Any], Fits]
Search = Callable[[str], Fits]


@dataclass(frozen=True)
class Falling:
    """An order that goes down where another one goes up: of what is shown as the opposite of what is kept."""

    of: Any


@dataclass(frozen=True)
class Query:
    """The arguments that every list operation takes.

    A list operation declares one keyword parameter ``query: Query``; the six fields are its arguments.
    ``search`` is looked for, whatever its case, in the names people know the rows by. A filter whose value
    is empty filters nothing. ``sort`` is a key of the row.
    """

    search: str = ""
    filters: dict[str, Any] = field(default_factory=dict)
    sort: str = ""
    descending: bool = False
    offset: int = 0
    limit: int = 200


def listing(
    call: Call,
    statement: Select[Any],
    query: Query,
    *,
    columns: Mapping[str, ColumnElement[Any] | Named | Summed | Falling | Any],
    tie: ColumnElement[int] | Any,
    search: Sequence[ColumnElement[str] | Any] | Search = (),
    filters: Mapping[str, Condition] | None = None,
    default: Sequence[ColumnElement[Any] | Any] = (),
    rows: Select[Any] | None = None,
    among: Callable[[Sequence[int]], ColumnElement[bool]] | None = None,
) -> tuple[Sequence[Row[Any]], Total]:
    """One page of a select, and how many rows there are in all.

    Args:
        call: the operation's call.
        statement: a select with its joins and its conditions of visibility; not grouped, not ordered.
        query: what was asked for.
        columns: what may be sorted by, row key -> column; the first is the order when none is asked for.
        tie: the unique column that orders equals, usually the table's ``id``; or several columns, the last of them
            unique, where there are indexes that go on with them.
        search: the text columns that ``query.search`` is looked for in; or what makes its condition.
        filters: filter key -> function from its value to a condition.
        default: the whole order when none is asked for, where the first column is not enough.
        rows: the select that reads the rows of the page, when it has joins that finding them does not need.
        among: makes the condition that a row is one of some, where ``tie`` itself has no index.

    Raises:
        InvalidInput: the page, the order or a filter makes no sense.
    """
    _check_page(query)
    ties = tuple(tie) if isinstance(tie, Sequence) else (tie,)
    usual = default and not query.sort and not query.descending
    order = Order(tuple(_direction(part) for part in default)) if usual else _order(query, columns, ties)
    found = _conditions(query, filters or {})
    if query.search.strip():
        text = query.search.strip()
        found.append(search(text) if callable(search) else contains(call, search, text))
    identity = ties[-1]
    only = statement.with_only_columns(identity.label("identity"), maintain_column_froms=True)
    of_ids = among or identity.in_
    ids, total = find(call, only, of_ids, found, order, Span(query.offset, query.limit))
    if not ids:
        return [], total
    chosen = (statement if rows is None else rows).where(of_ids(ids)).add_columns(identity.label("identity"))
    place = {number: at for at, number in enumerate(ids)}
    return sorted(call.session.execute(chosen).all(), key=lambda row: place[row.identity]), total


def _direction(part: Any) -> tuple[Any, bool]:
    if isinstance(part, UnaryExpression) and part.modifier is operators.desc_op:
        return part.element, True
    return part, False


def answer(rows: Sequence[Mapping[str, Any]], total: int) -> Answer:
    """The answer of a list operation; ``more`` is there, and true, when there are more rows than ``total``."""
    more = {"more": True} if isinstance(total, Total) and total.more else {}
    return {"rows": list(rows), "total": int(total), **more}


def iso(time: datetime | None) -> str | None:
    """A time as rows give it: ISO 8601, UTC."""
    return time.isoformat() if time is not None else None


def flag(value: Any) -> bool:
    """The value of a yes-or-no filter, which the command line gives as a word."""
    return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes", "on")


def moment(value: Any, *, field: str = "filters") -> datetime:
    """The value of a filter or argument by time: ISO 8601, UTC unless it says otherwise.

    Raises:
        InvalidInput: it is no time.
    """
    try:
        time = datetime.fromisoformat(str(value))
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        raise InvalidInput(
            N_("{text} is not a time; write it as 2026-01-31 or 2026-01-31T18:30."), field=field, text=str(value)
        ) from None


def called(model: Any, reference: Any) -> Select[Any]:
    """The ids of what has a name or a UUID, for a filter by what rows belong to: found before the rows are."""
    return select(model.id).where((model.name == reference) | (model.uuid == reference))


def contains(call: Call, columns: Sequence[ColumnElement[str] | Any], text: str) -> ColumnElement[bool]:
    """The condition that one of the columns contains a text, whatever its case; ``%`` and ``_`` are only characters."""
    lowered = text.lower()
    escaped = lowered.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    sqlite = call.session.get_bind().dialect.name == "sqlite"
    # SQLite's own lower() knows ASCII only; the slower one of core.database is needed where case exists beyond it.
    # For ASCII its LIKE needs neither: it takes no notice of case, in half the time.
    beyond_ascii = any(not c.isascii() and c.lower() != c.upper() for c in text)
    fold = (func.unicode_lower if beyond_ascii else lambda column: column) if sqlite else func.lower
    return or_(*(fold(column).like(f"%{escaped}%", escape="\\") for column in columns))


def _check_page(query: Query) -> None:
    if query.offset < 0:
        raise InvalidInput(N_("{field} is out of range."), field="offset")
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidInput(N_("A page has 1 to {limit} rows."), field="limit", limit=MAX_LIMIT)


def _conditions(query: Query, known: Mapping[str, Condition]) -> list[Fits]:
    conditions: list[Fits] = []
    for key, value in query.filters.items():
        if key not in known:
            raise InvalidInput(N_("There is no filter {name}."), field="filters", name=key)
        if not isinstance(value, str | int | float | bool | type(None)):
            raise InvalidInput(N_("The filter {name} has the wrong type."), field="filters", name=key)
        if value is not None and value != "":
            conditions.append(known[key](value))
    return conditions


def _order(query: Query, columns: Mapping[str, Any], ties: Sequence[Any]) -> Order:
    key = query.sort or next(iter(columns))
    if key not in columns:
        raise InvalidInput(N_("The list cannot be sorted by {name}."), field="sort", name=key)
    chosen, down = columns[key], query.descending
    if isinstance(chosen, Falling):
        chosen, down = chosen.of, not down
    rest = [tie for tie in ties if tie is not chosen]
    return Order(((chosen, down), *((tie, query.descending) for tie in rest)))
