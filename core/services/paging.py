"""How one page of a list is found: along which index, from which table, and how far rows are counted.

:mod:`core.services.listing` says what a list is asked; this says how the engine is asked, so that it does not read a
table from one end to the other:

* *Few rows fit* (up to :data:`FEW`): they are found by the filter's own index, and sorted. *More rows fit*: the
  order's index is walked and rows that do not fit are passed over; there are enough that do. Which of the two it is,
  the count has told. Engines guess instead, and guess wrong: ``ORDER BY ... LIMIT`` makes MariaDB walk a whole table
  for ten rows.
* *The order is by what a row belongs to* (:class:`Named`): rows are counted by what they belong to, along the foreign
  key's index; the sums say which names the page spans, and rows are read for those names alone.
* *The order is by a sum over what belongs to a row* (:class:`Summed`): in MariaDB all sums are made in one go, grouped,
  instead of for each row by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BinaryExpression,
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.sql import operators

from core.services.operation import Call

#: Rows that are counted, without and with a search or filter, before the total is "at least".
ALL, FEW = 50_000, 10_000
#: So many that fit are remembered, and not looked for again to be sorted.
HANDFUL = 500
#: Rows that are read at most to merge the walks along several indexes.
_MERGED = 50_000
#: Rows of neighbouring names that are sorted together; names with more rows are walked along an index of their own.
_TOGETHER = 1_000
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


@dataclass(frozen=True)
class Named:
    """An order by a column of what a row belongs to, which is in another, small table (some thousand rows).

    Rows that belong to nothing, or to what is in the trash, have NULL.

    Attributes:
        column: the row's foreign key.
        name: the other's column.
        when: the condition on the row under which it counts as belonging.
    """

    column: Any
    name: Any
    when: ColumnElement[bool] | None = None

    @property
    def key(self) -> Any:
        """The id of what a row belongs to, or NULL."""
        return self.column if self.when is None else case((self.when, self.column), else_=None)

    def of(self, other: Any) -> ColumnElement[bool]:
        """The condition that a row belongs to a row of the other table."""
        belongs: ColumnElement[bool] = other.id == self.column
        return belongs if self.when is None else belongs & self.when

    def apiece(self) -> Any:
        """The order as an expression that is looked up for each row."""
        other = self.name.class_
        return select(self.name).where(self.of(other)).correlate(self.column.class_).scalar_subquery()


@dataclass(frozen=True)
class Summed:
    """An order by a sum over what belongs to a row.

    Attributes:
        each: the sum as an expression of one row, for few rows.
        sums: all sums, a grouped select of ``key`` and ``sum``; who is not in it has 0.
        key: the row's column that ``key`` is of.
        base: what is added to the sum, a column of the row.
    """

    each: Any
    sums: Any
    key: Any
    base: Any = None


@dataclass(frozen=True)
class Order:
    """What rows are ordered by: expressions, each with whether it goes down; the last is the identity."""

    by: tuple[tuple[Any, bool], ...]

    def reversed(self) -> Order:
        """The same rows from the last to the first."""
        return Order(tuple((part, not down) for part, down in self.by))

    def apiece(self) -> Order:
        """The same order by expressions of each row."""
        return Order(tuple((_apiece(part), down) for part, down in self.by))

    def joined(self, only: Select[Any]) -> tuple[Select[Any], Order]:
        """A select of all rows with the sums that it is ordered by, and the order."""
        parts: list[tuple[Any, bool]] = []
        for part, down in self.by:
            if isinstance(part, Summed):
                # Kept whole by its limit: MariaDB would make the sums one by one.
                sums = part.sums.limit(_WITHIN).subquery()
                only = only.outerjoin(sums, sums.c.key == part.key)
                total = func.coalesce(sums.c.sum, 0)
                parts.append((total if part.base is None else part.base + total, down))
            else:
                parts.append((_apiece(part), down))
        return only, Order(tuple(parts))

    def with_keys(self, chosen: Select[Any]) -> Select[Any]:
        """A select with the expressions beside the identity, as ``key0`` and so on."""
        return chosen.add_columns(
            *(expression.label(f"key{place}") for place, (expression, _down) in enumerate(self.by))
        )

    def sorted(self, chosen: Select[Any]) -> Select[Any]:
        """The rows of a select of few, in order, found in whatever order."""
        few = self.with_keys(chosen).limit(_WITHIN).subquery()
        return select(few).order_by(*self.of(few))

    def of(self, found: FromClause) -> list[Any]:
        """The order, of rows that have its expressions beside them."""
        return self._clauses([found.c[f"key{place}"] for place in range(len(self.by))])

    def clauses(self) -> list[Any]:
        """The order, of the table itself."""
        return self._clauses([expression for expression, _down in self.by])

    def _clauses(self, keys: Sequence[Any]) -> list[Any]:
        return [key.desc() if down else key.asc() for key, (_part, down) in zip(keys, self.by, strict=True)]

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
            chosen = chosen.where(_tested(passing))
        return (self.with_keys(chosen) if keys else chosen).order_by(*self.clauses()), kept is not None

    def goes_on_behind(self, column: Any) -> bool:
        """Whether an index begins with a column and goes on in this order: rows with one value need no sorting."""
        if len({down for _expression, down in self.by}) > 1:
            return False
        order = [getattr(expression, "key", None) for expression, _down in self.by]
        # Every index ends with the identity, in SQLite and in InnoDB alike, whether that is written down or not.
        wanted = [[column.key, *order], [column.key, *order[:-1]]]
        return any([c.key for c in index.columns] in wanted for index in column.table.indexes)


@dataclass(frozen=True)
class Choice:
    """Which rows: a select of identities, conditions that all hold, and branches (if any) of which one does."""

    only: Select[Any]
    conditions: tuple[ColumnElement[bool], ...]
    branches: tuple[ColumnElement[bool], ...]

    @classmethod
    def of(cls, only: Select[Any], found: Sequence[Fits]) -> Choice:
        """The rows of a select that fit all of a list's conditions."""
        first, *others = [each.branches for each in found if isinstance(each, Either)] or [()]
        single = [
            each.condition if isinstance(each, Common) else each for each in found if not isinstance(each, Either)
        ]
        return cls(only, (*single, *(or_(*branches) for branches in others)), first)

    @property
    def chooses(self) -> bool:
        """Whether rows are left out."""
        return bool(self.conditions or self.branches)

    @property
    def all_conditions(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions with the branches among them, as one OR."""
        return (*self.conditions, or_(*self.branches)) if self.branches else self.conditions

    def selects(self) -> list[Select[Any]]:
        """One select for each branch, that finds its rows by whatever index the engine likes."""
        return [self.only.where(*branch, *self.conditions) for branch in ([b] for b in self.branches)] or [
            self.only.where(*self.conditions)
        ]


@dataclass(frozen=True)
class Span:
    """Which rows of the list."""

    offset: int
    limit: int


def find(
    call: Call,
    only: Select[Any],
    among: Callable[[Sequence[int]], ColumnElement[bool]],
    found: Sequence[Fits],
    order: Order,
    span: Span,
) -> tuple[list[int], Total]:
    """The identities of a page's rows, in their order, and how many rows there are.

    Args:
        call: the operation's call.
        only: a select of nothing but the identity, labelled so, with the conditions of visibility.
        among: makes the condition that a row is one of some, by their identities.
        found: what filters and search come to.
        order: the order; a :class:`Named` or :class:`Summed` may stand in its first place.
        span: which page.
    """
    choice = Choice.of(only, found)
    total, handful = None, None
    if not any(isinstance(each, Common) for each in found):
        handful = _handful(call, choice) if choice.chooses else None
        if handful is not None:
            # All that fit are in hand: nothing is looked for twice.
            choice = Choice(only, (among(handful),), ())
        total = _count(call, choice, span) if handful is None else Total(len(handful))
    if total is not None and span.offset >= total:
        return [], total
    if total is not None and not total.more and total <= HANDFUL:
        ids = _few(call, choice, order.apiece(), span)
    else:
        ids = _page(call, choice, order, span, total)
    if total is None:
        end = Total(span.offset + min(len(ids), span.limit))
        total = Total.at_least(end) if len(ids) > span.limit else end
    return ids[: span.limit], total


def _page(call: Call, choice: Choice, order: Order, span: Span, total: Total | None) -> list[int]:
    """The page of more than a handful, and one more if there is one."""
    few = choice.chooses and total is not None and not total.more
    leading = order.by[0][0]
    if isinstance(leading, Named):
        counted = _counted_by(choice, leading, few)
        return list(_by_name(call, choice, leading, order, span, counted))
    if call.session.get_bind().dialect.name == "sqlite":
        # It makes sums one by one in half the time that it takes to keep them all and find each.
        plain = order.apiece()
    else:
        only, plain = order.joined(choice.only)
        choice = Choice(only, choice.conditions, choice.branches)
    indexed = getattr(getattr(leading, "expression", leading), "table", None) is not None
    if few and not (indexed and total is not None and _met_soon(call, choice, span, total)):
        return _few(call, choice, plain, span)
    return _along(call, choice, plain, span, total)


def _count(call: Call, choice: Choice, span: Span) -> Total:
    """The rows that fit, counted up to the next multiple of the bound after the page."""
    bound = FEW if choice.chooses else ALL
    bound *= 1 + (span.offset + span.limit) // bound
    if not choice.chooses:
        # Nothing is kept while rows are passed over or counted; a limited select within another is kept first.
        (whole,) = choice.selects()
        if _may_exceed(call, whole, bound) and call.session.execute(whole.offset(bound).limit(1)).first() is not None:
            return Total.at_least(bound)
        counted = whole.with_only_columns(func.count(), maintain_column_froms=True)
        return Total(min(bound, call.session.scalar(counted) or 0))
    found = _either([each.limit(bound + 1) for each in choice.selects()])
    fitting = call.session.scalar(select(func.count()).select_from(found)) or 0
    return Total.at_least(bound) if fitting > bound else Total(fitting)


def _met_soon(call: Call, choice: Choice, span: Span, total: Total) -> bool:
    """Whether rows that fit are met so often along the order's index that walking costs less than sorting them all."""
    if choice.branches:
        return False
    # Where they are met last of all, the walk reads the whole table: only a small one.
    bound = min(ALL, total * total // (2 * (span.offset + span.limit)))
    return not _may_exceed(call, choice.only, bound)


def _may_exceed(call: Call, whole: Select[Any], bound: int) -> bool:
    """Whether a table may have more rows than that: not when its numbers span fewer, which the index's ends tell."""
    (identity,) = whole.selected_columns
    number = getattr(identity, "element", identity)
    if not getattr(number, "primary_key", False):
        return True
    column = number.table.c[number.key]
    # Each end by itself: SQLite would walk the index for both at once.
    ends = select(func.max(column)).scalar_subquery() - select(func.min(column)).scalar_subquery()
    return (call.session.scalar(select(ends)) or 0) >= bound


def _handful(call: Call, choice: Choice) -> list[int] | None:
    """The identities of all rows that fit; None when they are more than a handful."""
    found = _either([each.limit(HANDFUL + 1) for each in choice.selects()])
    ids = list(call.session.scalars(select(found.c.identity).limit(HANDFUL + 1)))
    return ids if len(ids) <= HANDFUL else None


def _few(call: Call, choice: Choice, order: Order, span: Span) -> list[int]:
    """The page of the few rows that fit: found by the filter's index, whatever the order, and then sorted."""
    return _sorted(call, _either([order.with_keys(each).limit(_WITHIN) for each in choice.selects()]), order, span)


def _along(call: Call, choice: Choice, order: Order, span: Span, total: Total | None) -> list[int]:
    """The page of many rows that fit, and one more if there is one: the order's index is walked."""
    upto = span.offset + span.limit + 1
    walks = [order.walk(choice.only, (branch, *choice.conditions)) for branch in choice.branches]
    if walks and any(exact for _walk, exact in walks) and len(walks) * upto <= _MERGED:
        # Each branch along its own index; what has none is what is newest, and little.
        parts = [
            walk.limit(upto) if exact else order.sorted(choice.only.where(branch, *choice.conditions)).limit(upto)
            for (walk, exact), branch in zip(walks, choice.branches, strict=True)
        ]
        return _sorted(call, _either(parts), order, span)
    if total is not None and not total.more and span.offset + span.limit > total - span.offset:
        # Past the middle: from the other end it is nearer.
        left = total - span.offset
        walk, _exact = order.reversed().walk(choice.only, choice.all_conditions, keys=False)
        nearer = walk.offset(max(0, left - span.limit)).limit(min(left, span.limit))
        return list(call.session.scalars(nearer))[::-1]
    walk, _exact = order.walk(choice.only, choice.all_conditions, keys=False)
    return list(call.session.scalars(walk.offset(span.offset).limit(span.limit + 1)))


def _counted_by(choice: Choice, named: Named, few: bool) -> FromClause:
    """How many rows belong to what, as ``key`` and ``rows``."""
    if few:
        found = _either([each.add_columns(named.key.label("key")).limit(_WITHIN) for each in choice.selects()])
        return select(found.c.key, func.count().label("rows")).group_by(found.c.key).subquery()
    # Along the foreign key's index; what does not fit is passed over.
    whole = choice.only.where(_tested(choice.all_conditions)) if choice.chooses else choice.only
    counted = whole.with_only_columns(named.key.label("key"), func.count().label("rows"), maintain_column_froms=True)
    return counted.group_by(named.key).subquery()


def _by_name(call: Call, choice: Choice, named: Named, order: Order, span: Span, counted: FromClause) -> Iterator[int]:
    """The page in the order of what rows belong to, and one more if there is one."""
    other, down = aliased(named.name.class_), order.by[0][1]
    name = getattr(other, named.name.key)
    rows = func.sum(counted.c.rows)
    groups = (
        select(
            name.label("name"),
            rows.label("rows"),
            func.sum(rows).over(order_by=name.desc() if down else name.asc()).label("upto"),
        )
        .select_from(counted)
        .outerjoin(other, other.id == counted.c.key)
        # By a number where a name says no more: engines group several times faster.
        .group_by(other.id if named.name.expression.unique else name)
        .subquery()
    )
    spanned = call.session.execute(
        select(groups)
        .where(groups.c.upto > span.offset, groups.c.upto - groups.c.rows < span.offset + span.limit + 1)
        .order_by(groups.c.upto)
    ).all()
    left = span.limit + 1
    skip = span.offset - int(spanned[0].upto - spanned[0].rows) if spanned else 0
    for names, together in _runs(spanned):
        if left <= 0:
            return
        statement = _of_names(call, choice, named, Order(order.by[1:]), names, together, down)
        ids = list(call.session.scalars(statement.offset(skip).limit(min(left, together))))
        yield from ids
        left, skip = left - len(ids), 0


def _runs(spanned: Sequence[Any]) -> Iterator[tuple[list[Any], int]]:
    """Neighbouring names whose rows are read together, and how many rows they have."""
    names: list[Any] = []
    together = 0
    for group in spanned:
        alone = group.name is None or None in names or together + group.rows > _TOGETHER
        if names and alone:
            yield names, together
            names, together = [], 0
        names.append(group.name)
        together += int(group.rows)
    if names:
        yield names, together


def _of_names(
    call: Call, choice: Choice, named: Named, rest: Order, names: list[Any], rows: int, down: bool
) -> Select[Any]:
    """The rows (so many) that belong to what is so called, in order."""
    other = aliased(named.name.class_)
    name = getattr(other, named.name.key)
    if len(names) > 1:
        joined = choice.only.join(other, named.of(other)).where(name.in_(names), *choice.all_conditions)
        return Order(((name, down), *rest.by)).sorted(joined)
    if names[0] is None:
        # Whatever is in the trash is not among the live.
        belongs = named.key.is_(None) | named.key.not_in(select(other.id))
    else:
        keys = list(call.session.scalars(select(other.id).where(name == names[0]).limit(HANDFUL + 1)))
        several = keys if len(keys) <= HANDFUL else select(other.id).where(name == names[0])
        belongs = named.column == keys[0] if len(keys) == 1 else named.column.in_(several)
    conditions = (belongs, *choice.all_conditions)
    if named.when is not None and names[0] is not None:
        conditions = (*conditions, named.when)
    walk, exact = rest.walk(choice.only, conditions, keys=False)
    if exact or rows > FEW:
        return walk
    return rest.sorted(choice.only.where(*conditions))


def _either(selects: Sequence[Select[Any]]) -> FromClause:
    """The rows of several limited selects, each once."""
    if len(selects) == 1:
        return selects[0].subquery()
    # SQLite takes no limit within a UNION but in a select of its own.
    return union(*(select(each.subquery()) for each in selects)).subquery()


def _sorted(call: Call, found: FromClause, order: Order, span: Span) -> list[int]:
    page = select(found.c.identity).order_by(*order.of(found))
    return list(call.session.scalars(page.offset(span.offset).limit(span.limit + 1)))


def _apiece(part: Any) -> Any:
    if isinstance(part, Named):
        return part.apiece()
    return part.each if isinstance(part, Summed) else part


def _tested(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Conditions that have no index, being within a comparison: engines are not led away from the order's."""
    return case((and_(*conditions), literal_column("1")), else_=literal_column("0")) == 1


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
