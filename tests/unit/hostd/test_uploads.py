"""Parts of files: taken from whoever may send them, and nothing else of the host is ever touched."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.clock import SystemClock
from core.coordination.tasks import Claimed, Order, enqueue
from core.errors import AlreadyExists, DosvmError, EngineError, InUse, InvalidInput, NotFound, Refused
from core.model import Image
from hostd import copying, intervals, qemu_img
from hostd.abandoned import ABANDONED, Abandoned
from hostd.api import Api
from hostd.handlers import images
from hostd.handlers.images import ImageTasks
from hostd.handling import Context, Handler
from hostd.own_places import OwnPlaces
from hostd.upload_records import UploadRecords
from hostd.uploads import Uploads
from tests.fakes import rack
from tests.fakes.cloud import StillCloud
from tests.fakes.office import Office, Person
from tests.fakes.uploaders import image_tasks, uploads_in, web_with_a_directory
from tests.waiting import until

SIZE = 3000


@pytest.fixture
def web(office: Office, cloud: StillCloud, tmp_path: Path) -> Person:
    """The admin of a project whose group has a directory of its own."""
    return web_with_a_directory(office, cloud, tmp_path / "group")


@pytest.fixture
def uploads(office: Office, cloud: StillCloud, tmp_path: Path) -> Uploads:
    return make(office, tmp_path / "state", cloud)


def make(office: Office, state: Path, cloud: StillCloud) -> Uploads:
    return uploads_in(office.services.database, state, cloud)


def sweep(office: Office, uploads: Uploads) -> None:
    Abandoned(uploads, office.services.database, SystemClock()).look()


def announce(web: Person, name: str = "disk") -> str:
    uuid: str = web("image.upload", name=name, file=f"{name}.raw", group="here", source=SIZE)["uuid"]
    return uuid


def send(uploads: Uploads, web: Person, uuid: str, offset: int, part: bytes, sender: str = "me") -> int:
    return uploads.receive(uuid, web.actor.project_id, sender, offset, memoryview(part))


def rows(office: Office) -> list[str]:
    return office.services.database.read(lambda s: list(s.scalars(select(Image.name).order_by(Image.name))))


def test_no_text_of_a_caller_names_a_file_of_the_host(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path
) -> None:
    victim = tmp_path / "shadow"
    victim.write_text("precious")
    (tmp_path / "state" / "uploads").mkdir(parents=True)
    nothing: Any = None
    api = Api(office.services, nothing, nothing, nothing, nothing, uploads)
    api._actor = lambda body, *, log: web.actor  # type: ignore[method-assign]
    for image in (str(victim), "../../shadow", "", ".", "..", "x" * 36):
        body = {"image": image, "sender": "me", "offset": 0, "payload": memoryview(b"")}
        for more in ({}, {"finish": "0" * 64}):
            with pytest.raises(InvalidInput) as refused:
                api.upload({**body, **more})
            assert refused.value.field == "image"
        with pytest.raises(NotFound):
            send(uploads, web, image, 0, b"")
        uploads.discard(image)
    assert victim.read_text() == "precious"
    uuid = announce(web)
    body = {"image": uuid.upper(), "sender": "me", "offset": 0, "payload": memoryview(b"part")}
    assert api.upload(body)["received"] == 4
    assert (tmp_path / "group" / f".{uuid}.part").read_bytes() == b"part"


def test_nothing_is_uploaded_to_where_dosvm_reads_its_own_files(
    office: Office, cloud: StillCloud, tmp_path: Path
) -> None:
    home = tmp_path / "group"
    web = web_with_a_directory(office, cloud, home)
    own = OwnPlaces(home, (home / "state",))
    uploads = Uploads(office.services.database, tmp_path / "state", cloud=cloud, refuse=own.refuse_target)
    for file in ("console.toml", "state/starts"):
        uuid: str = web("image.upload", name="evil", file=file, group="here", source=SIZE)["uuid"]
        with pytest.raises(Refused, match="among the files of DOSVM itself"):
            send(uploads, web, uuid, 0, b"hosts")
        assert rows(office) == []
        assert not list(home.rglob("*")), "something was made"
    uuid = web("image.upload", name="good", file="images/good.raw", group="here", source=SIZE)["uuid"]
    assert send(uploads, web, uuid, 0, b"disk") == 4


def test_a_record_removes_nothing_but_the_hidden_file_of_its_upload(uploads: Uploads, tmp_path: Path) -> None:
    records = tmp_path / "state" / "uploads"
    records.mkdir(parents=True)
    uuid = str(uuid4())
    for name, goes in (("disk.raw", False), (f".{uuid4()}.part", False), (f".{uuid}.part", True)):
        there = tmp_path / name
        there.write_text("x")
        (records / uuid).write_text(json.dumps({"partial": str(there), "boot": ""}))
        uploads.discard(uuid)
        assert there.exists() is not goes
        assert not (records / uuid).exists()


def test_what_counts_is_the_file_and_not_what_was_heard(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path
) -> None:
    uuid = announce(web)
    hidden = tmp_path / "group" / f".{uuid}.part"
    assert send(uploads, web, uuid, 0, b"a" * 1000) == 1000
    os.truncate(hidden, 10)
    assert send(uploads, web, uuid, 1000, b"b" * 1000) == 10, "another host began anew: it is gone on with from there"
    assert send(uploads, web, uuid, 10, b"a" * 990) == 1000
    hidden.rename(hidden.with_name("away"))
    assert send(uploads, web, uuid, 1000, b"b") == 0, "another file has the name"
    for at in range(0, SIZE, 1000):
        assert send(uploads, web, uuid, at, b"c" * 1000) == at + 1000
    with hidden.open("r+b") as file:
        file.write(b"x")
    order = uploads.load(uuid)
    assert order is not None
    with uploads.arrived(order, lambda _percent: None) as arrived:
        assert arrived is not None
    assert arrived.digest == hashlib.sha256(b"x" + b"c" * (SIZE - 1)).hexdigest(), "of what is there"


def test_an_upload_whose_directory_hangs_holds_up_no_other(
    web: Person, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = announce(web), announce(web, "other")
    begun, go_on = threading.Event(), threading.Event()
    known = UploadRecords.known

    def hangs(self: UploadRecords, uuid: str) -> bool:
        if uuid == first:
            begun.set()
            assert go_on.wait(20)
        return known(self, uuid)

    monkeypatch.setattr(UploadRecords, "known", hangs)
    thread = threading.Thread(target=lambda: send(uploads, web, first, 0, b"1"))
    thread.start()
    try:
        assert begun.wait(20)
        assert send(uploads, web, second, 0, b"12") == 2
        with pytest.raises(InUse):
            send(uploads, web, first, 0, b"1")
    finally:
        go_on.set()
        thread.join(20)
    assert send(uploads, web, first, 0, b"") == 1


def claimed(uuid: str, content: bytes) -> Claimed:
    """The task that looks at what has arrived."""
    about: Any = SimpleNamespace(target=uuid, payload={"digest": hashlib.sha256(content).hexdigest()})
    task: Claimed = about
    return task


def test_what_cannot_be_ended_leaves_no_name_and_takes_none_away(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, content = office.services.database, b"c" * SIZE
    work = image_tasks(database, tmp_path / "state", uploads)
    context = Context(lambda _percent: None, threading.Event())
    error = EngineError("The directory cannot be passed.")

    def refuse(*_arguments: object) -> None:
        raise error

    for name in ("refused", "ended", "foreign", "kept"):
        uuid = announce(web, name)
        send(uploads, web, uuid, 0, content)
        database.write(lambda s, u=uuid: s.execute(update(Image).where(Image.uuid == u).values(state="creating")))  # type: ignore[misc]
        task, target = claimed(uuid, content), tmp_path / "group" / f"{name}.raw"
        if name == "refused":
            with monkeypatch.context() as patch:
                patch.setattr(images, "let_pass", refuse)
                with pytest.raises(EngineError):
                    work.receive(task, context)
            assert not target.exists()
        elif name == "foreign":
            target.write_bytes(b"of somebody")
            with pytest.raises(AlreadyExists):
                work.receive(task, context)
        else:
            effect = work.receive(task, context)
            assert target.read_bytes() == content
            if name == "kept":
                database.write(effect)
                work.received(task)
        if name != "kept":
            database.write(work.not_received(task, error))
    assert sorted(path.name for path in (tmp_path / "group").iterdir()) == ["foreign.raw", "kept.raw"]
    assert (tmp_path / "group" / "foreign.raw").read_bytes() == b"of somebody"
    assert rows(office) == ["kept"]


@pytest.mark.parametrize("why", ["format", "quota", "writer"])
def test_a_file_that_is_refused_stays_its_owners(
    office: Office, cloud: StillCloud, uploads: Uploads, tmp_path: Path, why: str
) -> None:
    """What is registered becomes root's; what is refused was not touched."""
    web = office.project("web", max_images=9, max_image_bytes=1000)
    office.host("h1")
    cloud.me = next(iter(cloud.views.values())).uuid
    office.sysadm("project-group.add", name="here", directory=str(tmp_path / "group"))
    office.sysadm("project-group.add-project", project_group="here", project="web")
    (tmp_path / "group").mkdir()
    file = tmp_path / "group" / "disk.raw"
    file.write_bytes(b"KDMV" if why == "format" else b"x" * (2000 if why == "quota" else 10))
    os.chown(file, 54321, 54321)
    uuid = web("image.add", name="disk", file="disk.raw", group="here")["uuid"]
    work = image_tasks(office.services.database, tmp_path / "state", uploads)
    context = Context(lambda _percent: None, threading.Event())
    with file.open("ab") if why == "writer" else contextlib.nullcontext(), pytest.raises(DosvmError) as refused:
        work.check(claimed(uuid, b""), context)
    said = {"format": "VMDK", "quota": "too much", "writer": "still writing"}
    assert said[why] in refused.value.text()
    assert file.stat().st_uid == 54321


