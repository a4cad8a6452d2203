"""How every list is asked for and answered: search, filters, sort, page, and the total.

A list costs about the same whether it has a hundred rows or a million, because no statement reads a table from one
end to the other:

* The *total* is counted up to a bound and said to be "at least" beyond it (:class:`Total`). The bound moves on with
  the page that is asked for, so that one can go on as far as one likes.
* A page is found by identity first, along an index where there is one; the rows themselves are read for the page alone.
* *Few rows fit* (up to :data:`FEW`): they are found by the filter's own index, and sorted. *More rows fit*: the
  order's index is walked and rows that do not fit are passed over; there are enough that do. Which of the two it is,
  the count has told. Engines guess instead, and guess wrong: ``ORDER BY ... LIMIT`` makes MariaDB walk a whole table
  for ten rows.

Services add one statement per many-to-many relation of the page, never one per row. Ties are broken by the identity,
so that pages neither repeat nor skip a row. ``tests/scale`` looks at the plans of every list, filter and order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BinaryExpression,
    ColumnElement,
    FromClause,
    Row,
    Select,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from core.errors import InvalidInput
from core.i18n import N_
from core.services.operation import Answer, Call

#: Most rows of one page.
MAX_LIMIT = 1000
#: Rows that are counted, without and with a search or filter, before the total is "at least".
ALL, FEW = 50_000, 10_000
#: So many that fit are remembered, and not looked for again to be sorted.
HANDFUL = 500
#: Rows that are read at most to merge the walks along several indexes.
_MERGED = 50_000
#: A limit that cuts nothing: it keeps engines from dissolving an inner select, which has an index, into the outer.
_WITHIN = 10**9


class Total(int):
    """How many rows a list has; with ``more`` it is a number that was reached while counting, and there are more."""

    more: bool = False

    @classmethod
    def at_least(cls, number: int) -> Total:
        """A total that is known to be larger than ``number``."""
        total = cls(number)
        total.more = True
        return total


@dataclass(frozen=True)
class Common:
    """A condition that so many rows fulfil that counting them would read too many: the total is left open."""

    condition: ColumnElement[bool]


@dataclass(frozen=True)
class Either:
    """One of several conditions, each with an index of its own.

    Written as an OR, MariaDB would collect all rows of all of them before it looks at a limit.
    """

    branches: tuple[ColumnElement[bool], ...]


#: What a filter or a search comes to.
Fits = ColumnElement[bool] | Common | Either
#: How a filter's value becomes a condition, and how a text does that is searched for.
Condition = Callable[[Any], Fits]
Search = Callable[[str], Fits]


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


@dataclass(frozen=True)
class _Order:
    """What rows are ordered by: expressions, each with whether it goes down; the last is the identity."""

    by: tuple[tuple[Any, bool], ...]

    def with_keys(self, chosen: Select[Any]) -> Select[Any]:
        """A select with the expressions beside the identity, as ``key0`` and so on."""
        return chosen.add_columns(
            *(expression.label(f"key{place}") for place, (expression, _down) in enumerate(self.by))
        )

    def first(self, chosen: Select[Any], count: int) -> Select[Any]:
        """The first rows of a select of few, found in whatever order."""
        few = self.with_keys(chosen).limit(_WITHIN).subquery()
        return select(few).order_by(*self.of(few)).limit(count)

    def of(self, found: FromClause) -> list[Any]:
        """The order, of rows that have its expressions beside them."""
        keys = [(found.c[f"key{place}"], down) for place, (_expression, down) in enumerate(self.by)]
        return [key.desc() if down else key for key, down in keys]

    def walk(
        self, only: Select[Any], conditions: Sequence[ColumnElement[bool]], *, keys: bool = True
    ) -> tuple[Select[Any], bool]:
        """The select that goes along an index in this order, and whether that index has one condition's rows only.

        Conditions that the index does not serve are tested row by row.
        """
        equal = [(c, _compared(c, operators.eq)) for c in conditions]
        kept = next((c for c, column in equal if column is not None and self.goes_on_behind(column)), None)
        ranges = [c for c in conditions if _same(_compared(c, operators.ge, operators.lt), self.by[0][0])]
        passing = [c for c in conditions if c is not kept and not any(c is r for r in ranges)]
        chosen = only.where(*([kept] if kept is not None else []), *ranges)
        if passing:
            # Within a comparison a condition has no index: engines are not led away from the order's.
            chosen = chosen.where(case((and_(*passing), literal_column("1")), else_=literal_column("0")) == 1)
        clauses = [expression.desc() if down else expression for expression, down in self.by]
        return (self.with_keys(chosen) if keys else chosen).order_by(*clauses), kept is not None

    def goes_on_behind(self, column: Any) -> bool:
        """Whether an index begins with a column and goes on in this order: rows with one value need no sorting."""
        if len({down for _expression, down in self.by}) > 1:
            return False
        order = [getattr(expression, "key", None) for expression, _down in self.by]
        # Every index ends with the identity, in SQLite and in InnoDB alike, whether that is written down or not.
        wanted = [[column.key, *order], [column.key, *order[:-1]]]
        return any([c.key for c in index.columns] in wanted for index in column.table.indexes)


def listing(
    call: Call,
    statement: Select[Any],
    query: Query,
    *,
    columns: Mapping[str, ColumnElement[Any] | Any],
    tie: ColumnElement[int] | Any,
    search: Sequence[ColumnElement[str] | Any] | Search = (),
    filters: Mapping[str, Condition] | None = None,
    default: Sequence[ColumnElement[Any] | Any] = (),
    rows: Select[Any] | None = None,
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

    Raises:
        InvalidInput: the page, the order or a filter makes no sense.
    """
    _check_page(query)
    ties = tuple(tie) if isinstance(tie, Sequence) else (tie,)
    usual = default and not query.sort and not query.descending
    order = _Order(tuple(_direction(part) for part in default)) if usual else _order(query, columns, ties)
    found = _conditions(query, filters or {})
    if query.search.strip():
        text = query.search.strip()
        found.append(search(text) if callable(search) else contains(call, search, text))
    identity = ties[-1]
    only = statement.with_only_columns(identity.label("identity"), maintain_column_froms=True)
    choice = _Choice.of(only, found)
    total = None
    if not any(isinstance(each, Common) for each in found):
        handful = _handful(call, choice) if choice.chooses else None
        if handful is not None:
            # All that fit are in hand: nothing is looked for twice.
            choice = _Choice(only, (identity.in_(handful),), ())
        total = _count(call, choice, query) if handful is None else Total(len(handful))
    if total is not None and query.offset >= total:
        return [], total
    if total is not None and choice.chooses and not total.more:
        ids = _few(call, choice, order, query)
    else:
        ids = _along(call, choice, order, query)
    if total is None:
        end = Total(query.offset + min(len(ids), query.limit))
        total = Total.at_least(end) if len(ids) > query.limit else end
    page = ids[: query.limit]
    return _rows(call, statement if rows is None else rows, identity, page), total


