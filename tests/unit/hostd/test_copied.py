"""What was handed over has one sum only, hostd's own, taken when it is an image: it must be of what hostd copied."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from core.clock import SystemClock
from core.coordination.image_files import unsummed
from core.coordination.tasks import Claimed
from core.errors import InvalidInput
from core.model import Image, Task, TaskState
from core.rpc.calls import AS_IT_CAME
from hostd import partial as partial_file
from hostd import upload_records
from hostd.abandoned import Abandoned
from hostd.api import Api
from hostd.handling import Context
from hostd.image_sums import ImageSums
from tests.fakes.cloud import StillCloud
from tests.fakes.office import Office, Person
from tests.fakes.uploaders import image_tasks, uploads_in, web_with_a_directory

SIZE = 3000
CONTENT = b"c" * SIZE


@pytest.fixture
def web(office: Office, cloud: StillCloud, tmp_path: Path) -> Person:
    return web_with_a_directory(office, cloud, tmp_path / "group")


class Side:
    """hostd's side of an upload; started anew it knows no more than what it wrote down."""

    def __init__(self, office: Office, web: Person, cloud: StillCloud, state: Path) -> None:
        self._office, self._web, self._cloud, self._state = office, web, cloud, state
        self.start()

    def start(self) -> None:
        nothing: Any = None
        self.uploads = uploads_in(self._office.services.database, self._state, self._cloud)
        self.api = Api(self._office.services, nothing, nothing, nothing, nothing, self.uploads)
        self.api._actor = lambda body, *, log: self._web.actor  # type: ignore[method-assign]

    def copy(self, uuid: str, file: Path, sender: str = "me") -> list[tuple[int, int]]:
        told: list[tuple[int, int]] = []
        with file.open("rb") as source:
            body = {"image": uuid, "sender": sender}
            self.api.hand_over(body, source.fileno(), lambda: False, lambda *how: told.append(how))
        return told

    def finish(self, uuid: str, sender: str = "me") -> dict[str, Any]:
        answer: dict[str, Any] = self.api.upload({"image": uuid, "sender": sender, "finish": AS_IT_CAME})
        return answer

    def receive(self, uuid: str, told: list[int] | None = None) -> None:
        """Do the task that looks at what has arrived."""
        last = select(Task.payload).where(Task.target == uuid, Task.kind == "image.receive")
        payload = self._office.services.database.read(lambda s: s.scalar(last))
        about: Any = SimpleNamespace(target=uuid, payload=json.loads(payload or "{}"))
        task: Claimed = about
        work = image_tasks(self._office.services.database, self._state, self.uploads)
        progress = told.append if told is not None else lambda _percent: None
        self._office.services.database.write(work.receive(task, Context(progress, threading.Event())))

    def uploaded(self, file: Path) -> str:
        """Upload a file to the end; the image's UUID."""
        uuid = announce(self._web)
        self.copy(uuid, file)
        self.finish(uuid)
        self.receive(uuid)
        return uuid

    def summed(self) -> str:
        """The sum that its host has taken, when it has nothing to sum any more."""
        sums = ImageSums(self._office.services.database, self._cloud.me, lambda: None)
        sums.look()
        give_up = time.monotonic() + 20
        while sums.working and time.monotonic() < give_up:
            time.sleep(0.01)
        assert not self._office.services.database.read(lambda session: unsummed(session, self._cloud.me))
        return digest(self._web)

    def task_done(self) -> None:
        database = self._office.services.database
        database.write(lambda session: session.execute(update(Task).values(state=TaskState.DONE.value)))

    def refuse_edit(self, uuid: str) -> None:
        """Do the task that looks at an edited image as if what is there were none."""
        database = self._office.services.database
        last = select(Task.payload).where(Task.target == uuid, Task.kind == "image.check")
        about: Any = SimpleNamespace(target=uuid, payload=json.loads(database.read(lambda s: s.scalar(last)) or ""))
        work = image_tasks(database, self._state, self.uploads)
        database.write(work.not_fit(about, InvalidInput("no")))


