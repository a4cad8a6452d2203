"""Images that are uploaded to a real hostd: whole or not at all, whatever dies."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import image_files
from core.errors import DosvmError, HostdUnavailable
from core.rpc.backend import HostdBackend
from core.rpc.calls import PART
from core.rpc.handover import Told
from core.rpc.upload import Upload
from tests.engine.hostd import Hostd, refused, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

MIB = 1024**2
#: Three parts and a bit.
SIZE = 3 * PART + 12345


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of random bytes with a hole in it."""
    path = tmp_path / "disk.raw"
    data = bytearray(random.Random(3).randbytes(SIZE))
    data[PART : 2 * PART] = bytes(PART)
    with path.open("wb") as file:
        file.write(data[:PART])
        file.seek(PART, os.SEEK_CUR)
        file.write(data[2 * PART :])
    return path


class Parts(HostdBackend):
    """A console that cannot hand over open files, as one that meets a hostd which is busy with others."""

    def hand_over(self, _descriptor: int, _told: Told, **_about: Any) -> None:
        """Sends parts."""


def upload(hostd: Hostd, path: Path, name: str = "disk", *, parts: bool = False, **values: Any) -> dict[str, Any]:
    """As ``dosvm image upload`` does it; the task's row."""
    arguments = {"name": name, "format": "raw", **values, "source": str(path)}
    backend = hostd.backend("zhao")
    if parts:
        backend = backend.same_session()
        backend.__class__ = Parts
    answer = Upload(backend, "image.upload", "source", arguments).send(lambda _done, _size, _checked: None)
    return hostd.task(answer)


def left(hostd: Hostd) -> list[str]:
    """All that lies in the group's directory."""
    return sorted(path.name for path in (hostd.home / "acme").iterdir())


@pytest.fixture(autouse=True)
def _clean(hostd: Hostd) -> Iterator[None]:
    yield
    if not hostd.running:
        hostd.start()
        hostd.wait()
    for state in ("present", "uploading", "failed"):
        for row in hostd.zhao("image.list", filters={"state": state})["rows"]:
            answer = hostd.zhao("image.delete", image=row["uuid"])
            if "task" in answer:
                hostd.task(answer)
    for path in (hostd.home / "acme").iterdir():
        path.unlink()


