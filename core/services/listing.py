"""How every list is asked for and answered: search, filters, sort, page, and the total.

Lists stay fast with tens of thousands of rows: one statement for the page, one for the total, and the
services add one statement per many-to-many relation of the page, never one per row. Ties are broken by
the identity, so that pages neither repeat nor skip a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, or_

from core.errors import InvalidInput
from core.i18n import N_
from core.services.operation import Answer, Call

#: Most rows of one page.
MAX_LIMIT = 1000

#: How a filter's value becomes a condition.
Condition = Callable[[Any], ColumnElement[bool]]


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
    columns: Mapping[str, ColumnElement[Any] | Any],
    tie: ColumnElement[int] | Any,
    search: Sequence[ColumnElement[str] | Any] = (),
    filters: Mapping[str, Condition] | None = None,
    default: Sequence[ColumnElement[Any] | Any] = (),
) -> tuple[Sequence[Row[Any]], int]:
    """One page of a select, and how many rows there are in all.

    Args:
        call: the operation's call.
        statement: a select with its joins and its conditions of visibility; not grouped, not ordered.
        query: what was asked for.
        columns: what may be sorted by, row key -> column; the first is the order when none is asked for.
        tie: the unique column that orders equals, usually the table's ``id``.
        search: the text columns that ``query.search`` is looked for in.
        filters: filter key -> function from its value to a condition.
        default: the whole order when none is asked for, where the first column is not enough.

    Raises:
        InvalidInput: the page, the order or a filter makes no sense.
    """
    _check_page(query)
    usual = default and not query.sort and not query.descending
    order = list(default) if usual else _order(query, columns, tie)
    conditions = _conditions(query, filters or {})
    if query.search.strip():
        conditions.append(contains(call, search, query.search.strip()))
    chosen = statement.where(*conditions)
    total = call.session.scalar(chosen.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    if query.offset >= total:
        return [], total
    page = chosen.order_by(*order).offset(query.offset).limit(query.limit)
    return call.session.execute(page).all(), total


def answer(rows: Sequence[Mapping[str, Any]], total: int) -> Answer:
    """The answer of a list operation."""
    return {"rows": list(rows), "total": total}


def iso(time: datetime | None) -> str | None:
    """A time as rows give it: ISO 8601, UTC."""
    return time.isoformat() if time is not None else None


def flag(value: Any) -> bool:
    """The value of a yes-or-no filter, which the command line gives as a word."""
    return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes", "on")


def moment(value: Any) -> datetime:
    """The value of a filter by time: ISO 8601, UTC unless it says otherwise.

    Raises:
        InvalidInput: it is no time.
    """
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        raise InvalidInput(
            N_("{text} is not a time; write it as 2026-01-31 or 2026-01-31T18:30."), field="filters", text=str(value)
        ) from None
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def contains(call: Call, columns: Sequence[ColumnElement[str] | Any], text: str) -> ColumnElement[bool]:
    """The condition that one of the columns contains a text, whatever its case; ``%`` and ``_`` are only characters."""
    lowered = text.lower()
    escaped = lowered.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    # SQLite's own lower() knows ASCII only; the slower one of core.database is needed where case exists beyond it.
    beyond_ascii = any(not c.isascii() and c.lower() != c.upper() for c in text)
    fold = func.unicode_lower if beyond_ascii and call.session.get_bind().dialect.name == "sqlite" else func.lower
    return or_(*(fold(column).like(f"%{escaped}%", escape="\\") for column in columns))


def _check_page(query: Query) -> None:
    if query.offset < 0:
        raise InvalidInput(N_("{field} is out of range."), field="offset")
    if not 1 <= query.limit <= MAX_LIMIT:
        raise InvalidInput(N_("A page has 1 to {limit} rows."), field="limit", limit=MAX_LIMIT)


def _conditions(query: Query, known: Mapping[str, Condition]) -> list[ColumnElement[bool]]:
    conditions = []
    for key, value in query.filters.items():
        if key not in known:
            raise InvalidInput(N_("There is no filter {name}."), field="filters", name=key)
        if not isinstance(value, str | int | float | bool | type(None)):
            raise InvalidInput(N_("The filter {name} has the wrong type."), field="filters", name=key)
        if value is not None and value != "":
            conditions.append(known[key](value))
    return conditions


def _order(query: Query, columns: Mapping[str, Any], tie: Any) -> list[Any]:
    key = query.sort or next(iter(columns))
    if key not in columns:
        raise InvalidInput(N_("The list cannot be sorted by {name}."), field="sort", name=key)
    chosen = [columns[key], tie]
    return [column.desc() for column in chosen] if query.descending else chosen
