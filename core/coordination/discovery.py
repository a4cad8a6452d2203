"""What a refresh of a pool finds, written in batches: each keeps other writers waiting for some milliseconds only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import case, insert, select, update
from sqlalchemy.orm import Session

from core.model import Pool, Volume, new_uuid

#: So many volumes are written by one transaction.
BATCH = 500
#: States of a volume whose file is there.
THERE = ("present", "foreign")


class Found(NamedTuple):
    """A file or unit that is there. Sizes are bytes; ``path`` is empty for the file of that name in the directory."""

    name: str
    format: str
    capacity: int
    allocation: int
    state: str
    path: str = ""


class Known(NamedTuple):
    """A volume of the pool as the database has it."""

    id: int
    name: str
    state: str
    format: str
    allocation: int
    backing_id: int | None


def known(session: Session, pool_id: int) -> list[Known]:
    """All volumes of a pool; one statement."""
    columns = (Volume.id, Volume.name, Volume.state, Volume.format, Volume.allocation, Volume.backing_id)
    return [Known(*row) for row in session.execute(select(*columns).where(Volume.pool_id == pool_id))]


def enter(session: Session, pool: str, found: Sequence[Found], now: datetime) -> int:
    """Enter volumes that nobody knew; those that somebody has made meanwhile are left out. How many there were.

    They belong to no project. Their title is their name and the pool's UUID (manual 9.4.7).
    """
    pool_id = session.scalar(select(Pool.id).where(Pool.uuid == pool))
    if pool_id is None or not found:
        return 0
    names = [one.name for one in found]
    taken = set(session.scalars(select(Volume.name).where(Volume.pool_id == pool_id, Volume.name.in_(names))))
    rows = [
        {
            "uuid": new_uuid(),
            "pool_id": pool_id,
            "name": one.name,
            "display_name": f"{one.name}-{pool}",
            "format": one.format,
            "capacity": one.capacity,
            "allocation": one.allocation,
            "state": one.state,
            "path": one.path,
            "created": now,
        }
        for one in found
        if one.name not in taken
    ]
    if rows:
        session.execute(insert(Volume), rows)
    return len(rows)


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
