"""Clearing logs and histories: in batches that lock nothing for long, counted for ever, resumable at any point.

A :class:`core.model.Purge` row says who cleared what; it is entered by the operation, and nothing changes it but the
count of rows, in the same transaction that removes them. So whoever goes on after a crash neither counts twice nor
forgets, and there is nothing to remember but the row itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from core.model import Host, HostSample, LoginLog, OperationLog, Purge


@dataclass(frozen=True)
class Cleared:
    """A table that is cleared by time: with an index that begins with ``at``, or with the scope's column and ``at``.

    ``scope`` makes the condition that rows are of the object a purge is limited to, named by its UUID.
    """

    table: Any
    scope: Callable[[str], ColumnElement[bool]] | None = None


#: What can be cleared: the word of :attr:`core.model.Purge.what` -> the tables.
CLEARED: dict[str, tuple[Cleared, ...]] = {
    "log": (Cleared(OperationLog), Cleared(LoginLog)),
    "host-history": (Cleared(HostSample, scope=lambda uuid: HostSample.host_id == _host(uuid)),),
}


def _host(uuid: str) -> Any:
    return select(Host.id).where(Host.uuid == uuid).scalar_subquery()


def _rows(cleared: Cleared, before: datetime, scope: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [cleared.table.at < before]
    if scope and cleared.scope is not None:
        conditions.append(cleared.scope(scope))
    return conditions


def count(session: Session, what: str, before: datetime, scope: str = "") -> list[int]:
    """How many rows of each of its tables would go."""
    return [
        session.scalar(select(func.count()).select_from(each.table).where(*_rows(each, before, scope))) or 0
        for each in CLEARED[what]
    ]


def load(session: Session, uuid: str) -> Purge | None:
    """A purge."""
    return session.scalar(select(Purge).where(Purge.uuid == uuid))


def batch(session: Session, purge_id: int, limit: int) -> int:
    """Remove up to ``limit`` of the oldest rows that are to go, and count them; 0 when there are none left."""
    purge = session.get_one(Purge, purge_id, populate_existing=True)
    for each in CLEARED[purge.what]:
        old = select(each.table.id).where(*_rows(each, purge.before, purge.scope)).order_by(each.table.at)
        # By their ids: MariaDB locks these rows alone, and no gap that somebody writes into.
        ids = list(session.scalars(old.limit(limit)))
        if ids:
            unsynchronised = {"synchronize_session": False}
            session.execute(delete(each.table).where(each.table.id.in_(ids)), execution_options=unsynchronised)
            counted = update(Purge).where(Purge.id == purge_id).values(rows=Purge.rows + len(ids))
            session.execute(counted, execution_options=unsynchronised)
            return len(ids)
    return 0


def finish(session: Session, uuid: str, now: datetime) -> None:
    """Say that a purge is done."""
    session.execute(update(Purge).where(Purge.uuid == uuid, Purge.finished.is_(None)).values(finished=now))
