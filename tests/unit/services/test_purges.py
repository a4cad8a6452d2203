"""The logs are cleared before a time (manual 13.1.3), and that stays on record (13.1.4)."""

from __future__ import annotations

import contextlib
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, select

import core.services.registry  # noqa: F401  (the whole table of operations)
from core.coordination import log_names, purging
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DosvmError, InvalidInput, PermissionDenied, Refused
from core.model import LoginLog, LogName, LogSheet, OperationLog, Purge, Task
from core.services.dispatch import Services
from core.services.operation import OPERATIONS
from core.services.sessions import Sessions
from hostd.handlers.purges import Purges
from hostd.handling import Context, Interrupted
from tests.architecture.rights import RIGHTS
from tests.architecture.test_permissions import filled
from tests.architecture.world import World
from tests.fakes.clock import StillClock
from tests.fakes.cloud import StillCloud
from tests.fakes.office import PASSWORD, Office


@pytest.fixture
def old(office: Office, clock: StillClock, cloud: StillCloud, sessions: Sessions) -> Office:
    """A cloud with a host; zhao logged in and changed something long ago, and again now."""
    office.host("h1")
    cloud.me = cloud.hosts()[0].uuid
    zhao = office.project("web", admin="zhao")
    sessions.login("zhao", PASSWORD, "192.0.2.9")
    zhao("profile.edit", phone="1")
    clock.advance(86400)
    zhao("profile.edit", phone="2")
    sessions.login("zhao", PASSWORD, "192.0.2.9")
    return office


def work(services: Services, closing: threading.Event | None = None) -> list[int]:
    """Do what hostd would do with the task; the progress it told."""
    told: list[int] = []

    def claimed(session: Any) -> Claimed:
        task = session.scalars(select(Task).where(Task.kind == "purge").order_by(Task.id.desc()).limit(1)).one()
        payload = {"rows": 5}
        return Claimed(task.id, task.uuid, task.kind, task.target, task.target_name, None, payload, 1, task.origin)

    task = services.database.read(claimed)
    effect = Purges(services.database, services.clock).run(task, Context(told.append, closing or threading.Event()))
    assert effect is not None
    services.database.write(effect)
    return told


def rows(office: Office, table: Any) -> int:
    return len(office.services.database.read(lambda session: list(session.scalars(select(table.id)))))


def test_what_was_cleared_before_is_on_record_to_the_second(old: Office) -> None:
    """Typed as -2h, it falls on any part of a second; what people read of it is what it was."""
    old.sysadm("log.clear", before="2026-01-31T21:16:30.734512")
    (record,) = old.sysadm("log-purge.list")["rows"]
    assert record["before"] == "2026-01-31T21:16:30"
    row = old.sysadm("log.list", sort="at", descending=True)["rows"][0]
    assert row["target"] == "2026-01-31 21:16:30 UTC"


def test_both_logs_are_cleared_before_a_time_and_it_stays_on_record(old: Office) -> None:
    operations, logins = rows(old, OperationLog), rows(old, LoginLog)
    told = old.sysadm("log.clearable", before="2026-02-01T00:00")
    assert told == {"operations": operations - 1, "logins": logins - 1}
    old.sysadm("log.clear", before="2026-02-01T00:00")
    (record,) = old.sysadm("log-purge.list")["rows"]
    assert (record["rows"], record["finished"]) == (0, None), "not begun yet"
    progress = work(old.services)
    assert progress == sorted(progress)
    assert old.sysadm("log.clearable", before="2026-02-01T00:00") == {"operations": 0, "logins": 0}
    assert [row["operation"] for row in old.sysadm("log.list")["rows"]] == ["profile.edit", "log.clear"]
    assert old.sysadm("login-log.list")["total"] == 1
    (record,) = old.sysadm("log-purge.list")["rows"]
    assert {key: record[key] for key in ("account", "address", "action", "what", "before", "rows")} == {
        "account": "sysadm", "address": "192.0.2.7", "action": "Delete", "what": "log",
        "before": "2026-02-01T00:00:00", "rows": operations + logins - 2,
    }  # fmt: skip
    assert record["finished"]
    assert old.sysadm("log-purge.list", filters={"account": "nobody"})["total"] == 0
    assert old.sysadm("log-purge.list", filters={"since": "2026-02-01", "until": "2026-02-02"})["total"] == 1


