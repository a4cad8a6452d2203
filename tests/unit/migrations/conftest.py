"""Clouds of version 1, on both engines, and empty databases to make tables in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from core.database import Database
from tests.fakes.clock import StillClock
from tests.fakes.mariadb import MariaDB

DATA = Path(__file__).parent / "data"
#: Makes a database: of version 1 with one of everything, or empty.
Make = Callable[[str], Database]


@pytest.fixture
def make_file(tmp_path: Path) -> Iterator[Make]:
    """As :func:`make`, always an SQLite file."""
    numbers = count()
    with ExitStack() as stack:

        def make(what: str) -> Database:
            file = tmp_path / f"{what}-{next(numbers)}.db"
            file.touch(0o600)
            connection = sqlite3.connect(file)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # of this connection: the tables are made one by one
            if what != "empty":
                connection.executescript((DATA / f"{what}.sqlite.sql").read_text())
            connection.close()
            return _open(f"sqlite:///{file}", stack)

        yield make


@pytest.fixture
def make_server(mariadb: MariaDB) -> Iterator[Make]:
    """As :func:`make`, always on MariaDB."""
    numbers = count()
    with ExitStack() as stack:

        def make(what: str) -> Database:
            name = f"upgrade_{next(numbers)}"
            mariadb.run(
                f"DROP DATABASE IF EXISTS {name}",
                f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            )
            stack.callback(mariadb.run, f"DROP DATABASE IF EXISTS {name}")
            if what != "empty":
                mariadb.run(f"USE {name}", *(DATA / f"{what}.mariadb.sql").read_text().split(";\n")[:-1])
            return _open(mariadb.url(name), stack)

        yield make


def _open(url: str, stack: ExitStack) -> Database:
    database = Database(url, clock=StillClock())
    stack.callback(database.close)
    return database


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.engine)])
def make(request: pytest.FixtureRequest) -> Make:
    """``make("version-1")`` is a database as that version left it, ``make("empty")`` one without tables."""
    found: Make = request.getfixturevalue("make_file" if request.param == "sqlite" else "make_server")
    return found


@pytest.fixture
def old(make: Make) -> Database:
    """A cloud of version 1."""
    return make("version-1")
