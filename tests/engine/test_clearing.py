"""Clearing the logs on a real hostd that is killed in the middle of it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.hostd import Hostd, until
from tests.engine.libvirt import PrivateLibvirt

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

OLD = 5000


@pytest.fixture
def fresh(private_libvirt: PrivateLibvirt) -> Iterator[Hostd]:
    """A hostd of its own, with many operations and logins of last year, that does not run yet."""
    home = Path(tempfile.mkdtemp(prefix="dosvm-home-"))
    daemon = Hostd(private_libvirt, home)
    with sqlite3.connect(daemon.database) as connection:
        connection.executemany(
            "INSERT INTO operation_log (at, account, address, action, operation, target, detail, request, result)"
            " VALUES (?, 'sysadm', 'local', 'Edit', 'user.edit', 'zhao', '', ?, '{}')",
            [(f"2025-01-01 00:00:00.{n:06}", uuid.uuid4().hex) for n in range(OLD)],
        )
        connection.executemany(
            "INSERT INTO login_log (at, account, address, outcome) VALUES (?, 'zhao', 'local', 'right')",
            [(f"2025-01-01 00:00:00.{n:06}",) for n in range(OLD)],
        )
    connection.close()
    yield daemon
    if daemon.running:
        daemon.kill()
    shutil.rmtree(home, ignore_errors=True)


def left(daemon: Hostd) -> int:
    """Rows of last year that are still there."""
    connection = sqlite3.connect(daemon.database, timeout=20)
    try:
        tables = ("operation_log", "login_log")
        return sum(
            connection.execute(f"SELECT count(*) FROM {t} WHERE at < '2026-01-01 00:00'").fetchone()[0] for t in tables
        )
    finally:
        connection.close()


def test_a_hostd_that_is_killed_while_it_clears_goes_on_and_counts_each_row_once(fresh: Hostd) -> None:
    for round_ in (3, 2):
        fresh.start({"HOSTD_CRASH_AT": f"purge_batch:{round_}"})
        if round_ == 3:
            fresh.wait()
            assert fresh.admin("log.clearable", before="2026-01-01") == {"operations": OLD, "logins": OLD}
            fresh.admin("log.clear", before="2026-01-01")
        until(lambda: not fresh.running, 60, "hostd has died")
        assert 0 < left(fresh) < 2 * OLD
    fresh.start()
    record = until(lambda: fresh.admin("log-purge.list", filters={}, search="")["rows"], 30)[0]
    assert record["rows"] <= 2 * OLD
    until(lambda: fresh.admin("log-purge.list")["rows"][0]["finished"], 150, "cleared")
    assert left(fresh) == 0
    assert fresh.admin("log-purge.list")["rows"][0]["rows"] == 2 * OLD
    (task,) = fresh.admin("task.list", filters={"kind": "purge"})["rows"]
    assert (task["state"], task["progress"]) == ("done", 100)
