"""Every list, each of its filters, searches and orders, is found by indexes: the engines' own plans say so.

The questions are made from the declarations. A new list or filter that reads a big table from end to end fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

import pytest
from sqlalchemy import select

from core.clock import SystemClock
from core.database import Database
from core.model import Base, Project, Role
from core.security.passwords import Passwords
from core.security.vault import Vault
from core.services import paging
from core.services.actor import Actor
from core.services.dispatch import Services
from screens.spec import PROJECT, SYSADM, ResourceSpec
from tests.fakes.cloud import StillCloud
from tests.fakes.mariadb import MariaDB
from tests.scale.questions import listed, questions
from tests.scale.seed import Sizes, fill
from tests.scale.watch import Watch

#: Enough for the engines to prefer an index; what they prefer for millions of rows they prefer for these.
SIZES = Sizes(
    hosts=100, projects=200, users=6_000, machines=6_000, tasks=20_000, operations=20_000, logins=20_000,
    samples=20_000,
)  # fmt: skip
#: Tables that have at most some thousand rows in a large cloud, and are read within milliseconds. A new table counts as
#: big until it is named here or below.
SMALL = {
    "host", "host_group", "host_in_group", "host_group_of_project", "project", "project_group", "project_in_group",
    "pool", "pool_of_project", "secret", "setting", "purge",
}  # fmt: skip
#: Tables that have at most some ten thousand rows, where a part of a name is looked for in all of them, or rows are
#: sorted by what another table says of them: tens of milliseconds, measured by `make bench`.
MEDIUM = {
    "user", "machine", "instance", "instance_volume", "instance_image", "volume", "image", "log_name", "log_sheet",
    "session", "pool_on_host",
}  # fmt: skip
BIG = set(Base.metadata.tables) - SMALL - MEDIUM
#: Questions that read or sort more of a big table than the page, and why they may.
KNOWN: dict[str, str] = {
    "sysadm task: search *": "tasks are kept for 30 days",
    "* usage: sort *vcpu_seconds": "what runs is summed up; of what ended a few runs of each VM are kept",
    "sysadm project: *sort *vcpu_seconds": "as of usage",
    "project task: sort *": "one project's tasks of 30 days",
    "project task: *, sort *": "one project's tasks of 30 days",
}


def _seeded(database: Database) -> Database:
    fill(database, SIZES)
    return database


@pytest.fixture(scope="module")
def large_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A large cloud in SQLite."""
    file = tmp_path_factory.mktemp("large") / "cloud.db"
    file.touch()
    database = Database(f"sqlite:///{file}")
    Base.metadata.create_all(database.engine)
    yield _seeded(database)
    database.close()


@pytest.fixture(scope="module")
def large_mariadb(mariadb: MariaDB) -> Iterator[Database]:
    """A large cloud in MariaDB."""
    mariadb.run("CREATE DATABASE large CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    database = Database(mariadb.url("large"))
    try:
        Base.metadata.create_all(database.engine)
        yield _seeded(database)
    finally:
        database.close()
        mariadb.run("DROP DATABASE large")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.engine)])
def large(request: pytest.FixtureRequest) -> Database:
    """A large cloud, on each engine in turn."""
    found: Database = request.getfixturevalue(f"large_{request.param}")
    return found


def actor(database: Database, role: str) -> Actor:
    """The system administrator, or the admin of a project."""
    project = database.read(lambda session: session.scalar(select(Project.id).where(Project.name == "project-00012")))
    mine = None if role == SYSADM else project
    return Actor(1, "x", "sysadm" if role == SYSADM else "user-00012", Role(role), "192.0.2.7", project_id=mine)


LISTS = [pytest.param(role, spec, id=f"{role}-{spec.name}") for role in (SYSADM, PROJECT) for spec in listed(role)]


@pytest.mark.parametrize(("role", "spec"), LISTS)
def test_lists_are_found_by_indexes(
    role: str, spec: ResourceSpec, large: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that all ways of finding a page are taken: a handful that fit, few, and many.
    monkeypatch.setattr(paging, "HANDFUL", 100)
    monkeypatch.setattr(paging, "FEW", 500)
    monkeypatch.setattr(paging, "ALL", 2_000)
    monkeypatch.setattr(paging, "_TOGETHER", 200)
    services = Services(
        large, SystemClock(), StillCloud(), Passwords(), lambda _r, _t: None, None, vault=Vault(bytes(32))
    )
    caller = actor(large, role)
    told = []
    for question in questions(spec, role, combined=True):
        name = f"{role} {spec.name}: {question.label}"
        with Watch(large) as watch:
            services.call(spec.rows_by, {"limit": 50, **question.arguments}, caller, "")
        found = list(watch.excesses(BIG, chosen=question.chooses))
        if found and not any(fnmatch(name, pattern) for pattern in KNOWN):
            told.append(f"{name} {found[0]}")
    assert not told, "\n".join(told)