@pytest.fixture
def side(office: Office, web: Person, cloud: StillCloud, tmp_path: Path) -> Side:
    return Side(office, web, cloud, tmp_path / "state")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(CONTENT)
    return path


def announce(web: Person) -> str:
    uuid: str = web("image.upload", name="disk", file="disk.raw", group="here", source=SIZE)["uuid"]
    return uuid


def digest(web: Person) -> str:
    return str(web("image.show", image="disk")["digest"])


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_copied_is_an_image_at_once_and_its_sum_is_told_when_it_is_known(
    web: Person, side: Side, file: Path, tmp_path: Path, restarted: bool
) -> None:
    uuid = announce(web)
    side.copy(uuid, file)
    assert "task" in side.finish(uuid)
    if restarted:
        side.start()
    side.receive(uuid)
    assert (tmp_path / "group" / "disk.raw").read_bytes() == CONTENT
    assert web("image.show", image="disk")["state"] == "present"
    assert side.summed() == hashlib.sha256(CONTENT).hexdigest()


def test_a_sum_that_its_host_did_not_get_to_is_taken_when_it_is_back(web: Person, side: Side, file: Path) -> None:
    side.uploaded(file)
    side.start()
    assert digest(web) == ""
    assert side.summed() == hashlib.sha256(CONTENT).hexdigest()


def test_what_a_vm_wrote_to_before_it_was_summed_gets_no_sum(
    web: Person, side: Side, file: Path, tmp_path: Path
) -> None:
    side.uploaded(file)
    with (tmp_path / "group" / "disk.raw").open("r+b") as disk:
        disk.write(b"y")
    assert side.summed() == ""


def test_an_image_of_another_file_has_not_the_sum_of_what_was_uploaded(
    web: Person, side: Side, file: Path, tmp_path: Path
) -> None:
    uuid = side.uploaded(file)
    uploaded = side.summed()
    side.task_done()
    (tmp_path / "group" / "other.raw").write_bytes(b"o" * SIZE)
    web("image.edit", image="disk", file="other.raw")
    assert digest(web) == ""
    side.refuse_edit(uuid)
    assert digest(web) == uploaded, "the edit was refused: it is what it was"


def test_what_was_put_in_the_place_of_a_missing_file_has_not_its_sum(
    office: Office, web: Person, side: Side, file: Path
) -> None:
    side.uploaded(file)
    assert side.summed()
    side.task_done()
    office.services.database.write(lambda session: session.execute(update(Image).values(state="missing")))
    web("image.edit", image="disk", format="raw")
    assert digest(web) == ""


def test_who_says_that_it_was_handed_over_must_have_done_so(web: Person, side: Side, file: Path) -> None:
    """Parts that were sent are bound by a sum; without one nothing says that they are what their sender has."""
    uuid = announce(web)
    side.uploads.receive(uuid, web.actor.project_id, "me", 0, memoryview(CONTENT))
    side.uploads.left(uuid, "me")
    assert side.finish(uuid) == {"again": True}
    side.copy(uuid, file, "another")
    assert side.finish(uuid) == {"again": True}, "it was another's"
    side.start()
    assert side.finish(uuid, "another") == {"again": True}, "this hostd has copied nothing"
    told = side.copy(uuid, file, "another")
    assert (SIZE, SIZE) in told, "what has arrived is compared, and how far that is is told"
    assert "task" in side.finish(uuid, "another")


def streamed(side: Side, web: Person, uuid: str, content: bytes, offset: int = 0, sender: str = "me") -> None:
    take = side.uploads.stream(uuid, web.actor.project_id, sender, offset)
    assert take(memoryview(content)) == offset + len(content)
    side.uploads.left(uuid, sender)


def test_what_one_streamed_from_its_first_byte_on_needs_no_sum_of_his(web: Person, side: Side, tmp_path: Path) -> None:
    uuid = announce(web)
    streamed(side, web, uuid, CONTENT[:1000])
    streamed(side, web, uuid, CONTENT[1000:], 1000)
    assert side.finish(uuid, "another") == {"again": True}
    assert "task" in side.finish(uuid)
    side.receive(uuid)
    assert side.summed() == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("how", ["another", "part", "restarted"])
