"""Tasks of storage when libvirtd goes away in their middle: nothing is forgotten that is still there."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.coordination import tasks
from core.errors import EngineError, Refused
from core.model import Pool, Task, TaskState, Volume, pool_of_project
from core.rules.sizes import MIB
from core.specs.pool import PoolOrder
from hostd import intervals, volume_files, volume_images
from hostd.handlers.pools import Upkeep
from hostd.handlers.volumes import handlers
from hostd.handling import Context, Interrupted
from hostd.hypervisor.errors import Busy, TooSlow
from hostd.storage_calls import StorageCalls
from hostd.volume_images import Layer, Size
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person
from tests.waiting import until


class Storage:
    """The way to a pool's files, which may be away."""

    def __init__(self) -> None:
        self.left = -1
        self.own = rack.ELSEWHERE

    def ready(self, _pool: PoolOrder) -> None:
        """It is a directory."""

    def touch(self, _pool: str, work: Callable[[], Any], *, limit: float) -> Any:
        self.left -= 1
        if self.left == -1:
            raise EngineError("The storage does not answer.")
        return work()

    def follow(self, _pool: str, context: Context, work: Callable[[Context], Any]) -> Any:
        return work(context)


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with a pool on host h1."""
    admin = rack.web(office)
    rack.disk(office, admin, "other")
    return admin


def perform(office: Office, storage: Storage) -> None:
    """What the executor does with the tasks of h1, once."""
    keeper: Any = storage
    secrets: Any = SimpleNamespace()
    for _task in rack.carry_out(office, handlers(office.services.database, keeper, secrets)):
        pass


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
    storage.left = 2
    task = web("volume.add", name="disk", pool="local", capacity=GIB)["task"]
    perform(office, storage)
    assert web("task.show", task=task)["state"] == TaskState.FAILED.value
    assert web("volume.show", volume="local/disk")["state"] == "failed"
    web("volume.delete", volume="local/disk")
    perform(office, storage)
    assert list(place.iterdir()) == []
    assert "disk" not in web.names("volume.list")


def test_of_a_volume_that_was_never_begun_nothing_stays_also_while_its_storage_is_away(
    office: Office, web: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, its quota and its pool are free: "try again with what you typed" then does."""
    place = tmp_path / "pool"
    place.mkdir()
    office.services.database.write(lambda s: s.execute(update(Pool).values(path=str(place))))
    monkeypatch.setattr("hostd.volume_images.create", lambda path, *_more: path.write_text("all of it"))
    monkeypatch.setattr("hostd.volume_images.look", lambda *_layer: Size(GIB, 4096))
    storage = Storage()

    def away(_pool: PoolOrder) -> None:
        raise EngineError("Nothing is mounted there.")

    monkeypatch.setattr(storage, "ready", away)
    for call in ("volume.add", "volume.snapshot"):
        given = {"pool": "local", "capacity": GIB} if call == "volume.add" else {"volume": "local/other"}
        task = web(call, name="disk", **given)["task"]
        perform(office, storage)
        assert web("task.show", task=task)["state"] == TaskState.FAILED.value
        assert web.names("volume.list") == ["other"]
    monkeypatch.setattr(storage, "ready", lambda _pool: None)
    web("volume.add", name="disk", pool="local", capacity=GIB)
    perform(office, storage)
    assert web("volume.show", volume="local/disk")["state"] == "present"


