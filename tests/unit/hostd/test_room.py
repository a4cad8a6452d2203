"""Room that is promised, and what is said when there is none."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.coordination.storage import ImageOrder
from core.errors import EngineError, Refused
from hostd import arrivals, flushing, room
from hostd.halts import StorageRefused, goes_on
from hostd.room import Room
from hostd.upload_records import partial_of

MIB = 1024**2


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes are free; the test changes it."""
    free = [100 * MIB]

    class Space:
        f_frsize = 4096

        @property
        def f_bavail(self) -> int:
            return free[0] // self.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda _place: Space())
    return free


def test_two_do_not_count_on_the_same_bytes(tmp_path: Path, free: list[int]) -> None:
    room = Room()
    with room.promised(tmp_path / "one", 60 * MIB):
        busy = pytest.raises(Refused, match="100 MiB are free, of which other tasks are about to take 60 MiB")
        with busy, room.promised(tmp_path / "two", 50 * MIB):
            pass
        with pytest.raises(Refused, match="20 MiB more than are free"), room.promised(tmp_path / "two", 120 * MIB):
            pass
        # What was written of the first is not free any more, and not to be taken besides.
        (tmp_path / "one").write_bytes(os.urandom(40 * MIB))
        free[0] -= 40 * MIB
        with room.promised(tmp_path / "two", 39 * MIB):
            pass
    with room.promised(tmp_path / "two", 50 * MIB):
        pass


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "was full before all of disk was written"),
        (EngineError("qemu-img: {reason}", reason="writing at byte 0: No space left on device"), "was full before"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota on the file system"),
        (EngineError("qemu-img: {reason}", reason="Disk quota exceeded"), "quota on the file system"),
    ],
)
def test_it_is_said_in_one_way_whoever_found_no_room(tmp_path: Path, found: Exception, said: str) -> None:
    with pytest.raises(EngineError, match=said), room.said(tmp_path / "disk"):
        raise found


def test_what_else_is_wrong_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), room.said(tmp_path / "disk"):
        raise PermissionError(errno.EACCES, "no")


def test_what_is_free_is_asked_without_what_came(tmp_path: Path, free: list[int]) -> None:
    came = tmp_path / "came"
    came.write_bytes(b"x" * MIB)
    assert room.free_without(came) == 100 * MIB
    assert came.stat().st_size == 0
    link = tmp_path / "link"
    (tmp_path / "theirs").write_bytes(b"precious")
    link.symlink_to("theirs")
    room.free_without(link)
    assert (tmp_path / "theirs").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("number", "size", "said"),
    [
        (errno.ENOSPC, 120 * MIB, "is full.*100 MiB are free, and the file has 120 MiB"),
        # Somebody has made room meanwhile, or a server counts late what it has given back.
        (errno.ENOSPC, 90 * MIB, "is full.*There is room again"),
        (errno.EDQUOT, 90 * MIB, "quota of .* is used up.*Raise the quota"),
    ],
)
def test_an_upload_whose_server_says_at_its_end_that_it_is_full(
    tmp_path: Path, free: list[int], monkeypatch: pytest.MonkeyPatch, number: int, size: int, said: str
) -> None:
    uuid = "00000000-0000-4000-8000-00000000000a"
    order = ImageOrder(1, uuid, "film", "film.raw", str(tmp_path), "", "raw", "uploading", size, 1)
    came = partial_of(order)
    came.write_bytes(b"x" * MIB)
    all_free = free[0]

    def space(_place: Path) -> object:
        free[0] = all_free - 100 * came.stat().st_size  # what came took all there was
        return real(_place)

    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", space)
    monkeypatch.setattr(arrivals, "_summing", lambda _file, _size: SimpleNamespace(at=0, leave=lambda: None))

    def flush(_file: int, _alive: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(flushing, "flush", flush)
    monkeypatch.setattr(arrivals, "is_own", lambda _path: True)
    with pytest.raises(EngineError) as found:
        arrivals.arrived(order, None, lambda _percent: None)
    assert re.search(said, found.value.text())


def test_only_storage_that_was_away_is_a_reason_to_resume() -> None:
    assert goes_on(json.dumps(StorageRefused("away").to_wire()))
    assert not goes_on('{"code": "engine", "message": "no room"}')
    assert not goes_on("")
