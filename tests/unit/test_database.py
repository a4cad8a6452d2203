"""The way to the database: fairness, retries, and faults told as what they are."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from core.database import Database, parse_url
from core.errors import DatabaseUnavailable, InvalidInput
from core.model import Base, Setting
from core.rpc.calls import Timeout
from tests.fakes.clock import StillClock
from tests.fakes.mariadb import MariaDB


def put(key: str, value: str = "1") -> Callable[[Session], None]:
    return lambda session: session.add(Setting(key=key, value=value))


def keys(session: Session) -> list[str]:
    return list(session.scalars(select(Setting.key).order_by(Setting.key)))


def test_what_is_written_is_read(database: Database) -> None:
    database.write(put("a", "字🙂"))
    assert database.read(lambda s: s.scalar(select(Setting.value))) == "字🙂"


def test_a_read_changes_nothing(database: Database) -> None:
    database.read(put("a"))

    def work(session: Session) -> None:
        put("b")(session)
        session.flush()

    database.read(work)
    assert database.read(keys) == []


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    def work(session: Session) -> None:
        session.add(Setting(key="a", value="1"))
        session.flush()
        raise ValueError

    with pytest.raises(ValueError):
        database.write(work)
    assert database.read(keys) == []


def test_a_broken_constraint_is_the_callers_to_explain(database: Database) -> None:
    database.write(put("a"))
    with pytest.raises(IntegrityError):
        database.write(put("a"))


def test_names_differ_when_their_characters_do(database: Database) -> None:
    for key in ("a", "A", "á"):
        database.write(put(key))
    assert len(database.read(keys)) == 3


def test_a_write_within_a_write_is_a_mistake_and_not_a_hang(database: Database) -> None:
    with pytest.raises(RuntimeError):
        database.write(lambda s: database.write(put("a")))
    database.write(put("a"))


def test_what_was_loaded_stays_usable(database: Database) -> None:
    database.write(put("a"))
    row = database.read(lambda s: s.scalars(select(Setting)).one())
    assert (row.key, row.value) == ("a", "1")


def test_a_conflict_is_tried_again_from_the_start(database: Database, clock: StillClock) -> None:
    database.clock = clock
    tries: list[int] = []

    def work(session: Session) -> str:
        tries.append(1)
        session.add(Setting(key=f"k{len(tries)}", value="1"))
        session.flush()
        if len(tries) < 3:
            original: Exception = pymysql.err.OperationalError(1213, "Deadlock found")
            raise OperationalError("UPDATE", {}, original)
        return "done"

    assert database.write(work) == "done"
    assert database.read(keys) == ["k3"]


def test_conflicts_without_end_are_an_answer_at_last(database: Database, clock: StillClock) -> None:
    database.clock = clock

    def work(session: Session) -> None:
        raise OperationalError("UPDATE", {}, pymysql.err.OperationalError(1213, "Deadlock found"))

    with pytest.raises(DatabaseUnavailable, match="Deadlock found"):
        database.write(work)


@pytest.mark.parametrize("code", [1047, 1180, 1290, 1045, 2006, 2013])
def test_a_server_that_will_not_work_is_unavailable(database: Database, code: int) -> None:
    def work(session: Session) -> None:
        raise OperationalError("SELECT secret", {}, pymysql.err.OperationalError(code, "because."))

    with pytest.raises(DatabaseUnavailable, match=r"does not answer: because\.") as error:
        database.read(work)
    assert "secret" not in error.value.text()


def test_many_threads_write_each_once(database: Database) -> None:
    database.write(put("n", "0"))

    def add(session: Session) -> None:
        session.execute(update(Setting).values(value=Setting.value + 1))

    def work() -> None:
        for _ in range(25):
            database.write(add)

    run([threading.Thread(target=work) for _ in range(4)])
    assert database.read(lambda s: int(float(s.scalar(select(Setting.value)) or 0))) == 100


def run(workers: list[Any]) -> None:
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)


# SQLite


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "postgresql://x/y", "mysql:", "://"]
)
def test_an_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_url(url)
    assert error.value.field == "database"


def test_writers_are_served_in_turn(sqlite: Database) -> None:
    """Four threads write as fast as they can: each gets its share and nobody waits long."""
    waits: list[float] = []
    counts = [0] * 4
    stop = time.monotonic() + 1.0

    def work(number: int) -> None:
        while time.monotonic() < stop:
            begun = time.monotonic()
            sqlite.write(put(f"{number}-{counts[number]}"))
            waits.append(time.monotonic() - begun)
            counts[number] += 1

    run([threading.Thread(target=work, args=(number,)) for number in range(4)])
    tell("4 threads", waits)
    assert sqlite.read(lambda s: s.scalar(select(func.count()).select_from(Setting))) == sum(counts)
    assert min(counts) * 2 > max(counts)


def tell(what: str, waits: list[float]) -> None:
    cuts = statistics.quantiles(waits, n=1000)
    print(
        f"\n{what}: {len(waits)} writes, ms: p50 {cuts[499] * 1e3:.2f}, p99 {cuts[989] * 1e3:.2f},"
        f" p99.9 {cuts[998] * 1e3:.2f}, max {max(waits) * 1e3:.2f}"
    )


def _write_for_a_second(url: str, number: int, results: Any) -> None:
    database = Database(url)
    waits: list[float] = []
    stop = time.monotonic() + 1.0
    while time.monotonic() < stop:
        begun = time.monotonic()
        database.write(put(f"{number}-{len(waits)}"))
        waits.append(time.monotonic() - begun)
    database.close()
    results.put(waits)


def test_processes_write_beside_each_other(sqlite: Database) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    url = sqlite.url.render_as_string()
    workers = [context.Process(target=_write_for_a_second, args=(url, n, results)) for n in range(4)]
    for worker in workers:
        worker.start()
    waits = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    tell("4 processes", [wait for mine in waits for wait in mine])
    assert sqlite.read(lambda s: s.scalar(select(func.count()).select_from(Setting))) == sum(map(len, waits))


def test_an_interrupted_waiter_does_not_keep_the_turn(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        inside.set()
        go.wait(10)

    holder = threading.Thread(target=sqlite.write, args=(slow,))
    holder.start()
    inside.wait(10)
    real = threading.Event.wait

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return real(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sqlite.write(put("a"))
    monkeypatch.undo()
    go.set()
    holder.join(10)
    sqlite.write(put("b"))
    assert sqlite.read(keys) == ["b"]


def test_a_file_that_is_moved_away_and_comes_back(sqlite: Database) -> None:
    assert sqlite.file is not None
    sqlite.write(put("a"))
    away = sqlite.file.with_name("away.db")
    sqlite.file.rename(away)
    for use in (lambda: sqlite.read(keys), lambda: sqlite.write(put("b"))):
        with pytest.raises(DatabaseUnavailable, match=str(sqlite.file)):
            use()
    assert not sqlite.file.exists(), "nothing makes an empty one in its place"
    away.rename(sqlite.file)
    sqlite.write(put("c"))
    assert sqlite.read(keys) == ["a", "c"]


def test_a_backup_put_in_the_place_of_the_file_is_used(sqlite: Database) -> None:
    assert sqlite.file is not None
    backup = sqlite.file.with_name("backup.db")
    sqlite.write(put("old"))
    with sqlite3.connect(sqlite.file) as source:
        source.execute(f"VACUUM INTO '{backup}'")
    source.close()
    sqlite.write(put("new"))
    for suffix in ("", "-wal", "-shm"):
        file = sqlite.file.with_name(sqlite.file.name + suffix)
        if file.exists():
            file.unlink()
    with pytest.raises(DatabaseUnavailable):
        sqlite.read(keys)
    shutil.move(backup, sqlite.file)
    assert sqlite.read(keys) == ["old"]
    sqlite.write(put("newer"))
    assert sqlite.read(keys) == ["newer", "old"]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "cloud.db"
    file.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnavailable, match=r"not a database.*put a backup in its place"):
        database.read(keys)


def test_an_empty_file_has_no_tables(tmp_path: Path) -> None:
    file = tmp_path / "cloud.db"
    file.touch()
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnavailable, match="no such table"):
        database.read(keys)
    database.close()


def test_a_directory_in_the_place_of_the_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}")
    with pytest.raises(DatabaseUnavailable):
        database.write(put("a"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=1m none {place}") != 0:
        pytest.skip("may not mount")
    yield place
    os.system(f"umount -l {place}")


def test_a_full_disk_is_told_and_nothing_is_half_written(small_disk: Path) -> None:
    file = small_disk / "cloud.db"
    file.touch()
    database = Database(f"sqlite:///{file}")
    Base.metadata.tables["setting"].create(database.engine)
    database.write(put("a"))
    with pytest.raises(DatabaseUnavailable):
        database.write(lambda s: s.add_all(Setting(key=f"k{n}", value="x" * 100_000) for n in range(50)))
    assert database.read(keys) == ["a"]
    database.close()


def test_a_file_system_that_turns_read_only(small_disk: Path) -> None:
    file = small_disk / "cloud.db"
    file.touch()
    database = Database(f"sqlite:///{file}")
    Base.metadata.tables["setting"].create(database.engine)
    database.write(put("a"))
    database.close()
    assert os.system(f"mount -o remount,ro {small_disk}") == 0
    with pytest.raises(DatabaseUnavailable):
        database.write(put("b"))
    assert os.system(f"mount -o remount,rw {small_disk}") == 0
    database.write(put("b"))
    assert database.read(keys) == ["a", "b"]
    database.close()


def test_a_file_that_another_program_holds_is_told_before_any_caller_gives_up(sqlite: Database) -> None:
    sqlite.write(put("before"))
    other = sqlite3.connect(str(sqlite.url.database), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    told: list[DatabaseUnavailable] = []

    def write(key: str) -> None:
        with pytest.raises(DatabaseUnavailable, match="locked") as error:
            sqlite.write(put(key))
        told.append(error.value)

    begun = time.monotonic()
    run([threading.Thread(target=write, args=(f"k{number}",)) for number in range(6)])
    assert time.monotonic() - begun < Timeout.LONG.value
    assert len(told) == 6
    other.execute("ROLLBACK")
    sqlite.write(put("after"))
    assert sqlite.read(keys) == ["after", "before"]
    # Whoever meets a lock for a moment only goes on waiting for it.
    other.execute("BEGIN EXCLUSIVE")
    thread = threading.Thread(target=lambda: sqlite.write(put("late")))
    thread.start()
    time.sleep(3)  # longer than one try waits
    other.execute("ROLLBACK")
    thread.join()
    assert sqlite.read(keys) == ["after", "before", "late"]
    other.close()


# MariaDB


@pytest.mark.engine
def test_two_transactions_that_wait_for_each_other_both_end_well(mariadb_database: Database) -> None:
    for key in ("a", "b"):
        mariadb_database.write(put(key, "0"))
    met = threading.Barrier(2, timeout=10)
    tries: list[int] = []

    def both(first: str, second: str) -> None:
        def work(session: Session) -> None:
            tries.append(1)
            session.execute(update(Setting).where(Setting.key == first).values(value=Setting.value + 1))
            if len(tries) <= 2:
                met.wait()
            session.execute(update(Setting).where(Setting.key == second).values(value=Setting.value + 1))

        mariadb_database.write(work)

    run([threading.Thread(target=both, args=pair) for pair in (("a", "b"), ("b", "a"))])
    assert len(tries) > 2, "there was no deadlock"
    values = mariadb_database.read(lambda s: [float(v) for v in s.scalars(select(Setting.value))])
    assert values == [2, 2]


@pytest.mark.engine
def test_a_server_that_goes_and_comes(mariadb: MariaDB, mariadb_database: Database) -> None:
    mariadb_database.write(put("a"))
    mariadb.stop()
    try:
        for use in (lambda: mariadb_database.read(keys), lambda: mariadb_database.write(put("b"))):
            with pytest.raises(DatabaseUnavailable):
                use()
    finally:
        mariadb.start()
    mariadb_database.write(put("c"))
    assert mariadb_database.read(keys) == ["a", "c"]


@pytest.mark.engine
def test_a_connection_that_was_cut_while_idle_is_not_noticed(mariadb: MariaDB, mariadb_database: Database) -> None:
    def connection(session: Session) -> int:
        return int(session.scalar(text("SELECT CONNECTION_ID()")) or 0)

    mariadb.run(f"KILL {mariadb_database.read(connection)}")
    assert mariadb_database.read(keys) == []


@pytest.mark.engine
def test_a_password_that_is_wrong_is_told_without_it(mariadb: MariaDB) -> None:
    mariadb.run("CREATE OR REPLACE USER zhao@localhost IDENTIFIED BY 'right'")
    database = Database(mariadb.url("dosvm").replace("root@", "zhao:Secret-9@"))
    with pytest.raises(DatabaseUnavailable, match="Access denied") as error:
        database.read(keys)
    assert "Secret-9" not in error.value.text()


def test_no_value_stands_in_an_error_of_the_engine(database: Database) -> None:
    """Such errors end in hostd's log, and values may be the hash of a password or a sealed secret."""
    database.write(put("a", "s3cret"))
    with pytest.raises(IntegrityError) as caught:
        database.write(put("a", "s3cret"))
    assert "s3cret" not in str(caught.value)