def test_what_never_came_is_given_up_but_not_what_comes_for_days(
    office: Office, web: Person, cloud: StillCloud, uploads: Uploads, tmp_path: Path
) -> None:
    """Another host, which knows nothing of an upload, sees only its row."""
    database, day = office.services.database, timedelta(seconds=ABANDONED)
    other = make(office, tmp_path / "other", cloud)

    def older(by: timedelta) -> None:
        then = SystemClock().now() - by
        database.write(lambda s: s.execute(update(Image).values(created=then)))

    announce(web, "never-came")
    slow = announce(web, "slow")
    assert send(uploads, web, slow, 0, b"x" * 1000) == 1000
    gone = announce(web, "of-a-dead-host")
    (tmp_path / "group" / f".{gone}.part").write_bytes(b"left")
    older(day)
    sweep(office, other)
    assert rows(office) == ["never-came", "of-a-dead-host", "slow"], "their hosts have a day, and some time more"
    older(2 * day)
    sweep(office, uploads)
    sweep(office, other)
    assert rows(office) == ["slow"]
    assert [path.name for path in (tmp_path / "group").iterdir()] == [f".{slow}.part"]
    assert send(uploads, web, slow, 1000, b"x") == 1001
    announce(web, "whole")
    database.write(lambda s: s.execute(update(Image).where(Image.name == "whole").values(state="present")))
    older(9 * day)
    os.utime(tmp_path / "group" / f".{slow}.part", (0, 0))
    sweep(office, uploads)
    assert rows(office) == ["whole"]