def test_a_purge_that_is_cut_off_goes_on_where_it_was_and_counts_each_row_once(
    old: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = sum(old.sysadm("log.clearable", before="2026-02-01T00:00").values())
    old.sysadm("log.clear", before="2026-02-01T00:00")
    monkeypatch.setattr("hostd.handlers.purges._FIRST", 1)
    closing = threading.Event()
    closing.set()
    for _ in range(2):
        with pytest.raises(Interrupted):
            work(old.services, closing)
    (record,) = old.sysadm("log-purge.list")["rows"]
    assert 0 < record["rows"] < expected
    assert record["finished"] is None
    work(old.services)
    (record,) = old.sysadm("log-purge.list")["rows"]
    assert record["rows"] == expected


def test_the_last_hour_stays_so_that_no_request_happens_twice(old: Office, clock: StillClock) -> None:
    zhao = old.person("zhao")
    request = str(uuid.uuid4())
    first = old.services.call("profile.edit", {"phone": "3"}, zhao.actor, request)
    clock.advance(600)
    for before in (clock.now(), clock.now() - timedelta(minutes=59), clock.now() + timedelta(days=1)):
        with pytest.raises(InvalidInput, match="younger than an hour") as refused:
            old.sysadm("log.clear", before=before.isoformat())
        assert refused.value.field == "before"
    old.sysadm("log.clear", before=(clock.now() - timedelta(minutes=60)).isoformat())
    work(old.services)
    again = old.services.call("profile.edit", {"phone": "3"}, zhao.actor, request)
    assert again == first, "the same answer: it did not happen again"


def test_only_the_system_administrator_clears_and_only_at_a_registered_host(old: Office, cloud: StillCloud) -> None:
    with pytest.raises(PermissionDenied):
        old.person("zhao")("log.clear", before="2026-01-01")
    with pytest.raises(InvalidInput) as refused:
        old.sysadm("log.clear", before="-7d")
    assert refused.value.field == "before"
    cloud.me = "somewhere"
    with pytest.raises(Refused, match="not registered"):
        old.sysadm("log.clear", before="2026-01-01")
    assert old.sysadm("log-purge.list")["total"] == 0


def test_names_that_nothing_speaks_of_any_more_are_forgotten(old: Office, clock: StillClock) -> None:
    database = old.services.database

    def names() -> set[str]:
        return database.read(lambda session: set(session.scalars(select(LogName.name))))

    clock.advance(86400)
    assert log_names.gather(database, clock.now()) > 0
    assert {"zhao", "192.0.2.9", "web"} <= names()
    assert log_names.gather(database, clock.now()) == 0, "nothing came since"
    assert old.sysadm("log.list", filters={"account": "HAO"})["total"] == 2
    old.sysadm("log.clear", before=(clock.now() - timedelta(hours=2)).isoformat())
    work(old.services)
    assert names() == {"sysadm", "192.0.2.7"}, "the clearing itself is in the log"
    assert old.sysadm("log.list", filters={"account": "HAO"})["total"] == 0
    assert old.sysadm("log.list", search="sysadm")["total"] == 1, "what is not gathered yet is found as well"


def test_names_stand_on_as_many_sheets_as_they_need(
    office: Office, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_names, "_LINES", 3)
    database = office.services.database

    def enter(*accounts: str) -> None:
        office.fill(*(LoginLog(at=clock.now(), account=name, address="", outcome="right") for name in accounts))
        clock.advance(600)
        log_names.gather(database, clock.now())

    def sheets() -> list[str]:
        """What is on the sheets; what stands on each is what its names say."""
        with database.engine.connect() as connection:
            texts = connection.execute(select(LogSheet.id, LogSheet.folded).order_by(LogSheet.id)).all()
            for number, text in texts:
                names = select(LogName.folded).where(LogName.sheet == number).order_by(LogName.id)
                assert text.split("\n") == list(connection.scalars(names))
        return [text for _number, text in texts]

    enter("zhao", "qian", "赵小明", "Жуков")
    enter("sun", "li", "zhao", "100%", "a_b")
    assert [len(text.split("\n")) for text in sheets()] == [3, 3, 2]
    found = {"ZHAO": 2, "小": 1, "жук": 1, "%": 1, "_": 1, "n": 2, "nothing": 0}
    assert {q: office.sysadm("login-log.list", search=q)["total"] for q in found} == found
    monkeypatch.setattr(log_names, "_SHEETS", 1)
    assert {q: office.sysadm("login-log.list", search=q)["total"] for q in found} == found, "what is common"
    database.write(lambda session: session.execute(delete(LoginLog).where(LoginLog.account.in_(["sun", "li", "qian"]))))
    at: int | None = 0
    while at is not None:
        at = database.write(lambda session, a=at: log_names.forget(session, a, 2))  # type: ignore[misc]
    assert sorted("\n".join(sheets()).split("\n")) == sorted(["zhao", "赵小明", "жуков", "100%", "a_b"])
    enter("sun")
    assert office.sysadm("login-log.list", search="sun")["total"] == 1
    assert "sun" in sheets()[-1]


def test_new_rows_are_found_after_all_were_cleared(office: Office, clock: StillClock) -> None:
    """SQLite gives the numbers of what was cleared to what comes."""
    database = office.services.database

    def enter(*accounts: str) -> None:
        office.fill(*(LoginLog(at=clock.now(), account=name, address="", outcome="right") for name in accounts))

    def found(*accounts: str) -> list[int]:
        return [office.sysadm("login-log.list", search=name)["total"] for name in accounts]

    enter(*(f"old{number}" for number in range(5)))
    clock.advance(600)
    log_names.gather(database, clock.now())
    assert found("old") == [5]
    database.write(lambda session: session.execute(delete(LoginLog)))
    enter("zhao", "qian")
    assert found("old", "zhao", "qian") == [0, 1, 1], "before they are gathered"
    clock.advance(600)
    log_names.gather(database, clock.now())
    assert found("old", "zhao", "qian") == [0, 1, 1]
    enter("sun")
    assert found("zhao", "sun") == [1, 1]
    assert log_names.gather(database, clock.now() + timedelta(seconds=600)) > 0
    assert log_names.gather(database, clock.now() + timedelta(seconds=600)) == 0
    assert found("sun") == [1]


def test_a_search_finds_what_is_gathered_and_what_is_not(old: Office, clock: StillClock) -> None:
    database = old.services.database
    zhao = old.person("zhao")
    before = {q: old.sysadm("log.list", search=q)["total"] for q in ("ZHAO", "profile", "web", "100%", "_")}
    clock.advance(600)
    log_names.gather(database, clock.now())
    assert {q: old.sysadm("log.list", search=q)["total"] for q in before} == before
    zhao("profile.edit", phone="4")
    assert old.sysadm("log.list", search="zhao")["total"] == before["ZHAO"] + 1
    assert old.sysadm("log.list", search="zhao", filters={"account": "sys"})["total"] == before["ZHAO"] - 2


@pytest.fixture
def world(sqlite: Database, clock: StillClock) -> World:
    """One of everything, with a record of clearing."""
    from tests.architecture.world import furnish, open_world

    world = open_world(sqlite)
    world.names, world.uuids = furnish(Office(world.services))
    return world


def test_no_operation_changes_or_removes_the_record(world: World) -> None:
    """All operations, by everybody who may call them: none has a statement that touches it, but for `log.clear`."""
    database = world.services.database
    at = world.services.clock.now()
    kept = Purge(at=at, account="sysadm", address="192.0.2.7", what="log", before=at, rows=7, finished=at)
    database.write(lambda session: session.add(kept))
    touched: list[str] = []

    def look(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        words = statement.replace('"', "").lower().split()
        if words[:3] in (["delete", "from", "purge"], ["drop", "table", "purge"]) or words[:2] == ["update", "purge"]:
            touched.append(statement)

    def record(session: Any) -> list[Any]:
        table = Purge.__table__
        return list(session.execute(select(table).where(table.c.uuid == kept.uuid)).all())

    before = database.read(record)
    event.listen(database.engine, "before_cursor_execute", look)
    try:
        actors = {who: world.actor(who) for who in ("sysadm", "own")}
        for name in sorted(OPERATIONS):
            for who, actor in actors.items():
                with contextlib.suppress(DosvmError):
                    arguments = filled(RIGHTS[name].arguments, world.names)
                    world.services.call(name, arguments, actor, f"{who} {name}"[:36])
        # Another purge runs to its end, and a later one removes the operations that began both.
        for _ in range(2):
            world.services.call("log.clear", {"before": "2026-01-31T10:00"}, actors["sysadm"], str(uuid.uuid4()))
            work(world.services)
            assert all("rows=(purge.rows + ?)" in s or "finished=?" in s for s in touched), touched
    finally:
        event.remove(database.engine, "before_cursor_execute", look)
    assert database.read(record) == before
    assert not Purge.__table__.foreign_keys, "nothing that is deleted takes it along"


def test_what_can_be_cleared_has_an_index_to_find_its_oldest() -> None:
    for tables in purging.CLEARED.values():
        for each in tables:
            firsts = [index.columns[0].key for index in each.table.__table__.indexes]
            assert "at" in firsts or each.scope is not None, each