def test_what_is_not_all_from_one_stream_is_held_against_its_senders_sum(web: Person, side: Side, how: str) -> None:
    uuid = announce(web)
    if how == "part":
        side.uploads.receive(uuid, web.actor.project_id, "me", 0, memoryview(CONTENT[:1000]))
    else:
        streamed(side, web, uuid, CONTENT[:1000], sender="another" if how == "another" else "me")
    if how == "restarted":
        side.start()
    streamed(side, web, uuid, CONTENT[1000:], 1000)
    assert side.finish(uuid) == {"again": True}
    told = hashlib.sha256(CONTENT).hexdigest()
    assert "task" in side.api.upload({"image": uuid, "sender": "me", "finish": told})


def test_what_a_power_cut_may_have_taken_from_is_refused(
    web: Person, side: Side, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = announce(web)
    side.copy(uuid, file)
    side.finish(uuid)
    side.start()
    monkeypatch.setattr(upload_records, "_boot", lambda: "another")
    with pytest.raises(InvalidInput, match="went down"):
        side.receive(uuid)
    assert not (tmp_path / "group" / "disk.raw").exists()


@pytest.mark.parametrize("restarted", [False, True])
def test_what_changes_after_it_was_copied_gets_no_name(
    web: Person, side: Side, file: Path, tmp_path: Path, restarted: bool
) -> None:
    uuid = announce(web)
    side.copy(uuid, file)
    side.finish(uuid)
    if restarted:
        side.start()
    partial = tmp_path / "group" / f".{uuid}.part"
    with partial.open("r+b") as other:
        other.write(b"y")
    os.utime(partial, (1, 1))
    with pytest.raises(InvalidInput, match="was changed after it had arrived"):
        side.receive(uuid)
    assert not (tmp_path / "group" / "disk.raw").exists()


def test_where_other_hosts_write_it_is_held_against_the_sum_of_what_was_copied(
    web: Person, side: Side, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS and GlusterFS the time of change says nothing: a server sets it when it likes."""
    monkeypatch.setattr(partial_file, "is_own", lambda _path: False)
    uuid = announce(web)
    with file.open("rb") as source:
        answer = side.api.hand_over({"image": uuid, "sender": "me"}, source.fileno(), lambda: False, lambda *_n: None)
    assert answer == {"received": SIZE, "digest": hashlib.sha256(CONTENT).hexdigest()}
    assert side.finish(uuid) == {"again": True}, "without the sum it does not end"
    assert "task" in side.api.upload({"image": uuid, "sender": "me", "finish": answer["digest"]})
    (tmp_path / "group" / f".{uuid}.part").write_bytes(b"y" * SIZE)
    with pytest.raises(InvalidInput, match="SHA-256 differ"):
        side.receive(uuid)


def test_progress_is_told_while_it_is_written_out(web: Person, side: Side, file: Path) -> None:
    uuid, told = announce(web), []  # type: ignore[var-annotated]
    side.copy(uuid, file)
    side.finish(uuid)
    side.receive(uuid, told)
    assert told
    assert all(0 <= percent <= 99 for percent in told)


def test_the_sweep_leaves_what_tells_whose_the_file_of_a_failed_image_is(
    office: Office, web: Person, side: Side, file: Path, tmp_path: Path
) -> None:
    """It hung while it was to be taken back; who deletes it later finds by the hidden file that both are its own."""
    uuid = announce(web)
    side.copy(uuid, file)
    group = tmp_path / "group"
    os.link(group / f".{uuid}.part", group / "disk.raw")
    database = office.services.database
    database.write(lambda s: s.execute(update(Image).values(state="failed")))
    Abandoned(side.uploads, database, SystemClock()).look()
    web("image.delete", image="disk")
    about: Any = SimpleNamespace(target=uuid, payload={"own": False})
    work = image_tasks(database, tmp_path / "state", side.uploads)
    database.write(work.delete(about, Context(lambda _percent: None, threading.Event())))
    assert list(group.iterdir()) == []
