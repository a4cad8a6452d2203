"""The furnished world, anew for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.database import Database
from core.model import Base
from core.services.cloud import HostView
from tests.architecture.world import World, furnish, open_world
from tests.fakes.office import Office
from tests.unit.migrations.conftest import make, make_file, make_server

__all__ = ["make", "make_file", "make_server", "world"]


@dataclass(frozen=True)
class _Template:
    file: Path
    names: dict[str, str]
    uuids: dict[str, str]
    views: list[HostView]
    me: str


@pytest.fixture(scope="session")
def _furnished(tmp_path_factory: pytest.TempPathFactory) -> _Template:
    file = tmp_path_factory.mktemp("world") / "cloud.db"
    file.touch()
    database = Database(f"sqlite:///{file}")
    Base.metadata.create_all(database.engine)
    world = open_world(database)
    names, uuids = furnish(Office(world.services))
    database.close()
    return _Template(file, names, uuids, world.cloud.hosts(), world.cloud.me)


@pytest.fixture
def world(_furnished: _Template, tmp_path: Path) -> Iterator[World]:
    """One of everything for project ``web``, as much for ``shop``, and all kinds of people."""
    shutil.copy(_furnished.file, tmp_path / "cloud.db")
    database = Database(f"sqlite:///{tmp_path}/cloud.db")
    world = open_world(database)
    world.names, world.uuids, world.cloud.me = _furnished.names, _furnished.uuids, _furnished.me
    for view in _furnished.views:
        world.cloud.put(view)
    yield world
    database.close()
