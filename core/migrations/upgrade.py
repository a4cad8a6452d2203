"""Upgrades a database to this program's version: once, by one, whole or taken up again.

SQLite: a copy of the file first, then all steps in one transaction. A server: the rows ``schema`` and
``upgrade`` say at once that nobody may work with the tables; who upgrades moves a counter in ``upgrade`` while
it lives, and whoever finds it standing still takes the work over, from its start.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, Delete, Update, create_engine, delete, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from core.database import Database, FairLock, reason_of
from core.errors import DosvmError, Refused
from core.i18n import N_
from core.migrations import SCHEMA, SCHEMA_KEY, UPGRADE_KEY
from core.migrations.chain import pieces
from core.migrations.changes import Changes
from core.migrations.state import known_state, read_state
from core.model import Setting

#: Seconds between two signs of life of who upgrades, and after how many without one somebody else takes over.
BEAT, LOST = 2.0, 12.0
#: Told what is being done now: a version, and the subject of the step that leads to it.
Tell = Callable[[int, str], None]


@dataclass(frozen=True)
class Done:
    """What an upgrade did. ``backup`` is the copy of an SQLite file."""

    before: int
    backup: Path | None = None

    @property
    def changed(self) -> bool:
        """Whether there was something to do."""
        return self.before < SCHEMA


@dataclass(frozen=True)
class _Claim:
    """The row ``upgrade``: who changes the tables, from which version, and whether some of it is done already."""

    before: int
    token: str
    host: str
    begun: bool = False
    beat: int = 0

    def text(self) -> str:
        return json.dumps(asdict(self))


def upgrade(
    database: Database, *, own_host: str = "", patience: float = 10.0, tell: Tell = lambda _v, _p: None
) -> Done:
    """Bring a database to :data:`SCHEMA`.

    Args:
        database: how to reach it.
        own_host: UUID of the host whose hostd the caller has made sure does not run.
        patience: seconds that another host's heartbeat must stand still to count as stopped.
        tell: told of each part before it begins.

    Returns:
        What was done; nothing when the database was of this version already.

    Raises:
        DatabaseUnavailable: it does not answer.
        Refused: there is no cloud in it, it is newer, a hostd or another upgrade is at work, or a step failed.
    """
    known_state(database)
    try:
        if database.file is not None:
            return _upgrade_file(database, database.file, own_host, patience, tell)
        return _upgrade_server(database, own_host, patience, tell)
    except DBAPIError as error:
        raise Refused(
            N_("The database could not be upgraded: {reason}."),
            remedy=N_("Mend the cause and run `dosvm upgrade` again: it goes on where it ended."),
            reason=reason_of(error),
        ) from error


def _run(connection: Connection, before: int, tell: Tell, check: Callable[[], None]) -> None:
    changes = Changes(connection, check)
    for version in range(before + 1, SCHEMA + 1):
        for name, piece in pieces(version):
            tell(version, name)
            piece.upgrade(changes)


def _refuse_while_alive(database: Database, own_host: str, patience: float) -> None:
    """Others' heartbeats are judged as everywhere: by whether they move while this process looks."""

    def look(session: Session) -> dict[str, int]:
        # Not by the model: the table is that of an older version.
        rows = session.execute(text("SELECT name, heartbeat FROM host WHERE uuid <> :own"), {"own": own_host})
        return {row.name: row.heartbeat for row in rows}

    first = database.read(look)
    begin = database.clock.monotonic()
    patience = max(patience, 1.5 * _slowest_heart(database, own_host))
    while first and database.clock.monotonic() - begin < patience:
        database.clock.sleep(0.25)
        moved = sorted(name for name, beat in database.read(look).items() if first.get(name) != beat)
        if moved:
            raise Refused(
                N_("hostd still runs on {hosts}."),
                remedy=N_("Stop hostd on all hosts, install the same DOSVM on them, and upgrade then."),
                hosts=", ".join(moved),
            )


def _slowest_heart(database: Database, own_host: str) -> int:
    """How often, in seconds, the slowest other host said that it beats; 0 where hosts did not say so yet."""
    if "heartbeat_interval" not in {column["name"] for column in inspect(database.engine).get_columns("host")}:
        return 0
    statement = text("SELECT MAX(heartbeat_interval) FROM host WHERE uuid <> :own")
    return database.read(lambda session: session.scalar(statement, {"own": own_host})) or 0


def _upgrade_file(database: Database, file: Path, own_host: str, patience: float, tell: Tell) -> Done:
    _refuse_while_alive(database, own_host, patience)
    with FairLock(Path(f"{file}-lock"))():
        before = known_state(database).version  # another upgrade may have ended while this one waited
        if before >= SCHEMA:
            return Done(before)
        backup = _copy(file, before, database)
        with database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            try:
                # A table made anew is dropped in between, and with it, otherwise, what refers to it.
                driver.execute("PRAGMA foreign_keys=OFF")
                with connection.begin():
                    _run(connection, before, tell, lambda: None)
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                    if broken is not None:
                        raise Refused(
                            N_("A row of the table {table} refers to one of {other} that is not there."),
                            remedy=N_(
                                "Nothing was changed. The database was damaged before: put a backup in its place."
                            ),
                            table=broken[0],
                            other=broken[2],
                        )
                    connection.execute(_set(SCHEMA_KEY, json.dumps(SCHEMA)))
            finally:
                connection.invalidate()  # nobody else shall get one that checks no foreign keys
    return Done(before, backup)