def test_what_nobody_goes_on_with_is_looked_for_by_the_duty_that_news_begin_but_not_at_each_news(
    office: Office, web: Person, uploads: Uploads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two duties went over the same records; news come every two seconds while something is uploaded."""
    abandoned = Abandoned(uploads, office.services.database, SystemClock())
    abandoned.look()
    deleted, old = announce(web, "deleted"), announce(web, "old")
    for uuid in (deleted, old):
        send(uploads, web, uuid, 0, b"x")
    os.utime(tmp_path / "group" / f".{old}.part", (0, 0))
    web("image.delete", image="deleted")
    abandoned.look()
    assert (rows(office), list(uploads.records)) == (["old"], [old])
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + intervals.UPLOADS)
    abandoned.look()
    assert (rows(office), list(uploads.records)) == ([], [])


def perform(office: Office, work: ImageTasks, *, kind: str = "image.delete") -> None:
    """What the executor does with the tasks of h1, once."""
    known = {
        "image.delete": Handler(work.delete, frozenset(), work.delete_failed),
        "image.receive": Handler(work.patient(work.receive), frozenset(), work.not_received, work.received),
    }
    for task in rack.carry_out(office, known):
        assert task.kind == kind


def state(web: Person, name: str) -> str:
    return str(web("image.show", image=name)["state"])


def enter_receive(office: Office, uuid: str, content: bytes) -> None:
    payload = {"digest": hashlib.sha256(content).hexdigest()}
    order = Order("image.receive", uuid, "disk", None, rack.host_id(office, "h1"), payload)

    def enter(session: Session) -> None:
        session.execute(update(Image).where(Image.uuid == uuid).values(state="creating"))
        enqueue(session, [order], account="a", origin="o")

    office.services.database.write(enter)


def test_an_upload_whose_storage_hangs_can_be_deleted_when_it_answers_again(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, answered = b"c" * SIZE, threading.Event()
    work = image_tasks(office.services.database, tmp_path / "state", uploads)
    uuid = announce(web)
    send(uploads, web, uuid, 0, content)
    enter_receive(office, uuid, content)

    def refuse(*_arguments: object) -> None:
        raise EngineError("The directory cannot be passed.")

    monkeypatch.setattr(intervals, "LIBVIRT_LONG", 0.3)
    monkeypatch.setattr(intervals, "STORAGE", 0.3)
    monkeypatch.setattr(images, "let_pass", refuse)
    discard = uploads.discard
    monkeypatch.setattr(uploads, "discard", lambda uuid: answered.wait(30) and discard(uuid))
    perform(office, work, kind="image.receive")
    assert state(web, "disk") == "failed"
    web("image.delete", image="disk")
    perform(office, work)
    assert state(web, "disk") == "failed", "it hangs as ever"
    answered.set()
    time.sleep(0.3)
    web("image.delete", image="disk")
    perform(office, work)
    assert rows(office) == []
    assert list((tmp_path / "group").iterdir()) == []


@pytest.mark.parametrize("left", ["creating", "deleting"])
def test_an_image_that_no_task_works_on_can_be_deleted(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, left: str
) -> None:
    work = image_tasks(office.services.database, tmp_path / "state", uploads)
    announce(web)
    office.services.database.write(lambda s: s.execute(update(Image).values(state=left)))
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "disk.raw").write_text("precious")
    web("image.delete", image="disk")
    with pytest.raises(Refused, match="Something else"):
        web("image.delete", image="disk")
    perform(office, work)
    assert rows(office) == []
    assert (tmp_path / "group" / "disk.raw").read_text() == "precious", "nobody knows whose it is"


def present(office: Office, web: Person, tmp_path: Path) -> Path:
    """An image that is there; its file."""
    announce(web)
    office.services.database.write(lambda s: s.execute(update(Image).values(state="present")))
    (tmp_path / "group").mkdir()
    file = tmp_path / "group" / "disk.raw"
    file.write_text("old")
    return file


def test_a_deletion_that_storage_held_up_spares_the_image_that_has_the_name_by_then(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, moved = threading.Event(), threading.Event()
    work = image_tasks(office.services.database, tmp_path / "state", uploads)
    file = present(office, web, tmp_path)
    monkeypatch.setattr(intervals, "LIBVIRT_LONG", 0.3)

    def point(name: str) -> None:
        if name == "before_removal":
            assert answered.wait(30)
            moved.set()

    monkeypatch.setattr("hostd.removal.point", point)
    web("image.delete", image="disk")
    perform(office, work)
    assert state(web, "disk") == "failed", "it may still go: nobody uses it"
    file.unlink()
    file.write_text("a new one")
    answered.set()
    assert moved.wait(5)
    until(lambda: not any((tmp_path / "group").glob(".*.removal/.removed")))
    assert file.read_text() == "a new one"


def test_a_deletion_that_fails_leaves_the_image_as_it_was(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = image_tasks(office.services.database, tmp_path / "state", uploads)
    file = present(office, web, tmp_path)

    def stale(*_a: object, **_k: object) -> None:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stale)
        web("image.delete", image="disk")
        perform(office, work)
    assert (state(web, "disk"), file.read_text()) == ("present", "old")
    web("image.delete", image="disk")
    perform(office, work)
    assert (rows(office), list(file.parent.iterdir())) == ([], [])


class Hanging:
    """Somebody hands over a file that cannot be read before it is told to."""

    def __init__(self, uploads: Uploads, web: Person, uuid: str, file: Path, patch: pytest.MonkeyPatch) -> None:
        self.reads, self.go_on = threading.Event(), threading.Event()
        self.error: DosvmError | None = None
        self._arguments = uploads, web, uuid, file
        read = copying._read

        def hangs(source: int, view: memoryview, at: int) -> int:
            self.reads.set()
            assert self.go_on.wait(30)
            return read(source, view, at)

        patch.setattr(copying, "_read", hangs)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.reads.wait(20)

    def _run(self) -> None:
        uploads, web, uuid, file = self._arguments
        with file.open("rb") as source:
            try:
                uploads.copy(
                    uuid, web.actor.project_id, "b", source.fileno(), lambda: False, lambda _done, _checked: None
                )
            except DosvmError as error:
                self.error = error

    def end(self) -> None:
        self.go_on.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_who_still_reads_his_file_does_not_change_what_was_looked_at(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, content, other = office.services.database, b"c" * SIZE, tmp_path / "other"
    other.write_bytes(b"y" * SIZE)
    work = image_tasks(database, tmp_path / "state", uploads)
    uuid = announce(web)
    send(uploads, web, uuid, 0, content)
    uploads.left(uuid, "me")
    hanging = Hanging(uploads, web, uuid, other, monkeypatch)
    try:
        database.write(lambda s: s.execute(update(Image).values(state="creating")))
        database.write(work.receive(claimed(uuid, content), Context(lambda _percent: None, threading.Event())))
    finally:
        hanging.end()
    assert isinstance(hanging.error, NotFound)
    assert (tmp_path / "group" / "disk.raw").read_bytes() == content
    assert rows(office) == ["disk"]
    assert [path.name for path in (tmp_path / "group").iterdir()] == ["disk.raw"]


def test_what_another_host_wrote_after_the_sum_was_taken_gets_no_name(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, content = office.services.database, b"c" * SIZE
    work = image_tasks(database, tmp_path / "state", uploads)
    uuid = announce(web)
    send(uploads, web, uuid, 0, content)
    database.write(lambda s: s.execute(update(Image).values(state="creating")))
    inspect = qemu_img.inspect

    def changed(path: Path, *arguments: Any, **more: Any) -> Any:
        found = inspect(path, *arguments, **more)
        path.write_bytes(b"y" * SIZE)
        return found

    monkeypatch.setattr(qemu_img, "inspect", changed)
    with pytest.raises(InvalidInput, match="was changed after it had arrived"):
        work.receive(claimed(uuid, content), Context(lambda _percent: None, threading.Event()))
    assert not (tmp_path / "group" / "disk.raw").exists()


def test_an_upload_is_given_up_although_its_source_hangs(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"y" * SIZE)
    uuid = announce(web)
    send(uploads, web, uuid, 0, b"some")
    uploads.left(uuid, "me")
    hanging = Hanging(uploads, web, uuid, other, monkeypatch)
    try:
        web("image.delete", image="disk")
        sweeps = threading.Thread(target=lambda: sweep(office, uploads), daemon=True)
        sweeps.start()
        sweeps.join(15)
        assert not sweeps.is_alive(), "all other duties would wait for it"
        assert list((tmp_path / "group").iterdir()) == []
    finally:
        hanging.end()
    assert isinstance(hanging.error, NotFound)
    assert list((tmp_path / "group").iterdir()) == []


def test_trouble_with_the_source_costs_nothing_of_what_has_arrived(
    office: Office, web: Person, uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"y" * SIZE)
    uuid, looks = announce(web), iter((False, False, True))
    fstat = os.fstat

    with source.open("rb") as opened:
        mine = opened.fileno()

        def stale(descriptor: int) -> os.stat_result:
            if descriptor == mine and next(looks):
                raise OSError(errno.ESTALE, "Stale file handle")
            return fstat(descriptor)

        monkeypatch.setattr(os, "fstat", stale)
        with pytest.raises(InvalidInput, match="Stale") as refused:
            uploads.copy(uuid, web.actor.project_id, "b", mine, lambda: False, lambda _done, _checked: None)
        monkeypatch.undo()
    assert refused.value.field == "source"
    assert rows(office) == ["disk"]
    assert send(uploads, web, uuid, 0, b"") == SIZE
