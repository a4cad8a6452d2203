"""Lists with a million log rows, on both engines: what a page costs, and how long writers wait while logs are cleared.

Beside the time that passes stands what the same rows cost when they are asked for naively (all columns, sorted, an
exact count): the ratio holds on a busy machine too.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.coordination import purging
from core.coordination.tasks import Claimed
from core.database import Database
from core.model import Base, LoginLog, Purge, Role
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services.actor import Actor
from core.services.dispatch import Services
from hostd.handlers.purges import Purges
from hostd.handling import Context, Interrupted
from screens.spec import SYSADM, ResourceSpec
from tests.bench.figures import Figures, percentile
from tests.fakes.cloud import StillCloud
from tests.fakes.mariadb import MariaDB
from tests.scale.questions import Question, listed, questions
from tests.scale.seed import NOW, Sizes, fill
from tests.scale.watch import Watch

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

REPEATS = 5
#: Seconds that writers are watched while logs are cleared.
WATCHED = 30.0
#: What a person who knows nothing of this would ask for: all of it, sorted, and counted.
NAIVE = {
    "log": ("operation_log", "at"), "login-log": ("login_log", "at"), "user": ("user", "account"),
    "task": ("task", "created"), "host": ("host", "name"), "project": ("project", "name"), "vm": ("machine", "name"),
}  # fmt: skip


class LargeMariaDB(MariaDB):
    """A server with the memory that a cloud of a thousand hosts would give it."""

    def command(self) -> list[str]:
        """See :meth:`MariaDB.command`."""
        return [*super().command(), "--innodb-buffer-pool-size=1G"]


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def large(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A large cloud, on each engine in turn."""
    directory = Path(tempfile.mkdtemp(prefix="dosvm-large-"))
    server = LargeMariaDB(directory / "server")
    try:
        if request.param == "sqlite":
            (directory / "cloud.db").touch()
            database = Database(f"sqlite:///{directory}/cloud.db")
        else:
            server.install()
            server.start()
            server.run("CREATE DATABASE large CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            database = Database(server.url("large"))
        Base.metadata.create_all(database.engine)
        fill(database, Sizes())
        yield database
        database.close()
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _all_questions(services: Services, actor: Actor, spec: ResourceSpec) -> Iterator[Question]:
    for question in questions(spec, SYSADM):
        yield question
        if question.label == "open":
            total = services.call(spec.lists_by, {"limit": 1, **question.arguments}, actor, "")["total"]
            for label, offset in (("middle page", total // 2), ("last page", max(0, total - 100))):
                yield Question(spec, label, {**question.arguments, "offset": offset})


def _naive(database: Database, table: str, column: str) -> float:
    """Milliseconds of one page with an exact count, as ``SELECT *`` and ``OFFSET`` in the middle would have it."""
    quoted = database.engine.dialect.identifier_preparer.quote(table)

    def ask(session: Session) -> float:
        begin = time.perf_counter()
        total = session.scalar(text(f"SELECT count(*) FROM {quoted}")) or 0
        page = f"SELECT * FROM {quoted} ORDER BY {column} DESC LIMIT 100 OFFSET {total // 2}"
        session.execute(text(page)).all()
        session.scalar(text(f"SELECT count(*) FROM {quoted} WHERE {column} LIKE '%nothing%'"))
        return (time.perf_counter() - begin) * 1000

    return min(database.read(ask) for _ in range(3))


def test_every_list_with_a_million_log_rows(large: Database, figures: Figures) -> None:
    services = Services(
        large, SystemClock(), StillCloud(), Passwords(), lambda _r, _t: None, None, vault=Vault(bytes(32))
    )
    actor = Actor(1, "x", "sysadm", Role.SYSADM, "192.0.2.7")
    engine = "SQLite" if large.is_sqlite else "MariaDB"
    for spec in listed(SYSADM):
        took: dict[str, float] = {}
        for question in _all_questions(services, actor, spec):
            with Watch(large) as watch:
                services.call(spec.rows_by, {"limit": 100, **question.arguments}, actor, "")
            took[question.label] = min(watch.again() for _ in range(REPEATS)) * 1000
        slowest = max(took, key=lambda label: took[label])
        peer = _naive(large, *NAIVE[spec.name]) if spec.name in NAIVE else None
        figures.add(
            "lists", f"{engine}, {spec.name}: {len(took)} questions, p95 (slowest: {slowest})",
            percentile(list(took.values()), 95), "ms", peer=peer, peer_is="naive page, count, LIKE",
            wanted="p95 at most 50 ms", raw=took,
        )  # fmt: skip


def test_writers_beside_the_clearing_of_a_million_rows(large: Database, figures: Figures) -> None:
    """Last, for it takes the rows away: somebody logs in all the time while the oldest go."""
    before = NOW - timedelta(days=1)
    purge = Purge(at=NOW, account="sysadm", address="local", what="log", before=before, rows=0)
    large.write(lambda session: session.add(purge))
    closing = threading.Event()
    task = Claimed(0, "", "purge", purge.uuid, "", None, {"rows": 1_500_000}, 1, "")

    def clear() -> None:
        try:
            Purges(large, SystemClock()).run(task, Context(lambda _percent: None, closing))
        except Interrupted:
            return

    def write(seconds: float) -> list[float]:
        took, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            row = LoginLog(at=NOW, account="zhao", address="local", outcome="right")
            begin = time.perf_counter()
            large.write(lambda session, r=row: session.add(r))  # type: ignore[misc]
            took.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.01)
        return took

    alone = write(WATCHED / 3)
    thread = threading.Thread(target=clear)
    thread.start()
    beside = write(WATCHED)
    closing.set()
    thread.join()
    removed = large.read(lambda session: purging.load(session, purge.uuid))
    engine = "SQLite" if large.is_sqlite else "MariaDB"
    assert removed is not None
    assert removed.rows > 0
    for percent in (50.0, 99.0):
        figures.add(
            "clearing", f"{engine}, a writer beside it, p{percent:g} ({removed.rows / WATCHED:.0f} rows/s go)",
            percentile(beside, percent), "ms", peer=percentile(alone, percent), peer_is="nothing is cleared",
            wanted="p99 below 50 ms", raw=beside if percent == 50 else None,
        )  # fmt: skip