def _copy(file: Path, before: int, database: Database) -> Path:
    """A copy of an SQLite database beside it, as it is between two transactions."""
    stamp = database.clock.now().strftime("%Y%m%d-%H%M%S")
    target = file.with_name(f"{file.name}.version-{before}.{stamp}")
    draft = target.with_name(f"{target.name}.new")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        try:
            source, copy = sqlite3.connect(file), sqlite3.connect(draft)
            try:
                source.backup(copy)
            finally:
                copy.close()
                source.close()
            with open(draft, "rb+") as written:
                os.fsync(written.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise Refused(
            N_("The database cannot be copied to {file}: {reason}."),
            remedy=N_("Nothing was changed. Make room there, then upgrade again."),
            file=str(target),
            reason=str(getattr(error, "strerror", None) or error),
        ) from error
    return target


def _upgrade_server(database: Database, own_host: str, patience: float, tell: Tell) -> Done:
    claim = _claim(database)
    if claim is None:
        return Done(SCHEMA)
    life = _Life(database, claim)
    with life.beating():
        try:
            # Only now that no hostd of the old version can start any more.
            _refuse_while_alive(database, own_host, patience)
        except DosvmError:
            life.give_back()
            raise
        life.begin()
        # Without the time limits of daily work: changing a large table takes as long as it takes.
        engine = create_engine(
            database.url, hide_parameters=True, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5}
        )
        try:
            with engine.connect() as connection:
                _run(connection, claim.before, tell, life.check)
        finally:
            engine.dispose()
        life.end()
    return Done(claim.before)


def _claim(database: Database) -> _Claim | None:
    """Take the work: alone, or from somebody who gives no sign of life any more. None when there is none."""
    mine = _Claim(0, str(uuid.uuid4()), socket.gethostname())

    def take(session: Session) -> _Claim | str | None:
        state = read_state(session)
        other = session.scalar(select(Setting.value).where(Setting.key == UPGRADE_KEY).with_for_update())
        if other is not None:
            return other
        if state is None or state.version >= SCHEMA:
            return None
        claim = replace(mine, before=state.version)
        session.execute(insert(Setting).values(key=UPGRADE_KEY, value=claim.text()))
        session.execute(_set(SCHEMA_KEY, json.dumps(SCHEMA)))
        return claim

    try:
        found = database.write(take)
    except IntegrityError:  # somebody else entered the row at this moment
        found = database.write(take)
    if not isinstance(found, str):
        return found
    left = _Claim(**json.loads(found))
    begin = database.clock.monotonic()
    while database.clock.monotonic() - begin < LOST:
        database.clock.sleep(0.25)
        now = database.read(lambda s: s.scalar(select(Setting.value).where(Setting.key == UPGRADE_KEY)))
        if now is None:
            return _claim(database)  # it has just ended
        if now != found:
            raise Refused(
                N_("Another upgrade of this database runs on {host}."),
                remedy=N_("Wait until it has ended."),
                host=left.host,
            )
    claim = replace(mine, before=left.before, begun=left.begun)

    def take_over(session: Session) -> bool:
        session.execute(_set(SCHEMA_KEY, json.dumps(SCHEMA)))
        return bool(_count(session, _set(UPGRADE_KEY, claim.text(), held=found)))

    return claim if database.write(take_over) else _claim(database)


class _Life:
    """Shows others that the upgrade goes on, and notices when somebody took it over."""

    def __init__(self, database: Database, claim: _Claim) -> None:
        self._database = database
        self._claim = claim
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._lost = False

    @contextmanager
    def beating(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="upgrade", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _run(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                self._write(lambda claim: replace(claim, beat=claim.beat + 1))
            except DosvmError:
                continue  # the next beat tries again; who waits has more patience than one

    def _write(self, change: Callable[[_Claim], _Claim]) -> None:
        with self._guard:
            now = change(self._claim)
            done = self._database.write(lambda s: _count(s, _set(UPGRADE_KEY, now.text(), held=now.token)))
            self._lost = self._lost or not done
            self._claim = now

    def begin(self) -> None:
        """From now on the tables are no longer those of the old version."""
        self._write(lambda claim: replace(claim, begun=True, beat=claim.beat + 1))
        self.check()

    def check(self) -> None:
        if self._lost:
            raise Refused(N_("Another upgrade of this database took over from this one."))

    def give_back(self) -> None:
        """Nothing was done: the database is of the old version again, unless an earlier upgrade had begun."""
        if not self._claim.begun:
            self._close(self._claim.before)

    def end(self) -> None:
        self._close(SCHEMA)

    def _close(self, version: int) -> None:
        self._ended.set()
        with self._guard:

            def close(session: Session) -> int:
                held = Setting.value.contains(self._claim.token)
                count = _count(session, delete(Setting).where(Setting.key == UPGRADE_KEY, held))
                if count:
                    session.execute(_set(SCHEMA_KEY, json.dumps(version)))
                return count

            self._lost = not self._database.write(close)
        self.check()


def _set(key: str, value: str, *, held: str = "") -> Update:
    """Write a setting, if ``held`` (all or a part of its value) is there still."""
    statement = update(Setting).where(Setting.key == key, Setting.value.contains(held, autoescape=True))
    return statement.values(value=value).execution_options(synchronize_session=False)


def _count(session: Session, statement: Update | Delete) -> int:
    count: int = session.execute(statement).rowcount  # type: ignore[attr-defined]
    return count
