"""A host and a project, in an empty database of each engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from sqlalchemy.orm import Session

from core.database import Database
from core.model import Base, Host

T = TypeVar("T")


@dataclass(frozen=True)
class Ground:
    """What the tests stand on: ``ground.write(tasks.finish, ...)`` calls it with a session of its own."""

    database: Database
    host: int
    other_host: int

    def add(self, row: Base) -> Any:
        """Enter a row; returns it."""

        def work(session: Session) -> Base:
            session.add(row)
            session.flush()
            return row

        return self.database.write(work)

    def write(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function of a session in a transaction."""
        return self.database.write(lambda session: function(session, *arguments, **named))

    def read(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function of a session that only reads."""
        return self.database.read(lambda session: function(session, *arguments, **named))

    def at_once(self, calls: list[Callable[[], T]]) -> list[T]:
        """What calls return that begin at the same moment, each in a thread."""
        gate = threading.Barrier(len(calls))

        def run(call: Callable[[], T]) -> T:
            gate.wait(timeout=30)
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))


@pytest.fixture
def ground(database: Database) -> Ground:
    """Two hosts in an empty database."""

    def work(session: Session) -> tuple[int, int]:
        hosts = (Host(name="h1"), Host(name="h2"))
        session.add_all(hosts)
        session.flush()
        return hosts[0].id, hosts[1].id

    return Ground(database, *database.write(work))
