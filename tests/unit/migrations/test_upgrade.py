"""A cloud of an older version becomes one of this: whole, once, with all that is in it."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, text

from core.database import Database
from core.errors import DosvmError, Refused
from core.migrations import SCHEMA
from core.migrations import upgrade as module
from core.migrations.changes import Changes
from core.migrations.state import check_schema
from core.migrations.upgrade import upgrade
from core.model import Base, HostSample, LogSheet
from core.security.passwords import Passwords
from core.services.sessions import Sessions
from tests.fakes.clock import StillClock
from tests.fakes.office import PASSWORD
from tests.unit.migrations.catalogue import catalogue, rows
from tests.unit.migrations.conftest import Make


def version(database: Database) -> int:
    return int(json.loads(rows(database)["setting"][0]["value"]))


def step(monkeypatch: pytest.MonkeyPatch, work: Callable[[Changes], None]) -> None:
    """Let the way to this version be ``work``."""
    monkeypatch.setattr(module, "pieces", lambda _version: iter([("made-up", SimpleNamespace(upgrade=work))]))


def run(database: Database, *statements: str) -> None:
    database.write(lambda s: [s.execute(text(statement)) for statement in statements])


@pytest.fixture
def file(make_file: Make) -> Database:
    return make_file("version-1")


def test_people_log_in_after_the_upgrade(old: Database) -> None:
    upgrade(old)
    sessions = Sessions(old, StillClock(), Passwords(StillClock(), memory_kib=64, passes=1, lanes=1))
    assert sessions.login("web-admin", PASSWORD, "192.0.2.7")[1]["role"] == "project"


def test_a_second_upgrade_does_nothing(old: Database) -> None:
    upgrade(old)
    before = rows(old), catalogue(old)
    assert not upgrade(old).changed
    assert (rows(old), catalogue(old)) == before


def test_a_newer_cloud_is_left_alone(old: Database) -> None:
    run(old, "UPDATE setting SET value = '99'")
    for ask in (upgrade, check_schema):
        with pytest.raises(Refused, match="Install the DOSVM that belongs"):
            ask(old)


def test_what_is_not_a_cloud_is_left_alone(make: Make) -> None:
    with pytest.raises(Refused, match="dosvm init"):
        upgrade(make("empty"))


def test_an_old_cloud_names_the_remedy(old: Database) -> None:
    with pytest.raises(Refused, match="dosvm upgrade"):
        check_schema(old)


def test_tables_of_between_two_versions_are_told_with_what_they_lack(make: Make) -> None:
    """Made by a commit before the last that changed them, under the version that they got in the end."""
    made = make("empty")
    Base.metadata.create_all(made.engine)
    run(made, f"INSERT INTO setting VALUES ('schema', '{SCHEMA}')")
    check_schema(made)
    run(made, "ALTER TABLE task ADD COLUMN remark VARCHAR(10)")
    check_schema(made)  # nobody must fill it
    run(made, "ALTER TABLE host DROP COLUMN architecture", "DROP TABLE host_sample")
    with pytest.raises(Refused, match=r"lack columns of version 2: host\.architecture, host_sample\.[a-z_, .]*\.\.\."):
        check_schema(made)
    run(made, "ALTER TABLE host ADD COLUMN architecture VARCHAR(16)")
    HostSample.__table__.create(made.engine)
    check_schema(made)
    run(made, "CREATE TABLE unknown (id INTEGER PRIMARY KEY, name VARCHAR(10) NOT NULL)")
    check_schema(made)  # somebody else's


def test_a_column_that_nobody_fills_is_told(make: Make) -> None:
    made = make("empty")
    table = Table("log_sheet", MetaData(), Column("gone", Integer, nullable=False), *_copies(LogSheet))
    table.create(made.engine)
    Base.metadata.create_all(made.engine)
    run(made, f"INSERT INTO setting VALUES ('schema', '{SCHEMA}')")
    with pytest.raises(Refused, match=r"does not fill: log_sheet\.gone\. A DOSVM between two versions"):
        check_schema(made)


def _copies(model: type[Base]) -> list[Column[Any]]:
    return [Column(column.name, column.type, primary_key=column.primary_key) for column in model.__table__.columns]


def test_nobody_upgrades_under_a_living_host(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old), catalogue(old)
    sleep = StillClock.sleep

    def beat(clock: StillClock, seconds: float) -> None:
        sleep(clock, seconds)
        run(old, "UPDATE host SET heartbeat = heartbeat + 1 WHERE name = 'web-host'")

    monkeypatch.setattr(StillClock, "sleep", beat)
    with pytest.raises(Refused, match=r"still runs on web-host\."):
        upgrade(old)
    run(old, "UPDATE host SET heartbeat = 0 WHERE name = 'web-host'")
    assert (rows(old), catalogue(old)) == before
    # The caller's own host is known to be stopped, even when something moves.
    run(old, "DELETE FROM host_in_group", "UPDATE host SET uuid = 'me' WHERE name = 'web-host'")
    assert upgrade(old, own_host="me").changed


def test_a_step_that_fails_is_told_and_repeated(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old)

    def broken(change: Changes) -> None:
        change.execute("UPDATE host SET cores = 7")
        change.execute("UPDATE nowhere SET x = 1")

    with monkeypatch.context() as patched:
        step(patched, broken)
        with pytest.raises(Refused, match=r"nowhere.*run `dosvm upgrade` again"):
            upgrade(old)
    if old.is_sqlite:
        assert rows(old) == before
    else:
        with pytest.raises(Refused, match=r"being upgraded.*repeat"):
            check_schema(old)
    assert upgrade(old).changed
    check_schema(old)


def test_of_two_upgrades_at_once_one_works(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    begun, go_on = threading.Event(), threading.Event()
    outcomes: list[bool | str] = []

    def slow(change: Changes) -> None:
        ran.append(1)
        begun.set()
        assert go_on.wait(30)

    def work(clock: Any) -> None:
        database = Database(old.url.render_as_string(hide_password=False), clock=clock)
        try:
            outcomes.append(upgrade(database, patience=0.5).changed)
        except DosvmError as error:
            outcomes.append(error.message)
        finally:
            database.close()

    step(monkeypatch, slow)
    monkeypatch.setattr(module, "BEAT", 0.05)
    first = threading.Thread(target=work, args=(StillClock(),))
    second = threading.Thread(target=work, args=(None,))  # waits by the real clock, as the other's life is real
    first.start()
    assert begun.wait(30)
    second.start()
    second.join(1.0 if old.is_sqlite else 30.0)
    go_on.set()
    first.join(30)
    second.join(30)
    assert ran == [1]
    assert set(outcomes) == {True, False if old.is_sqlite else "Another upgrade of this database runs on {host}."}


def test_the_copy_of_the_file_is_the_old_cloud(file: Database) -> None:
    before = rows(file)
    backup = upgrade(file).backup
    assert backup is not None
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    copy = Database(f"sqlite:///{backup}")
    assert rows(copy) == before
    copy.close()
    assert sorted(path.name for path in backup.parent.glob("*version-1.*.new")) == []


def test_without_a_copy_there_is_no_upgrade(file: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(file)

    def full(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(module.sqlite3, "connect", full)
        with pytest.raises(Refused, match=r"cannot be copied.*disk is full.*Nothing was changed"):
            upgrade(file)
    assert rows(file) == before
    assert list(file.file.parent.glob("*.version-1.*")) == []  # type: ignore[union-attr]


def test_a_damaged_file_is_not_upgraded(file: Database) -> None:
    with sqlite3.connect(str(file.file)) as connection:
        connection.execute("UPDATE volume SET pool_id = 4711")
    connection.close()
    with pytest.raises(Refused, match=r"table volume refers to one of pool"):
        upgrade(file)
    assert version(file) == 1


def test_foreign_keys_are_checked_after_the_upgrade(file: Database) -> None:
    upgrade(file)
    assert file.read(lambda s: s.scalar(text("PRAGMA foreign_keys"))) == 1


def test_the_versions_of_the_chain_are_run_in_order(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    monkeypatch.setattr(module, "SCHEMA", 4)
    monkeypatch.setattr(
        module,
        "pieces",
        lambda number: iter([("x", SimpleNamespace(upgrade=lambda _change: ran.append(number)))]),
    )
    upgrade(old)
    assert ran == [2, 3, 4]
    assert version(old) == 4


def test_images_that_several_vms_use_are_shared_and_others_are_one_vms(old: Database) -> None:
    """*Shared* meant between projects in version 1, and means between VMs now."""
    before = {row["id"]: row for row in rows(old)["image"]}
    used = {link["image_id"]: link["instance_id"] for link in rows(old)["instance_image"]}
    image, instance = next(iter(used.items()))
    run(old, "UPDATE image SET shared = 0", f"UPDATE machine SET instance_id = {instance}")
    vms = sum(row["instance_id"] == instance for row in rows(old)["machine"])
    assert before
    assert vms > 1, "this cloud has two VMs"
    upgrade(old)
    shared = {row["id"]: bool(row["shared"]) for row in rows(old)["image"]}
    assert shared == {i: i == image for i in before}
    unique = {row["id"]: bool(row["unique"]) for row in rows(old)["instance"]}
    assert all(unique[owner] for number, owner in used.items() if number != image and owner != instance)
