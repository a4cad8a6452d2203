"""The steps between versions lead to just the tables that a new cloud gets."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from core.migrations import SCHEMA
from core.migrations.state import check_schema
from core.migrations.upgrade import upgrade
from core.model import Base
from tests.unit.migrations.catalogue import catalogue, rows
from tests.unit.migrations.conftest import Make


def test_each_version_has_its_step_and_the_last_is_this_one() -> None:
    for number in range(2, SCHEMA + 1):
        assert find_spec(f"core.migrations.to_{number}"), number
    assert not find_spec(f"core.migrations.to_{SCHEMA + 1}")


def test_an_upgraded_cloud_is_like_a_new_one(make: Make) -> None:
    old, new = make("version-1"), make("empty")
    Base.metadata.create_all(new.engine)
    before = rows(old)
    done = upgrade(old)
    assert (done.before, done.changed) == (1, True)
    found, wanted = catalogue(old), catalogue(new)
    assert sorted(found) == sorted(wanted)
    for table in wanted:
        assert found[table] == wanted[table], f"{table}: its change is missing in core/migrations/to_{SCHEMA}"
    after = rows(old)
    before["setting"][0]["value"] = str(SCHEMA)
    for table, kept in before.items():
        columns = [key for key in (kept[0] if kept else ()) if key in Base.metadata.tables[table].columns]
        assert _only(after[table], columns) == _only(kept, columns), table
    check_schema(old)


def _only(found: list[dict[str, Any]], columns: list[str]) -> list[dict[str, Any]]:
    return sorted(({key: row[key] for key in columns} for row in found), key=repr)
