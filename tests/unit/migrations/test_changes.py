"""What a step can do to the tables of a cloud that has things in it, and that it may be interrupted anywhere."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Boolean, Column, ForeignKey, String, UniqueConstraint, text

from core.database import Database
from core.migrations import SCHEMA
from core.migrations.changes import BIG, NAME, TIME, UUID, Changes, Index, sql
from core.migrations.upgrade import upgrade
from tests.unit.migrations.catalogue import catalogue, rows
from tests.unit.migrations.conftest import Make
from tests.unit.migrations.test_upgrade import step


class Interrupted(Exception):
    """The process ended here."""


def everything(change: Changes) -> None:
    """A step that does all there is to do."""
    change.table(
        "rack",
        Column("id", BIG, primary_key=True, autoincrement=True),
        Column("uuid", UUID, unique=True, nullable=False),
        Column("name", NAME, index=True, nullable=False),
        Column("host_id", BIG, ForeignKey("host.id", ondelete="CASCADE"), nullable=False),
        Column("at", TIME, nullable=False),
        UniqueConstraint("host_id", "name", name="uq_rack_host_id"),
        Index("ix_rack_host_at", "host_id", "at"),
    )
    change.columns(
        "machine",
        Column("rack_id", BIG, ForeignKey("rack.id"), nullable=True, index=True),
        Column("label", String(40), unique=True, nullable=False),
        Column("kept", Boolean, nullable=False),
        fill={"label": sql("uuid"), "kept": True},
    )
    change.columns("volume", Column("note", NAME, nullable=True))
    change.retype("host", Column("kernel", String(200), nullable=False))
    change.drop_column("host", "cpu_model")
    change.index("ix_volume_size", "volume", "capacity DESC", "id")
    change.drop_index("ix_image_name", "image")
    change.drop_table("host_sample")
    change.execute("UPDATE project SET description = 'now' WHERE name = :name", name="shop")


def test_everything_a_step_can_do(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = {row["name"]: row for row in rows(old)["machine"]}
    before = catalogue(old)
    step(monkeypatch, everything)
    upgrade(old)
    after, found = catalogue(old), rows(old)
    assert "host_sample" not in after
    assert found["rack"] == []
    for row in found["machine"]:
        assert row == machines[row["name"]] | {"rack_id": None, "label": row["uuid"], "kept": True}
    assert {row["name"]: row["description"] for row in found["project"]}["shop"] == "now"
    assert all("cpu_model" not in row and row["name"] for row in found["host"])
    # What was there and is not spoken of stays as it was, to the order inside an index.
    for table in before.keys() - {"host", "host_sample", "image", "machine", "volume"}:
        assert after[table] == before[table], table
    gone = [entry for entry in before["machine"] if entry not in after["machine"]]
    assert gone == []
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        old.write(lambda s: s.execute(text("UPDATE machine SET label = 'same'")))
    with pytest.raises(Exception, match=r"(?i)null"):
        old.write(lambda s: s.execute(text("UPDATE machine SET kept = NULL")))
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        old.write(lambda s: s.execute(text("UPDATE machine SET rack_id = 4711")))


@pytest.mark.timeout(600)  # a whole cloud is made anew for each place
def test_a_step_may_be_interrupted_anywhere(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    step(monkeypatch, everything)
    whole = make("version-1")
    upgrade(whole)
    wanted, kept = catalogue(whole), rows(whole)

    points = 0
    while True:
        points += 1
        left = points

        def work(change: Changes) -> None:
            def end() -> None:
                nonlocal left
                left -= 1
                if not left:
                    raise Interrupted

            everything(Changes(change._connection, end))

        again = make("version-1")
        step(monkeypatch, work)
        try:
            upgrade(again)
        except Interrupted:
            again.close()
        else:
            break
        step(monkeypatch, everything)
        upgrade(again)
        assert catalogue(again) == wanted, points
        assert rows(again) == kept, points
        again.close()
    assert points > 10


def test_columns_are_added_in_stages_that_may_each_be_the_last(make_server: Make) -> None:
    """MariaDB keeps each of them; so does whoever comes second."""
    old = make_server("version-1")
    with old.engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE host ADD COLUMN place VARCHAR(64) NULL")
        change = Changes(connection)
        change.columns("host", Column("place", NAME, nullable=False), fill={"place": "here"})
        change.columns("host", Column("place", NAME, nullable=False), fill={"place": "elsewhere"})
        connection.commit()
    assert {row["place"] for row in rows(old)["host"]} == {"here"}
    assert ("column", "place", "varchar(64)", "NO", None, "", "", "utf8mb4_bin") in catalogue(old)["host"]


def test_an_upgrade_that_was_killed_is_taken_over(make_server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row stands still; an upgrade of a later version may take it over too."""
    old = make_server("version-1")
    left = {"before": 1, "token": "dead", "host": "h1", "begun": True, "beat": 3}
    old.write(
        lambda s: [
            s.execute(text("INSERT INTO setting VALUES ('upgrade', :value)"), {"value": json.dumps(left)}),
            s.execute(text("UPDATE setting SET value = '2' WHERE `key` = 'schema'")),
        ]
    )
    ran: list[int] = []
    step(monkeypatch, lambda change: ran.append(change.rows("SELECT COUNT(*) AS n FROM host")[0]["n"]))
    assert upgrade(old).before == 1
    assert ran == [2]
    assert [row["key"] for row in rows(old)["setting"]] == ["schema"]
    assert upgrade(old).before == SCHEMA
