"""What belongs to what, many to many: read for a whole page at once, changed as a set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from core.errors import InvalidInput, overtaken
from core.i18n import N_
from core.model import Base
from core.services.lookup import find
from core.services.operation import Call

M = TypeVar("M", bound=Base)


def names_by(
    call: Call, link: Table, owner: str, other: str, model: Any, ids: Iterable[int], *among: ColumnElement[bool]
) -> dict[int, list[str]]:
    """The names of what is linked to each of some rows, in order.

    Args:
        call: the operation's call.
        link: the table of links.
        owner: its column with the ids of the rows.
        other: its column with the ids of what is linked.
        model: the table of what is linked; has ``id`` and ``name``.
        ids: the rows.
        among: which of what is linked counts, such as what the caller may see.
    """
    wanted = list(ids)
    names: dict[int, list[str]] = {i: [] for i in wanted}
    if wanted:
        found = call.session.execute(
            select(link.c[owner], model.name)
            .join(model, model.id == link.c[other])
            .where(link.c[owner].in_(wanted), *among)
            .order_by(model.name, model.id)
        )
        for owner_id, name in found:
            names[owner_id].append(name)
    return names


def first_name(link: Table, owner: str, other: str, model: Any, owners: Any, *among: ColumnElement[bool]) -> Any:
    """What lists of names sort by: the first name of what is linked to a row, looked up for each row.

    Args:
        link: the table of links.
        owner: its column with the ids of the rows.
        other: its column with the ids of what is linked.
        model: the table of what is linked; has ``id`` and ``name``.
        owners: the table of the rows; some ten thousand at most, for all are sorted.
        among: which of what is linked counts.
    """
    return (
        select(func.min(model.name))
        .join(link, model.id == link.c[other])
        .where(link.c[owner] == owners.id, *among)
        .correlate(owners)
        .scalar_subquery()
    )


def find_all(call: Call, model: type[M], references: Sequence[str] | None, *, field: str) -> list[M] | None:
    """Each of several objects, once; None when none were asked for.

    Raises:
        NotFound: one is not there.
    """
    if references is None:
        return None
    found = [find(call, model, reference, field=field) for reference in references]
    return list({id(row): row for row in found}.values())


def wanted(
    now: Mapping[int, str],
    replace: Sequence[Any] | None,
    add: Sequence[Any] | None,
    remove: Sequence[Any] | None,
    field: str,
) -> set[int]:
    """The ids that a set shall hold, from what it holds (id -> name) and what was asked.

    Raises:
        InvalidInput: the whole set was given together with changes to it.
    """
    if replace is not None and (add or remove):
        raise InvalidInput(N_("Give the whole set or changes to it, not both."), field=field)
    ids = set(now) if replace is None else {row.id for row in replace}
    return (ids | {row.id for row in add or ()}) - {row.id for row in remove or ()}


def relink(call: Call, link: Table, owner: str, owner_id: int, other: str, now: set[int], wanted_ids: set[int]) -> None:
    """Make a row's links those that are wanted, writing only the difference."""
    gone, new = now - wanted_ids, wanted_ids - now
    if gone:
        call.session.execute(delete(link).where(link.c[owner] == owner_id, link.c[other].in_(gone)))
    if new:
        call.session.execute(insert(link), [{owner: owner_id, other: i} for i in sorted(new)])


def hold(call: Call, model: Any, ids: set[int]) -> None:
    """Let nobody delete rows that are about to be linked to: they are written, so that one of the two waits or fails.

    Raises:
        Conflict: one of them was deleted at this moment.
    """
    if not ids:
        return
    done = call.session.execute(
        update(model)
        .where(model.id.in_(ids), model.deleted.is_(None))
        .values(version=model.version + 1)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != len(ids):  # type: ignore[attr-defined]
        raise overtaken()


def some(found: Iterable[str]) -> str:
    """Up to five names for a sentence, and whether there are more."""
    shown = list(found)
    return ", ".join(shown[:5]) + (" …" if len(shown) > 5 else "")
