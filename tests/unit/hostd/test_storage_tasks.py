"""Tasks of storage when libvirtd goes away in their middle: nothing is forgotten that is still there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.coordination import tasks
from core.errors import EngineError
from core.model import Pool, TaskState, pool_of_project
from core.specs.pool import PoolOrder
from hostd.bus import Bus
from hostd.executor import Executor
from hostd.handlers.pools import Upkeep
from hostd.handlers.volumes import handlers
from hostd.runtime import Runtime
from hostd.targets import Targets
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person


class Storage:
    """The way to a pool's files, which may be away."""

    def __init__(self) -> None:
        self.left = -1

    def ready(self, _pool: PoolOrder) -> None:
        """It is a directory."""

    def touch(self, _pool: str, work: Callable[[], Any], *, limit: float) -> Any:
        self.left -= 1
        if self.left == -1:
            raise EngineError("The storage does not answer.")
        return work()


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with a pool on host h1."""
    admin = rack.web(office)
    rack.disk(office, admin, "other")
    return admin


def perform(office: Office, storage: Storage) -> None:
    """What the executor does with the tasks of h1, once."""
    database, host = office.services.database, rack.host_id(office, "h1")
    keeper: Any = storage
    secrets: Any = SimpleNamespace()
    executor = Executor(
        database,
        SystemClock(),
        "boot",
        lambda: host,
        handlers(database, keeper, secrets),
        Targets(),
        Bus(),
        Runtime(),
        threads=1,
        libvirt_back=lambda _seconds: False,
        ended=lambda _origin: None,
    )
    for task in database.write(lambda s: tasks.take(s, host, "boot", SystemClock().now())):
        executor._do(task)


def test_a_file_that_cannot_be_removed_keeps_its_row_until_it_is(
    office: Office, web: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "pool"
    place.mkdir()
    office.services.database.write(lambda s: s.execute(update(Pool).values(path=str(place))))
    storage = Storage()

    def dies(path: Path, *_arguments: object) -> None:
        path.write_text("half")
        raise EngineError("no room")

    monkeypatch.setattr("hostd.volume_images.create", dies)
    # It is there when the task begins, and away when its failure is to be cleaned up.
    storage.left = 1
    task = web("volume.add", name="disk", pool="local", capacity=GIB)["task"]
    perform(office, storage)
    assert web("task.show", task=task)["state"] == TaskState.FAILED.value
    assert web("volume.show", volume="local/disk")["state"] == "failed"
    web("volume.delete", volume="local/disk")
    perform(office, storage)
    assert list(place.iterdir()) == []
    assert "disk" not in web.names("volume.list")


def test_a_pool_that_is_released_while_it_is_looked_after_does_not_come_back(office: Office, web: Person) -> None:
    database, host = office.services.database, rack.host_id(office, "h1")
    released: list[str] = []

    def release_row(_pool: PoolOrder) -> None:
        def work(session: Session) -> None:
            session.execute(delete(pool_of_project))
            session.execute(delete(Pool).where(Pool.uuid == uuid))

        database.write(work)

    office.sysadm("pool.add", name="second", type="dir", host="h1", path="/srv/second", capacity=GIB)
    rack.settle(office)
    uuid = database.read(lambda s: s.scalars(select(Pool.uuid).where(Pool.name == "second")).one())
    pools: Any = SimpleNamespace(is_active=lambda pool: pool != uuid)
    keeper: Any = SimpleNamespace(
        noted=set, release=released.append, ready=lambda pool: release_row(pool) if pool.uuid == uuid else None
    )
    connection: Any = SimpleNamespace(up=True, on_change=_ignore)
    Upkeep(database, lambda: host, connection, pools, keeper).look()
    assert released == [uuid]


def test_what_was_deleted_while_the_host_was_away_is_let_go_of(office: Office, web: Person) -> None:
    host = rack.host_id(office, "h1")
    known = office.sysadm("pool.show", pool="local")["uuid"]
    released: list[str] = []
    pools: Any = SimpleNamespace(is_active=lambda _pool: True)
    keeper: Any = SimpleNamespace(noted=lambda: {known, "gone"}, release=released.append, ready=lambda _pool: None)
    connection: Any = SimpleNamespace(up=True, on_change=_ignore)
    Upkeep(office.services.database, lambda: host, connection, pools, keeper).look()
    assert released == ["gone"]


def _ignore(_hook: Callable[[bool], None]) -> None:
    return
