"""Fixtures that all tests share: databases, time, the living cloud, the services on them."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import delete

from core.database import Database
from core.errors import label_fields_by
from core.i18n import set_language
from core.model import Base
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services.dispatch import Services
from core.services.sessions import Sessions
from screens import registry
from tests.fakes.clock import StillClock
from tests.fakes.cloud import StillCloud
from tests.fakes.mariadb import MariaDB
from tests.fakes.office import Office
from tests.fakes.places import make_place

# How fast an example is says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# Errors are read by people who have forms, as they are on the command line and in the console.
label_fields_by(registry.label)

#: Files that take minutes, the longest first: where workers share the files, one that began such a file last is waited
#: for. Measured by `--durations=0`; others come after them as they are collected.
LONG = (
    "lab/test_crashes.py", "lab/test_maintenance.py", "lab/test_migration.py", "engine/test_daemon.py",
    "lab/test_run_time.py", "engine/test_machines.py", "engine/test_secrets.py", "lab/test_gluster.py",
    "lab/test_bad_input.py", "lab/test_parameters.py", "engine/test_runs.py", "lab/test_two_hosts.py",
    "engine/test_volume_formats.py", "engine/test_uploads.py", "engine/test_snapshots.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within a file, and among the others, the order stays."""
    place = {str(Path(__file__).parent / name): number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(str(item.path), len(LONG)))


@pytest.fixture
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever reads is eight hours ahead of UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True)
def _as_at_the_start() -> None:
    """Each test begins in English and with a log, whatever a command in the one before had set for its process."""
    set_language("en")
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server of this test session."""
    if MariaDB.missing():
        pytest.fail(f"not installed: {MariaDB.missing()}; run `make setup-test`")
    directory = make_place("mariadb")
    server = MariaDB(directory)
    try:
        server.install()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _mariadb_tables(mariadb: MariaDB) -> Iterator[Database]:
    mariadb.run("CREATE DATABASE dosvm CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    database = Database(mariadb.url("dosvm"))
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "cloud.db"
    file.touch()
    database = Database(f"sqlite:///{file}")
    Base.metadata.create_all(database.engine)
    database.close()
    return file


@pytest.fixture
def sqlite(tmp_path: Path, _sqlite_template: Path) -> Iterator[Database]:
    """An SQLite database with all tables and no rows."""
    file = tmp_path / "cloud.db"
    shutil.copy(_sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


@pytest.fixture
def mariadb_database(_mariadb_tables: Database) -> Database:
    """A MariaDB database with all tables and no rows."""
    with _mariadb_tables.engine.begin() as connection:
        connection.exec_driver_sql("SET foreign_key_checks = 0")
        for table in Base.metadata.tables.values():
            connection.execute(delete(table))
        connection.exec_driver_sql("SET foreign_key_checks = 1")
    return _mariadb_tables


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.engine)])
def database(request: pytest.FixtureRequest) -> Database:
    """An empty database with all tables, on each engine in turn."""
    name = "sqlite" if request.param == "sqlite" else "mariadb_database"
    found: Database = request.getfixturevalue(name)
    return found


@pytest.fixture
def clock() -> StillClock:
    """Time that stands until the test moves it."""
    return StillClock()


@pytest.fixture
def cloud() -> StillCloud:
    """The living cloud as the test says it is; empty at first."""
    return StillCloud()


@pytest.fixture
def passwords(clock: StillClock) -> Passwords:
    """Password hashing that costs next to nothing."""
    return Passwords(clock, memory_kib=64, passes=1, lanes=1)


@pytest.fixture
def sessions(database: Database, clock: StillClock, passwords: Passwords) -> Sessions:
    """Logging in, on the same database."""
    return Sessions(database, clock, passwords)


@pytest.fixture
def services(
    database: Database, clock: StillClock, cloud: StillCloud, passwords: Passwords, sessions: Sessions
) -> Services:
    """All operations, on the same database."""
    return Services(database, clock, cloud, passwords, lambda rings, topics: None, sessions, vault=Vault(bytes(32)))


@pytest.fixture
def office(services: Services) -> Office:
    """People and things to work with, made on demand: ``office.sysadm("project.list")``."""
    return Office(services)
