"""What a refresh of a pool finds, written in batches: each keeps other writers waiting for some milliseconds only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, case, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from core.model import Pool, Volume, new_uuid

#: So many volumes are written by one transaction.
BATCH = 500
#: States of a volume whose file is there.
THERE = ("present", "foreign")


class Found(NamedTuple):
    """A file or unit that is there. Sizes are bytes.

    ``path`` is empty for the file of that name in the directory; ``key`` is what tells a unit from another one that has
    its name later; ``encrypted`` is what a file looks like.
    """

    name: str
    format: str
    capacity: int
    allocation: int
    state: str
    path: str = ""
    key: str = ""
    encrypted: bool = False


class Measured(NamedTuple):
    """What a unit that is known is by now: its makers may make it larger, or reach it in another way."""

    capacity: int
    allocation: int
    path: str


class Known(NamedTuple):
    """A volume of the pool as the database has it."""

    id: int
    name: str
    state: str
    format: str
    allocation: int
    backing_id: int | None
    capacity: int
    path: str
    uuid: str
    secret_id: int | None
    key: str


def unit_key(options: str) -> str:
    """What tells a unit from another one of its name, of what is kept of a volume; empty when nothing does."""
    return str(json.loads(options).get("key", "")) if options else ""


def known(session: Session, pool_id: int) -> list[Known]:
    """All volumes of a pool; one statement."""
    columns = (Volume.id, Volume.name, Volume.state, Volume.format, Volume.allocation, Volume.backing_id)
    more = (Volume.capacity, Volume.path, Volume.uuid, Volume.secret_id, Volume.options)
    rows: Iterable[Any] = session.execute(select(*columns, *more).where(Volume.pool_id == pool_id))
    return [_known(**row._mapping) for row in rows]


def _known(options: str, **values: Any) -> Known:
    return Known(**values, key=unit_key(options))


def allocations(session: Session, pool_id: int) -> list[tuple[int, str, int]]:
    """The files of a pool that are there: the id and name of each, and what the database says that it takes."""
    there = (Volume.pool_id == pool_id, Volume.path == "", Volume.state.in_(THERE))
    found = session.execute(select(Volume.id, Volume.name, Volume.allocation).where(*there))
    return [(row.id, row.name, row.allocation) for row in found]


def enter(session: Session, pool: str, found: Sequence[Found], now: datetime) -> int:
    """Enter volumes that nobody knew; those that somebody has made meanwhile are left out. How many there were.

    They belong to no project. Their title is their name and the pool's UUID (manual 9.4.7).
    """
    pool_id = session.scalar(select(Pool.id).where(Pool.uuid == pool))
    if pool_id is None or not found:
        return 0
    names = [one.name for one in found]
    taken = set(session.scalars(select(Volume.name).where(Volume.pool_id == pool_id, Volume.name.in_(names))))
    elsewhere = _elsewhere(session, pool_id, [one.path for one in found if one.path])
    rows = [
        {
            "uuid": new_uuid(),
            "pool_id": pool_id,
            "name": one.name,
            "display_name": f"{one.name}-{pool}",
            "format": one.format,
            "capacity": one.capacity,
            "allocation": one.allocation,
            "looks_encrypted": one.encrypted,
            "measured": now,
            "state": one.state,
            "path": one.path,
            "options": json.dumps({"key": one.key}) if one.key else "",
            "created": now,
        }
        for one in found
        if one.name not in taken and one.path not in elsewhere
    ]
    if rows:
        session.execute(insert(Volume), rows)
    return len(rows)


def _elsewhere(session: Session, pool_id: int, paths: Sequence[str]) -> set[str]:
    """Which of these devices are volumes of another pool already: one unit with two names would have two users.

    A device is another one on each host, but for those that all hosts reach.
    """
    if not paths:
        return set()
    own = aliased(Pool)
    return set(
        session.scalars(
            select(Volume.path)
            .join(Pool, Pool.id == Volume.pool_id)
            .join(own, own.id == pool_id)
            .where(
                Volume.path.in_(paths),
                Pool.id != pool_id,
                or_(Pool.host_id == own.host_id, and_(Pool.host_id.is_(None), own.host_id.is_(None))),
            )
        )
    )


def move(session: Session, ids: Sequence[int], before: Sequence[str], after: str) -> int:
    """Give volumes another state, if they still have one of those that were read; how many did."""
    if not ids:
        return 0
    done = session.execute(
        update(Volume)
        .where(Volume.id.in_(ids), Volume.state.in_(before))
        .values(state=after, version=Volume.version + 1)
        .execution_options(synchronize_session=False)
    )
    return int(done.rowcount)  # type: ignore[attr-defined]


def allocate(session: Session, sizes: Mapping[int, int]) -> None:
    """Write what volumes take on the disk, by their ids; one statement."""
    if sizes:
        chosen: Any = case(sizes, value=Volume.id)
        session.execute(
            update(Volume)
            .where(Volume.id.in_(sizes))
            .values(allocation=chosen)
            .execution_options(synchronize_session=False)
        )


def measured(session: Session, pool_id: int, at: datetime) -> None:
    """All volumes of a pool that are there were measured at a moment: one row says it of all of them."""
    session.execute(
        update(Pool).where(Pool.id == pool_id).values(measured=at).execution_options(synchronize_session=False)
    )


def measure(session: Session, units: Mapping[int, Measured]) -> None:
    """Write what units are by now, by the ids of their volumes; one statement."""
    if units:
        values: dict[str, Any] = {
            name: case({i: getattr(unit, name) for i, unit in units.items()}, value=Volume.id)
            for name in ("capacity", "allocation", "path")
        }
        session.execute(
            update(Volume)
            .where(Volume.id.in_(units))
            .values(**values, version=Volume.version + 1)
            .execution_options(synchronize_session=False)
        )