@pytest.mark.parametrize("parts", [False, True])
def test_what_arrives_is_what_was_sent_and_says_its_sum(hostd: Hostd, file: Path, parts: bool) -> None:
    assert upload(hostd, file, description="mine", parts=parts)["state"] == "done"
    there = hostd.home / "acme" / "disk.raw"
    assert there.read_bytes() == file.read_bytes()
    until(lambda: hostd.zhao("image.list")["rows"][0]["digest"], 20, "its SHA-256")
    (row,) = hostd.zhao("image.list")["rows"]
    assert row["digest"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (row["state"], row["size"], row["file"], row["description"]) == ("present", SIZE, "disk.raw", "mine")
    assert left(hostd) == ["disk.raw"]
    assert there.stat().st_blocks * 512 < SIZE - PART // 2, "a hole takes no room"
    assert there.stat().st_mode & 0o777 == 0o640


def test_a_half_file_is_neither_listed_nor_there(hostd: Hostd, file: Path) -> None:
    zhao = hostd.backend("zhao")
    uuid = zhao.call("image.upload", name="half", source=SIZE, file="half.raw")["uuid"]
    assert zhao.send(file.read_bytes()[:PART], image=uuid, sender="me", offset=0)["received"] == PART
    assert hostd.zhao("image.list", filters={"usable": True})["rows"] == []
    assert left(hostd) == [f".{uuid}.part"]
    (row,) = hostd.zhao("image.list", filters={"state": "uploading"})["rows"]
    assert row["name"] == "half"
    share = 100 * PART // SIZE
    until(lambda: hostd.zhao("image.show", image="half")["percent"] == share, 20, "how much of it has arrived")
    assert "announced longer" in refused(lambda: zhao.send(b"", image=uuid, sender="me", finish="0" * 64)).text()
    too_much = bytes(PART)
    zhao.send(too_much, image=uuid, sender="me", offset=PART)
    zhao.send(too_much, image=uuid, sender="me", offset=2 * PART)
    assert "More of" in refused(lambda: zhao.send(too_much, image=uuid, sender="me", offset=3 * PART)).text()
    hostd.zhao("image.delete", image="half")
    assert "Nothing is being uploaded" in refused(lambda: zhao.send(b"", image=uuid, sender="me", offset=0)).text()
    assert left(hostd) == []


def test_what_was_broken_off_and_deleted_leaves_its_room_at_once(hostd: Hostd, file: Path) -> None:
    zhao = hostd.backend("zhao")
    uuid = zhao.call("image.upload", name="half", source=SIZE, file="half.raw")["uuid"]
    zhao.send(file.read_bytes()[:PART], image=uuid, sender="me", offset=0)
    hostd.zhao("image.delete", image="half")
    until(lambda: not left(hostd), 20, "the hidden file goes")
    assert list((hostd.home / "state" / "uploads").glob("*")) == []


def test_an_upload_that_goes_on_is_let_alone_while_others_are_deleted(hostd: Hostd, file: Path) -> None:
    zhao, data = hostd.backend("zhao"), file.read_bytes()
    mine, other = (
        zhao.call("image.upload", name=name, source=SIZE, file=f"{name}.raw")["uuid"] for name in ("mine", "other")
    )
    zhao.send(data[:PART], image=mine, sender="me", offset=0)
    zhao.send(data[:PART], image=other, sender="me", offset=0)
    hostd.zhao("image.delete", image="other")
    until(lambda: left(hostd) == [f".{mine}.part"], 20, "the other one goes, and no more")
    for at in range(PART, SIZE, PART):
        zhao.send(data[at : at + PART], image=mine, sender="me", offset=at)
    answer = zhao.send(b"", image=mine, sender="me", finish=hashlib.sha256(data).hexdigest())
    assert hostd.task(answer)["state"] == "done"
    assert (hostd.home / "acme" / "mine.raw").read_bytes() == data


def test_what_was_broken_off_is_gone_on_with(hostd: Hostd, file: Path) -> None:
    zhao = hostd.backend("zhao")
    uuid = zhao.call("image.upload", name="disk", source=SIZE, file="disk.raw")["uuid"]
    zhao.send(file.read_bytes()[:PART], image=uuid, sender="me", offset=0)
    hostd.kill()
    hostd.start()
    hostd.wait()
    told: list[int] = []
    arguments = {"name": "disk", "source": str(file)}
    answer = Upload(hostd.backend("zhao"), "image.upload", "source", arguments).send(
        lambda done, _size, _checked: told.append(done)
    )
    assert hostd.task(answer)["state"] == "done"
    assert told[0] == PART, "it did not begin anew"
    assert answer["uuid"] == uuid
    assert (hostd.home / "acme" / "disk.raw").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("parts", [False, True])
def test_what_arrived_of_another_file_is_never_part_of_an_image(hostd: Hostd, file: Path, parts: bool) -> None:
    """hostd has both files at hand and compares; of parts it learns at the end, and nothing is left."""
    zhao = hostd.backend("zhao")
    uuid = zhao.call("image.upload", name="disk", source=SIZE, file="disk.raw")["uuid"]
    zhao.send(bytes(range(256)) * (PART // 256), image=uuid, sender="me", offset=0)
    hostd.kill()
    hostd.start()
    hostd.wait()
    row = upload(hostd, file, parts=parts)
    if not parts:
        assert row["state"] == "done"
        assert (hostd.home / "acme" / "disk.raw").read_bytes() == file.read_bytes()
        return
    assert row["state"] == "failed"
    assert "SHA-256" in hostd.error(row)
    assert (left(hostd), hostd.zhao("image.list", filters={"state": "uploading"})["rows"]) == ([], [])


def test_an_image_that_refers_elsewhere_is_refused_by_its_own_name_and_leaves_nothing(
    hostd: Hostd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "steal.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", str(path), "1M"], check=True
    )
    said = refused(lambda: upload(hostd, path, "steal", format="qcow2"))
    assert (said.field, "/etc/shadow" in said.text()) == ("source", True), "before anything of it is sent"
    # Who sends it nonetheless is refused when it is there.
    monkeypatch.setattr(image_files, "read", lambda *_given: 0)
    row = upload(hostd, path, "steal", format="qcow2")
    assert row["state"] == "failed"
    assert row["error"]["field"] == "source"
    assert "steal.qcow2" in hostd.error(row)
    assert "/etc/shadow" in hostd.error(row)
    assert (left(hostd), hostd.zhao("image.list")["rows"]) == ([], [])


def test_a_file_that_is_there_is_never_overwritten(hostd: Hostd, file: Path) -> None:
    there = hostd.home / "acme" / "disk.raw"
    there.write_text("of somebody")
    assert str(there) in refused(lambda: upload(hostd, file)).text()
    assert (there.read_text(), left(hostd)) == ("of somebody", ["disk.raw"])
    assert hostd.zhao("image.list", filters={"state": "uploading"})["rows"] == []
    there.unlink()
    (hostd.home / "acme" / "link").symlink_to("/tmp")
    assert "link" in refused(lambda: upload(hostd, file, file="link/x")).text()


def test_quotas_hold_before_a_byte_is_sent(hostd: Hostd) -> None:
    zhao = hostd.backend("zhao")
    zhao.call("image.upload", name="most", source=(1 << 30) - MIB, file="most.raw")
    error = refused(lambda: zhao.call("image.upload", name="more", source=2 * MIB, file="more.raw"))
    assert "1 MiB too much" in error.text()
    assert left(hostd) == []


def test_two_who_upload_one_name_do_not_mix(hostd: Hostd, file: Path) -> None:
    """The second waits for the first to be silent, and both get the one whole file, or the second is told."""
    ends: list[Any] = []

    def one() -> None:
        try:
            backend = Hostd.backend(hostd, "zhao")
            answer = Upload(backend, "image.upload", "source", {"name": "disk", "source": str(file)}).send(
                lambda _d, _s, _c: None
            )
            ends.append(answer["task"])
        except DosvmError as error:
            ends.append(error)

    both = [threading.Thread(target=one) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    tasks = [end for end in ends if isinstance(end, str)]
    assert tasks, ends
    assert hostd.task({"task": tasks[0]})["state"] == "done"
    assert (hostd.home / "acme" / "disk.raw").read_bytes() == file.read_bytes()
    assert left(hostd) == ["disk.raw"]


@pytest.mark.parametrize("point", ["upload_begun", "upload_part:2", "upload_whole", "upload_linked", "before_finish"])
def test_hostd_killed_at_each_step_of_an_upload(hostd: Hostd, file: Path, point: str) -> None:
    hostd.stop()
    hostd.start({"HOSTD_CRASH_AT": point})
    hostd.wait()
    backend = hostd.backend("zhao")
    end: list[Any] = []

    def send() -> None:
        arguments = {"name": "disk", "source": str(file)}
        try:
            end.append(Upload(backend, "image.upload", "source", arguments).send(lambda _d, _s, _c: None))
        except HostdUnavailable as error:
            end.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    until(lambda: not hostd.running, 30, hostd.log_tail())
    hostd.start()
    hostd.wait()
    sender.join(60)
    assert isinstance(end[0], dict), end
    assert hostd.task(end[0])["state"] == "done"
    assert (hostd.home / "acme" / "disk.raw").read_bytes() == file.read_bytes()
    assert left(hostd) == ["disk.raw"]
    until(lambda: not list((hostd.home / "state" / "uploads").glob("*")), 10, "records are removed")


def test_a_full_disk_is_told_and_leaves_nothing(hostd: Hostd, file: Path, tmp_path: Path) -> None:
    small = hostd.home / "acme"
    subprocess.run(
        [*hostd.libvirt.command(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "none", str(small)])], check=True
    )
    try:
        said = refused(lambda: upload(hostd, file)).text()
        assert "full" in said
        assert "MiB" in said
        assert hostd.zhao("image.list", filters={"state": "uploading"})["rows"] == []
        found = subprocess.run(
            hostd.libvirt.command(["ls", "-A", str(small)]), check=True, capture_output=True, text=True
        )
        assert found.stdout == ""
    finally:
        subprocess.run(hostd.libvirt.command(["umount", str(small)]), check=True)


def test_what_nobody_goes_on_with_is_given_up(hostd: Hostd, file: Path) -> None:
    zhao = hostd.backend("zhao")
    uuid = zhao.call("image.upload", name="old", source=SIZE, file="old.raw")["uuid"]
    zhao.send(file.read_bytes()[:PART], image=uuid, sender="me", offset=0)
    partial = hostd.home / "acme" / f".{uuid}.part"
    os.utime(partial, (0, 0))
    hostd.kill()
    hostd.start()
    hostd.wait()
    until(lambda: not partial.exists(), 20, hostd.log_tail())
    assert hostd.zhao("image.list", filters={"state": "uploading"})["rows"] == []
