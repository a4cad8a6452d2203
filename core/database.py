"""The way to the database: SQLite for one host, MariaDB (Galera) for many.

Every use is one short transaction: ``database.read(work)`` or ``database.write(work)``, where ``work``
takes a SQLAlchemy session and may be run again from its start when the engine reports a conflict
(deadlock, lost certification in Galera). Results count only when the call has returned, which is after
COMMIT. Engine faults surface as :class:`core.errors.DatabaseUnavailable`.
"""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, insert
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from core.clock import Clock, SystemClock
from core.errors import DatabaseUnavailable, InvalidInput
from core.i18n import N_

T = TypeVar("T")

#: MariaDB's codes for "do the whole transaction again": lock wait, deadlock/certification, snapshot.
_CONFLICTS = {1205, 1213, 1020}
#: ... for "the server is gone, or refuses to work": Galera without majority says 1047 and 1180; rights
#: withdrawn (1044, 1045, 1142), tables or database gone (1049, 1146), read-only (1290, 1836), disk full
#: (1021, 1030, 1114) and connections refused (1129, 1130, 1203) are for the administrator to mend.
_GONE = {1021, 1030, 1040, 1044, 1045, 1047, 1049, 1053, 1114, 1129, 1130, 1142, 1146, 1152, 1180, 1184, 1203}
_GONE |= {1290, 1836, 1927, 2002, 2003, 2006, 2013, 2014, 2055}
#: SQLite's words for the same; it has no codes that the driver hands on for all of them.
_GONE_SIGNS = (
    "unable to open",
    "disk I/O",
    "readonly",
    "no such table",
    "malformed",
    "disk is full",
    "not a database",
    "locking protocol",
)
#: ... for what no trying again mends.
_DAMAGED_SIGNS = ("malformed", "not a database")
#: How often a transaction is tried when it conflicts with others; about two seconds in all.
_ATTEMPTS = 10
#: Seconds that one try waits for another program that has locked SQLite's file (a backup, somebody's shell), and after
#: how many a transaction gives up: in the queue behind it others wait too, and no caller waits longer than a minute.
_BUSY, _HELD = 2, 8.0
#: Seconds one statement waits for a row that another transaction holds; less than the driver's own patience.
_LOCK_WAIT = 10