@dataclass(frozen=True)
class _Choice:
    """Which rows: a select of identities, conditions that all hold, and branches (if any) of which one does."""

    only: Select[Any]
    conditions: tuple[ColumnElement[bool], ...]
    branches: tuple[ColumnElement[bool], ...]

    @classmethod
    def of(cls, only: Select[Any], found: Sequence[Fits]) -> _Choice:
        first, *others = [each.branches for each in found if isinstance(each, Either)] or [()]
        single = [
            each.condition if isinstance(each, Common) else each for each in found if not isinstance(each, Either)
        ]
        return cls(only, (*single, *(or_(*branches) for branches in others)), first)

    @property
    def chooses(self) -> bool:
        return bool(self.conditions or self.branches)

    def selects(self) -> list[Select[Any]]:
        """One select for each branch, that finds its rows by whatever index the engine likes."""
        return [self.only.where(*branch, *self.conditions) for branch in ([b] for b in self.branches)] or [
            self.only.where(*self.conditions)
        ]


def _count(call: Call, choice: _Choice, query: Query) -> Total:
    """The rows that fit, counted up to the next multiple of the bound after the page."""
    bound = FEW if choice.chooses else ALL
    bound *= 1 + (query.offset + query.limit) // bound
    if not choice.chooses:
        # Nothing is kept while rows are passed over or counted; a limited select within another is kept first.
        (whole,) = choice.selects()
        if call.session.execute(whole.offset(bound).limit(1)).first() is not None:
            return Total.at_least(bound)
        counted = whole.with_only_columns(func.count(), maintain_column_froms=True)
        return Total(min(bound, call.session.scalar(counted) or 0))
    found = _either([each.limit(bound + 1) for each in choice.selects()])
    fitting = call.session.scalar(select(func.count()).select_from(found)) or 0
    return Total.at_least(bound) if fitting > bound else Total(fitting)


