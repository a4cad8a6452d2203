"""G3: how long a writer waits when four write to one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from core.database import Database
from tests.bench.figures import Figures, percentile

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

WRITERS = 4
EACH = 400
WORK = "UPDATE counter SET value = value + 1 WHERE id = {writer}"


def _race(write: Callable[[int], None]) -> list[float]:
    """Let the writers write as fast as they may; the milliseconds of every write."""
    took: list[list[float]] = [[] for _ in range(WRITERS)]
    begin = threading.Barrier(WRITERS)

    def run(writer: int) -> None:
        begin.wait()
        for _ in range(EACH):
            start = time.perf_counter()
            write(writer)
            took[writer].append((time.perf_counter() - start) * 1000)

    threads = [threading.Thread(target=run, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [value for values in took for value in values]


def test_four_writers_on_sqlite(figures: Figures, tmp_path: Path) -> None:
    file = tmp_path / "cloud.db"
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER)")
        connection.executemany("INSERT INTO counter VALUES (?, 0)", [(writer,) for writer in range(WRITERS)])
    connection.close()

    local = threading.local()

    def naive(writer: int) -> None:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(file, timeout=60, isolation_level=None)
            local.connection.execute("PRAGMA synchronous=FULL")
        local.connection.execute("BEGIN IMMEDIATE")
        local.connection.execute(WORK.format(writer=writer))
        local.connection.execute("COMMIT")

    peer = _race(naive)
    database = Database(f"sqlite:///{file}")
    ours = _race(
        lambda writer: database.write(lambda session: session.execute(text(WORK.format(writer=writer)))) and None
    )
    database.close()
    for percent, wanted in ((50.0, ""), (99.9, "p99.9 at most 50 ms"), (100.0, "at most 200 ms")):
        name = "longest" if percent == 100 else f"p{percent:g}"
        figures.add(
            "G3", f"SQLite, {WRITERS} writers, {name}", percentile(ours, percent), "ms",
            peer=percentile(peer, percent), peer_is="busy handler", wanted=wanted,
            raw={"ours": ours, "peer": peer} if percent == 50 else None,
        )  # fmt: skip