class FairLock:
    """A lock that serves waiters in the order they came, inside the process and across processes.

    SQLite's own busy handler sleeps and tries again, so one of four writers may starve for seconds. Between
    processes two file locks make the order: who waits for the work holds the place at the head of the queue,
    so that who has just worked cannot come again before.
    """

    def __init__(self, path: Path) -> None:
        """``path`` is the file whose lock is the work's; beside it is that of the queue's head."""
        self._work = path
        self._head = path.with_name(f"{path.name}-queue")
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._held = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            DatabaseUnavailable: a file to lock cannot be opened.
        """
        self._await_turn()
        try:
            work = _open(self._work)
            try:
                head = _open(self._head)
                try:
                    fcntl.flock(head, fcntl.LOCK_EX)
                    fcntl.flock(work, fcntl.LOCK_EX)
                finally:
                    os.close(head)
                yield
            finally:
                os.close(work)
        finally:
            self._pass_on()

    def _await_turn(self) -> None:
        with self._guard:
            if not self._held and not self._waiting:
                self._held = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            turn.wait()
        except BaseException:
            # Interrupted while waiting: leave the queue, or hand on the turn that came just then.
            with self._guard:
                waiting = turn in self._waiting
                if waiting:
                    self._waiting.remove(turn)
            if not waiting:
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseUnavailable(f"{path}: {error.strerror}") from error


class Database:
    """An engine and the two ways to use it."""

    def __init__(self, url: str, *, max_connections: int = 4, clock: Clock | None = None) -> None:
        """Prepare access to ``url`` (``sqlite:///FILE`` or ``mysql+pymysql://...``); connects at first use.

        Raises:
            InvalidInput: the URL cannot be understood.
        """
        self.url = parse_url(url)
        self.clock = clock or SystemClock()
        self.file = Path(self.url.database) if self.is_sqlite and self.url.database else None
        self._identity: tuple[int, int] | None = None
        self._lock = FairLock(Path(f"{self.file}-lock")) if self.file else None
        self._writing = threading.local()
        #: Whether another program has held the file for longer than anybody waits: the next are told at once.
        self._held = False
        self.engine = self._make_engine(max_connections)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded engine, which serves one host only."""
        return self.url.get_backend_name() == "sqlite"

    def _make_engine(self, max_connections: int) -> Engine:
        if self.is_sqlite:
            engine = create_engine(
                self.url,
                # Values may be secrets, and errors of the engine end in logs.
                hide_parameters=True,
                pool_size=max(4, max_connections),
                max_overflow=8,
                pool_timeout=10,
                # The one that was used last has pages, schema and statements at hand, which the others need not have.
                pool_use_lifo=True,
                creator=lambda: _open_sqlite(str(self.url.database)),
            )
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return create_engine(
            self.url,
            hide_parameters=True,
            pool_size=max_connections,
            max_overflow=2,
            pool_timeout=10,
            pool_use_lifo=True,
            pool_pre_ping=True,
            pool_recycle=1800,
            isolation_level="READ COMMITTED",
            connect_args={
                "connect_timeout": 5,
                "read_timeout": 30,
                "write_timeout": 30,
                # MariaDB would make the sums of a list one by one, for each row anew, and takes twice as long.
                "init_command": f"SET SESSION innodb_lock_wait_timeout = {_LOCK_WAIT}"
                " /*M! , optimizer_switch = 'split_materialized=off' */",
            },
        )

    def read(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction that changes nothing."""
        return self._run(work, write=False)

    def write(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction and commit; ``work`` may run several times, so it only uses its session."""
        if getattr(self._writing, "now", False):
            raise RuntimeError("a write within a write would wait for itself for ever")
        self._writing.now = True
        try:
            return self._run(work, write=True)
        finally:
            self._writing.now = False

    def _run(self, work: Callable[[Session], T], *, write: bool) -> T:
        begun = time.monotonic()
        for attempt in range(_ATTEMPTS):
            try:
                self._check_file()
                if write and self._lock is not None:
                    with self._lock():
                        result = self._once(work, write=True)
                    self._held = False
                    return result
                return self._once(work, write=write)
            except IntegrityError:
                raise
            except (DBAPIError, PoolTimeout) as error:
                if attempt + 1 < _ATTEMPTS and _is_conflict(error) and not self._is_held(begun):
                    self.clock.sleep(random.uniform(0.2, 1.0) * 0.01 * 2 ** min(attempt, 6))
                    continue
                if _is_unavailable(error):
                    raise _unavailable(error) from error
                raise
        raise AssertionError("unreachable")

    def _is_held(self, begun: float) -> bool:
        """Whether to give up after a conflict: another program has SQLite's file for too long."""
        if self.is_sqlite and time.monotonic() - begun > _HELD:
            self._held = True
        return self._held

    def _once(self, work: Callable[[Session], T], *, write: bool) -> T:
        connection = self.engine.connect().execution_options(dosvm_write=write)
        try:
            with Session(connection, expire_on_commit=False, autoflush=write) as session:
                result = work(session)
                if write:
                    session.commit()
                # Closing rolls a read back; unlike rollback() it leaves what was loaded usable.
                return result
        finally:
            connection.close()

    def _check_file(self) -> None:
        """An SQLite file that was moved or deleted goes on working unseen through open handles: look first."""
        if self.file is None:
            return
        try:
            status = os.stat(self.file)
        except OSError as error:
            raise DatabaseUnavailable(f"{self.file}: {error.strerror}") from error
        identity = (status.st_dev, status.st_ino)
        if self._identity is None:
            self._identity = identity
        elif identity != self._identity:
            # Another file came to its place (a backup was put back): what is open is the old one.
            self._identity = identity
            self.engine.dispose()

    def settle(self) -> None:
        """Move what was written into SQLite's file now, beside the writers; else one of them does it by its commit.

        For who writes very much. Nothing on other engines.
        """
        if not self.is_sqlite:
            return
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            cursor.fetchall()
            cursor.close()
        finally:
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def insert_new(session: Session, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows whose unique keys may be there already, or come at this moment from elsewhere: those are left alone.

    Args:
        session: a write transaction.
        table: a model.
        rows: column -> value, all with the same columns.
    """
    ignoring = "OR IGNORE" if session.get_bind().dialect.name == "sqlite" else "IGNORE"
    session.execute(insert(table).prefix_with(ignoring), list(rows))


def parse_url(url: str) -> URL:
    """Understand a database URL.

    Raises:
        InvalidInput: it is not ``sqlite:///FILE`` or ``mysql://`` / ``mariadb://USER:PASSWORD@HOST/NAME``.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is not None and parsed.get_backend_name() in ("mysql", "mariadb"):
        return parsed.set(drivername=f"{parsed.get_backend_name()}+pymysql").update_query_dict({"charset": "utf8mb4"})
    if parsed is None or parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise InvalidInput(
            N_("The database URL cannot be understood."),
            field="database",
            remedy=N_("Write sqlite:////path/to/file or mysql://USER:PASSWORD@HOST/NAME."),
        )
    return parsed


def _open_sqlite(file: str) -> sqlite3.Connection:
    """Open a file that is there: one that was moved away a moment ago must not be made anew, empty."""
    name = urllib.parse.quote(os.path.abspath(file))
    return sqlite3.connect(f"file:{name}?mode=rw", uri=True, timeout=_BUSY, check_same_thread=False)


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
        dbapi_connection.execute(f"PRAGMA {pragma}")
    dbapi_connection.create_function("unicode_lower", 1, _lower, deterministic=True)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("dosvm_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _code(error: Exception) -> int | None:
    original = getattr(error, "orig", None)
    arguments = getattr(original, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _is_conflict(error: Exception) -> bool:
    return _code(error) in _CONFLICTS or "database is locked" in str(getattr(error, "orig", ""))


def _is_unavailable(error: Exception) -> bool:
    if isinstance(error, PoolTimeout) or _code(error) in _GONE or _is_conflict(error):
        return True
    text = str(getattr(error, "orig", error))
    return any(sign in text for sign in _GONE_SIGNS) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _unavailable(error: Exception) -> DatabaseUnavailable:
    told = DatabaseUnavailable(reason_of(error))
    if any(sign in told.text() for sign in _DAMAGED_SIGNS):
        told.remedy = N_(
            "The file is damaged: stop hostd, and put a backup in its place. Running VMs are not affected."
        )
    return told


def reason_of(error: Exception) -> str:
    """What the engine itself says, without the statement and its values."""
    original = getattr(error, "orig", None) or error
    arguments = getattr(original, "args", ())
    return str(arguments[-1] if arguments else original).rstrip(".")