def _handful(call: Call, choice: _Choice) -> list[int] | None:
    """The identities of all rows that fit; None when they are more than a handful."""
    found = _either([each.limit(HANDFUL + 1) for each in choice.selects()])
    ids = list(call.session.scalars(select(found.c.identity).limit(HANDFUL + 1)))
    return ids if len(ids) <= HANDFUL else None


def _few(call: Call, choice: _Choice, order: _Order, query: Query) -> list[int]:
    """The page of the few rows that fit: found by the filter's index, whatever the order, and then sorted."""
    return _sorted(call, _either([order.with_keys(each).limit(_WITHIN) for each in choice.selects()]), order, query)


def _along(call: Call, choice: _Choice, order: _Order, query: Query) -> list[int]:
    """The page of many rows that fit, and one more if there is one: the order's index is walked."""
    upto = query.offset + query.limit + 1
    walks = [order.walk(choice.only, (branch, *choice.conditions)) for branch in choice.branches]
    if walks and any(exact for _walk, exact in walks) and len(walks) * upto <= _MERGED:
        # Each branch along its own index; what has none is what is newest, and little.
        parts = [
            walk.limit(upto) if exact else order.first(choice.only.where(branch, *choice.conditions), upto)
            for (walk, exact), branch in zip(walks, choice.branches, strict=True)
        ]
        return _sorted(call, _either(parts), order, query)
    either = [or_(*choice.branches)] if choice.branches else []
    walk, _exact = order.walk(choice.only, (*either, *choice.conditions), keys=False)
    return list(call.session.scalars(walk.offset(query.offset).limit(query.limit + 1)))


def _either(selects: Sequence[Select[Any]]) -> FromClause:
    """The rows of several limited selects, each once."""
    if len(selects) == 1:
        return selects[0].subquery()
    # SQLite takes no limit within a UNION but in a select of its own.
    return union(*(select(each.subquery()) for each in selects)).subquery()


def _sorted(call: Call, found: FromClause, order: _Order, query: Query) -> list[int]:
    page = select(found.c.identity).order_by(*order.of(found))
    return list(call.session.scalars(page.offset(query.offset).limit(query.limit + 1)))


def _rows(call: Call, statement: Select[Any], identity: Any, ids: Sequence[int]) -> Sequence[Row[Any]]:
    if not ids:
        return []
    chosen = statement.where(identity.in_(ids)).add_columns(identity.label("identity"))
    place = {number: at for at, number in enumerate(ids)}
    return sorted(call.session.execute(chosen).all(), key=lambda row: place[row.identity])


def _compared(condition: ColumnElement[bool], *by: Any) -> Any:
    """The column of a table that a condition compares with one value in one of some ways; None for other conditions."""
    if isinstance(condition, BinaryExpression) and condition.operator in by:
        return condition.left if getattr(condition.left, "table", None) is not None else None
    return None


def _same(column: Any, other: Any) -> bool:
    """Whether two expressions, one of which may be an attribute of a class, are the same column."""
    expression = other.expression if isinstance(other, InstrumentedAttribute) else other
    return (
        column is not None
        and getattr(expression, "table", None) is not None
        and (column.table.name, column.key) == (expression.table.name, expression.key)
    )


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


def _order(query: Query, columns: Mapping[str, Any], ties: Sequence[Any]) -> _Order:
    key = query.sort or next(iter(columns))
    if key not in columns:
        raise InvalidInput(N_("The list cannot be sorted by {name}."), field="sort", name=key)
    chosen = columns[key]
    rest = [tie for tie in ties if tie is not chosen]
    return _Order(tuple((column, query.descending) for column in (chosen, *rest)))