def test_of_a_merge_that_was_never_begun_nothing_stays_and_its_snapshot_is_free(
    office: Office, web: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage()
    web("volume.snapshot", volume="local/other", name="work")
    rack.settle(office)

    def away(_pool: PoolOrder) -> None:
        raise EngineError("Nothing is mounted there.")

    monkeypatch.setattr(storage, "ready", away)
    task = web("volume.merge", volume="local/work", name="whole")["task"]
    assert web("volume.show", volume="local/work")["state"] == "merging"
    perform(office, storage)
    assert web("task.show", task=task)["state"] == TaskState.FAILED.value
    assert web.names("volume.list") == ["other", "work"]
    assert web("volume.show", volume="local/work")["state"] == "present"


def test_what_an_attempt_before_may_have_begun_keeps_its_row_while_its_storage_is_away(
    office: Office, web: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage()

    def away(_pool: PoolOrder) -> None:
        raise EngineError("Nothing is mounted there.")

    monkeypatch.setattr(storage, "ready", away)
    web("volume.add", name="disk", pool="local", capacity=GIB)
    # The host that had it died in the middle.
    office.services.database.write(lambda s: s.execute(update(Task).values(attempts=1)))
    perform(office, storage)
    assert web("volume.show", volume="local/disk")["state"] == "failed"


def image(path: Path, below: Layer | None = None) -> Layer:
    """What hostd makes as a volume's file."""
    layer = Layer(str(path), "qcow2", "", below)
    volume_images.create(path, layer, GIB, {})
    return layer


def last_deletion(office: Office) -> Any:
    """What the host is told of the volume that is to be deleted."""
    last = select(Task.payload).where(Task.kind == "volume.delete").order_by(Task.id.desc()).limit(1)
    return json.loads(office.services.database.read(lambda s: s.scalars(last).one()))


def stand(office: Office, state: str) -> None:
    """Let the volume ``other`` be in a state."""
    office.services.database.write(lambda s: s.execute(update(Volume).values(state=state)))


@pytest.fixture
def place(office: Office, web: Person, tmp_path: Path) -> Path:
    """The pool's directory, with a file that has the name of volume ``other``."""
    directory = tmp_path / "pool"
    directory.mkdir()
    office.services.database.write(lambda s: s.execute(update(Pool).values(path=str(directory))))
    (directory / "other").write_text("precious")
    return directory


def test_a_volume_that_never_was_takes_nobodys_file_along(office: Office, web: Person, place: Path) -> None:
    stand(office, "failed")
    web("volume.delete", volume="local/other")
    perform(office, Storage())
    assert web.names("volume.list") == []
    assert (place / "other").read_text() == "precious"


@pytest.mark.parametrize("state", ["present", "missing", "foreign", "failed"])
def test_what_could_not_be_deleted_is_what_it_was(office: Office, web: Person, place: Path, state: str) -> None:
    stand(office, state)
    storage = Storage()
    storage.left = 0
    web("volume.delete", volume="local/other")
    perform(office, storage)
    assert web("volume.show", volume="local/other")["state"] == state
    assert (place / "other").exists()


def test_a_file_that_was_not_begun_with_stays_and_goes_the_next_time(office: Office, web: Person, place: Path) -> None:
    class Slow(Storage):
        late: Callable[[], Any]

        def touch(self, _pool: str, work: Callable[[], Any], *, limit: float) -> Any:
            if limit == intervals.STORAGE:
                return work()  # whether the directory is there
            self.late = work
            raise TooSlow("The storage did not answer.")

    slow = Slow()
    web("volume.delete", volume="local/other")
    perform(office, slow)
    assert web("volume.show", volume="local/other")["state"] == "present"
    with pytest.raises(Interrupted):
        slow.late()
    assert (place / "other").exists(), "nobody waits for it any more"
    web("volume.delete", volume="local/other")
    assert last_deletion(office) == {"before": "present", "own": True}
    perform(office, Storage())
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("state", ["creating", "deleting", "merging"])
def test_what_no_task_works_on_can_be_deleted(office: Office, web: Person, place: Path, state: str) -> None:
    stand(office, state)
    web("volume.delete", volume="local/other")
    with pytest.raises(Refused):
        web("volume.delete", volume="local/other")
    perform(office, Storage())
    assert web.names("volume.list") == []
    assert (place / "other").exists() == (state != "merging")


def test_a_task_that_is_another_hosts_by_now_gives_no_file_its_name(
    office: Office, web: Person, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = office.services.database

    def create(path: Path, *_arguments: object) -> None:
        path.write_text("half")
        database.write(lambda s: s.execute(update(Task).where(Task.state == "running").values(claim="heir")))

    monkeypatch.setattr("hostd.volume_images.create", create)
    task = web("volume.add", name="disk", pool="local", capacity=GIB)["task"]
    with pytest.raises(Interrupted):
        perform(office, Storage())
    assert not (place / "disk").exists()
    assert web("task.show", task=task)["state"] == "running"
    assert web("volume.show", volume="local/disk")["state"] == "creating"


def test_an_encrypted_volume_is_tried_again_when_qemu_img_cannot_tell_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """qemu-img could not measure its own time now and then: merges failed by that, new volumes were tried again."""
    tries = tmp_path / "tries"
    tries.mkdir()
    stand_in = tries / "qemu-img"
    # The real one, with keys that are quick to try, which fails every other time when a new image is made.
    real = f"PATH=${{PATH#*:}} exec {Path(__file__).parents[2] / 'cheap_keys/qemu-img'}"
    stand_in.write_text(
        f"""#!/bin/sh
case $1 in create | convert) ;; *) {real} "$@" ;; esac
echo "$1" >> {tries}/all
[ $(($(wc -l < {tries}/all) % 2)) = 0 ] && {real} "$@"
for last; do :; done
echo "qemu-img: $last: Unable to get accurate CPU usage" >&2
exit 1
"""
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tries}:{os.environ['PATH']}")
    key = "Correct-horse-9"
    disk = Layer(str(tmp_path / "disk"), "qcow2", key)
    volume_files.make(tmp_path, "disk", "1", lambda path: volume_images.create(path, disk, MIB, {}), {})
    volume_files.make(
        tmp_path, "whole", "2", lambda path: volume_images.merge(disk, path, key, lambda _done: None, lambda: True), {}
    )
    # More often where it really could not.
    said = (tries / "all").read_text().split()
    assert said.count("create") % 2 == said.count("convert") % 2 == 0
    assert volume_images.open_and_look(Layer(str(tmp_path / "whole"), "qcow2", key)).capacity == MIB


def test_what_another_host_began_in_the_same_place_is_not_taken_for_ours(place: Path) -> None:
    uuid = "0b6ff1f0-6a54-4fd5-9c39-4ee9a3f3a111"

    def work(path: Path) -> None:
        path.write_text("whole")
        path.unlink()
        path.write_text("half of theirs")

    with pytest.raises(EngineError, match="replaced"):
        volume_files.make(place, "disk", uuid, work, {})
    assert not (place / "disk").exists()
    assert (place / f".{uuid}.part" / "disk").exists(), "it is theirs to go on with"


def test_a_name_that_was_held_by_an_empty_file_is_free_when_making_it_fails(place: Path) -> None:
    uuid = "0b6ff1f0-6a54-4fd5-9c39-4ee9a3f3a111"
    part = place / f".{uuid}.part"
    part.mkdir()
    for file in (part / "disk", part / "placing", place / "disk"):
        file.touch()

    def dies(_path: Path) -> None:
        raise EngineError("no room")

    with pytest.raises(EngineError):
        volume_files.make(place, "disk", uuid, dies, {})
    assert [file.name for file in place.iterdir()] == ["other"]


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


@pytest.fixture
def merging(office: Office, web: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A snapshot whose merge hangs until the event is set: its storage went away under it."""
    directory = tmp_path / "pool"
    directory.mkdir()
    office.services.database.write(lambda s: s.execute(update(Pool).values(path=str(directory))))
    web("volume.snapshot", volume="local/other", name="shot")
    rack.settle(office)
    image(directory / "shot", image(directory / "other"))
    answered = threading.Event()
    monkeypatch.setattr("hostd.volume_images.room_for_merge", lambda _layer: answered.wait(30) and 0)
    monkeypatch.setattr("hostd.volume_images.merge", lambda _layer, path, *_more: path.write_text("late"))
    monkeypatch.setattr(intervals, "STORAGE_SILENT", 0.4)
    monkeypatch.setattr(intervals, "STORAGE_GRACE", 0.2)
    yield answered
    answered.set()


class Real(Storage):
    """As hostd does it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = StorageCalls()
        self.touch = self.calls.touch  # type: ignore[method-assign]
        self.follow = self.calls.follow  # type: ignore[method-assign]


def test_a_merge_whose_storage_hangs_ends_and_gives_nothing_its_name_later(
    office: Office, web: Person, merging: threading.Event, tmp_path: Path
) -> None:
    task = web("volume.merge", volume="local/shot", name="whole")["task"]
    storage = Real()
    perform(office, storage)
    shown = web("task.show", task=task)
    assert shown["state"] == "failed"
    assert "did not answer" in shown["error"]["message"]
    assert web("volume.show", volume="local/shot")["state"] == "present"
    assert "whole" not in web.names("volume.list")
    merging.set()
    until(lambda: not any(each.hanging for each in storage.calls._long.values()), what="the end of what hung")
    assert not (tmp_path / "pool" / "whole").exists()


def test_a_merge_whose_storage_hangs_can_be_cancelled(
    office: Office, web: Person, merging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "STORAGE_SILENT", 60.0)
    task = web("volume.merge", volume="local/shot", name="whole")["task"]
    work = threading.Thread(target=lambda: perform(office, Real()))
    work.start()
    until(lambda: web("task.show", task=task)["state"] == "running")
    web("task.cancel", task=task)
    work.join(15)
    assert web("task.show", task=task)["state"] == "cancelled"
    assert web("volume.show", volume="local/shot")["state"] == "present"


def test_a_deletion_that_was_not_begun_with_leaves_the_volume_as_it_was(
    office: Office, web: Person, place: Path
) -> None:
    class Full(Storage):
        def touch(self, _pool: str, work: Callable[[], Any], *, limit: float) -> Any:
            if limit == intervals.STORAGE:
                return work()  # whether the directory is there
            raise Busy("Nothing was free.")

    web("volume.delete", volume="local/other")
    perform(office, Full())
    assert web("volume.show", volume="local/other")["state"] == "present"


def test_whose_the_file_is_outlives_the_record_of_the_deletion(office: Office, web: Person, place: Path) -> None:
    class Slow(Storage):
        def touch(self, _pool: str, work: Callable[[], Any], *, limit: float) -> Any:
            if limit == intervals.STORAGE:
                return work()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("hostd.removal.remove", lambda _path, _work, sure: sure())
                work()
            raise TooSlow("The storage did not answer.")

    database, host = office.services.database, rack.host_id(office, "h1")
    web("volume.delete", volume="local/other")
    perform(office, Slow())
    assert web("volume.show", volume="local/other")["state"] == "failed"
    database.write(lambda s: tasks.prune(s, host, SystemClock().now() + timedelta(days=1)))
    web("volume.delete", volume="local/other")
    assert last_deletion(office) == {"before": "failed", "own": True}
    perform(office, Storage())
    assert list(place.iterdir()) == []
    database.write(lambda s: tasks.prune(s, host, SystemClock().now() + timedelta(days=1)))
    left = database.read(lambda s: s.scalars(select(Task.kind)).all())
    assert "volume.delete" not in left, "the volume is gone, and so is what was known of it"


@pytest.mark.parametrize("begun", [False, True])
def test_a_volume_that_nobody_waits_for_is_not_grown_any_more(
    office: Office, web: Person, place: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    image(place / "other")
    grown: list[int] = []
    late: list[Callable[[], Any]] = []
    monkeypatch.setattr("hostd.volume_images.look", lambda _layer: Size(GIB, 0))
    monkeypatch.setattr("hostd.volume_images.grow", lambda _layer, capacity: grown.append(capacity))

    class Slow(Storage):
        def touch(self, _pool: str, work: Callable[[], Any], *, limit: float) -> Any:
            if limit == intervals.STORAGE:
                return work()
            late.append(work)
            if begun:
                work()
            raise TooSlow("The storage did not answer.")

    before = web("volume.show", volume="local/other")["capacity"]
    web("volume.grow", volume="local/other", capacity=before + GIB)
    perform(office, Slow())
    if not begun:
        with pytest.raises(Interrupted):
            late[0]()
    assert grown == ([before + GIB] if begun else [])
    # What may still grow stays booked: nobody else is promised its bytes.
    assert web("volume.show", volume="local/other")["capacity"] == before + (GIB if begun else 0)
