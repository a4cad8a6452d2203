"""Open files that are handed over: only by who holds the cluster key, only what he could read, and as they are."""

from __future__ import annotations

import array
import errno
import hashlib
import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import HostdUnavailable, InvalidInput
from core.rpc.calls import PART
from core.rpc.handover import PATH, hand_over
from core.rpc.signature import Signer
from hostd.copying import copy
from hostd.handover import Handover
from hostd.partial import BLOCK, Partial
from tests.waiting import until

KEY = bytes(range(32))
SIZE = 9 * BLOCK + 12345


class Desk:
    """Reads what is handed to it."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, Any], bytes]] = []
        self.waits = threading.Event()
        self.left = threading.Event()

    def take(self, body: dict[str, Any], descriptor: int, gone: Any, told: Any) -> dict[str, Any]:
        told(5, 3)
        if body.get("wait"):
            self.waits.set()
            while not gone():
                told(6, 0)
            self.left.set()
            return {}
        self.got.append((body, os.pread(descriptor, 100, 0)))
        return {"received": 7}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def place(desk: Desk, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "files.sock"
    served = Handover(Signer(KEY), desk.take)
    served.start(path)
    yield str(path)
    served.close()
    assert not path.exists()


def test_an_open_file_is_read_whatever_became_of_its_name(desk: Desk, place: str, tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"precious")
    told: list[tuple[int, int]] = []
    with file.open("rb") as opened:
        file.unlink()
        answer = hand_over(place, Signer(KEY), {"image": "u"}, opened.fileno(), lambda *n: bool(told.append(n)))
    assert (answer, told, desk.got) == ({"received": 7}, [(5, 3)], [({"image": "u"}, b"precious")])


def test_who_has_not_the_key_is_not_heard(desk: Desk, place: str, tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"x")
    with file.open("rb") as opened, pytest.raises(HostdUnavailable):
        hand_over(place, Signer(bytes(32)), {}, opened.fileno(), lambda *_n: False)
    assert desk.got == []


def test_a_request_counts_once(desk: Desk, place: str, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")
    header, _nonce = Signer(KEY).sign("POST", PATH, b"{}")
    with (tmp_path / "disk").open("rb") as opened:
        for expected in (True, False):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(place)
                socket.send_fds(sock, [f"{header}\n{{}}\n".encode()], [opened.fileno()])
                assert bool(sock.makefile("rb").read()) is expected
    assert len(desk.got) == 1


def test_what_its_sender_could_not_read_himself_is_refused(desk: Desk, place: str, tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"x")
    pipe = os.pipe()
    opened = [os.open(file, os.O_WRONLY), os.open(file, os.O_PATH), os.open(tmp_path, os.O_RDONLY), *pipe]
    try:
        for descriptor in opened:
            with pytest.raises(InvalidInput) as refused:
                hand_over(place, Signer(KEY), {}, descriptor, lambda *_n: False)
            assert refused.value.field == "source"
    finally:
        for descriptor in opened:
            os.close(descriptor)
    assert desk.got == []


def test_who_says_nothing_or_too_much_leaves_nothing_open(desk: Desk, place: str, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")

    def mine() -> int:
        return sum(os.path.realpath(fd) == str(tmp_path / "disk") for fd in Path("/proc/self/fd").iterdir())

    with (tmp_path / "disk").open("rb") as opened:
        for message, count in ((b"no line", 1), (b"a\nb\n", 3), (b"x" * 70000, 1), (b"a\n{}\n", 1)):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(place)
                rights = array.array("i", [opened.fileno()] * count)
                sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                sock.shutdown(socket.SHUT_WR)
                try:
                    assert sock.recv(100) == b""
                except ConnectionResetError:
                    pass  # hung up before it had read all
        # It hangs up first, and closes what it was handed then.
        until(lambda: mine() == 1)
    assert desk.got == []


def test_who_hangs_up_takes_back_what_he_asked_for(desk: Desk, place: str, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")
    with (tmp_path / "disk").open("rb") as opened:
        answer = hand_over(place, Signer(KEY), {"wait": True}, opened.fileno(), lambda *_n: desk.waits.is_set())
    assert answer == {}
    assert desk.left.wait(10)


# -- the copy


@pytest.fixture(params=["own", "others'"])
def partial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Partial]:
    """On a file system to which this host alone writes, and on one of several."""
    made = Partial()
    path = tmp_path / ".part"
    made.opened(path, os.open(path, os.O_RDWR | os.O_CREAT), 0)
    made.own = request.param == "own"
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    data = bytearray(random.Random(3).randbytes(SIZE))
    with path.open("wb") as file:
        file.write(data[:BLOCK])
        file.seek(BLOCK, os.SEEK_CUR)
        file.write(data[2 * BLOCK :])
    return path


def run(source: Path, partial: Partial, stop: Any = lambda: False, told: Any = lambda *_n: None) -> None:
    with source.open("rb") as opened:
        copy(opened.fileno(), partial, source.stat().st_size, stop, told)


def sum_of(partial: Partial) -> str:
    """What it is held against when it is whole; empty when against nothing."""
    return partial.sums.hexdigest() if partial.sums is not None else ""


def wanted(partial: Partial, source: Path) -> str:
    return "" if partial.own else hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_copy_is_the_file_and_has_a_sum_where_others_could_write_to_it(source: Path, partial: Partial) -> None:
    told: list[int] = []
    run(source, partial, told=lambda there, _compared: told.append(there))
    assert partial.path.read_bytes() == source.read_bytes()
    assert sum_of(partial) == wanted(partial, source)
    assert told == sorted(told)
    assert told[-1] == SIZE
    assert partial.path.stat().st_blocks * 512 < SIZE - BLOCK // 2, "a hole stays a hole"


def test_what_the_kernel_does_not_copy_is_copied_all_the_same(
    source: Path, partial: Partial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> int:
        raise OSError(errno.EXDEV, "another file system")

    for way in (refuse, lambda *_arguments: 0):
        monkeypatch.setattr(os, "copy_file_range", way)
        run(source, partial)
        assert partial.path.read_bytes() == source.read_bytes()
        assert sum_of(partial) == wanted(partial, source)
        partial.cut(0)


def test_a_full_disk_is_the_disks(source: Path, partial: Partial, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(OSError, match="full"):
        run(source, partial)


def test_a_copy_that_was_stopped_is_gone_on_with(source: Path, partial: Partial) -> None:
    for _ in range(2):
        run(source, partial, stop=lambda: partial.received > 0)
        assert partial.received == PART
        assert sum_of(partial) == ""
    run(source, partial)
    assert partial.path.read_bytes() == source.read_bytes()
    assert sum_of(partial) == wanted(partial, source)


@pytest.mark.parametrize(
    "there", [b"of another file", bytes(BLOCK + 5), b"half"], ids=["another's", "zeros", "half of it"]
)
def test_what_arrived_of_another_file_is_not_kept(source: Path, partial: Partial, there: bytes) -> None:
    if there == b"half":
        there = source.read_bytes()[: BLOCK // 2] + b"other"
    partial.write(memoryview(there))
    run(source, partial)
    assert partial.path.read_bytes() == source.read_bytes()
    assert sum_of(partial) == wanted(partial, source)


def test_a_file_that_changes_meanwhile_is_refused(source: Path, partial: Partial) -> None:
    def change(received: int, _compared: int) -> None:
        if received == SIZE:
            with source.open("r+b") as file:
                file.write(b"y")
                file.flush()
                os.utime(source, (0, 0))

    with pytest.raises(InvalidInput, match="changed"):
        run(source, partial, told=change)


def test_a_sum_is_not_believed_when_somebody_else_wrote(source: Path, partial: Partial) -> None:
    partial.write(source.read_bytes())  # type: ignore[arg-type]
    partial.seal()
    known = partial.sum_of(SIZE)
    if not partial.own:
        assert known is None
        return
    assert known is not None
    assert known.hexdigest() == hashlib.sha256(source.read_bytes()).hexdigest()
    with partial.path.open("r+b") as file:
        file.write(b"z")
    os.utime(partial.path, (1, 1))
    assert partial.sum_of(SIZE) is None


def test_what_is_of_dosvm_itself_is_not_taken_under_any_name(desk: Desk, tmp_path: Path) -> None:
    """Guests read images: the cluster key would be read in one."""
    home = tmp_path / "home"
    (home / "state").mkdir(parents=True)
    kept = tmp_path / "elsewhere.pem"
    for file in (home / "cluster.key", home / "state" / "run", kept):
        file.write_bytes(b"secret")
    (tmp_path / "disk").write_bytes(b"of a person")
    os.link(home / "cluster.key", tmp_path / "another-name")
    served = Handover(Signer(KEY), desk.take, [home, kept, tmp_path / "none"])
    served.start(tmp_path / "files.sock")
    try:
        for name in ("home/cluster.key", "home/state/run", "another-name", "elsewhere.pem"):
            with (
                (tmp_path / name).open("rb") as opened,
                pytest.raises(InvalidInput, match="of DOSVM itself") as refused,
            ):
                hand_over(str(tmp_path / "files.sock"), Signer(KEY), {}, opened.fileno(), lambda *_n: False)
            assert refused.value.field == "source"
        assert desk.got == []
        with (tmp_path / "disk").open("rb") as opened:
            hand_over(str(tmp_path / "files.sock"), Signer(KEY), {}, opened.fileno(), lambda *_n: False)
        assert desk.got == [({}, b"of a person")]
    finally:
        served.close()


def test_what_is_no_json_is_answered(place: str, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")
    header, _nonce = Signer(KEY).sign("POST", PATH, b"{no json")
    with (tmp_path / "disk").open("rb") as opened, socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(place)
        socket.send_fds(sock, [f"{header}\n{{no json\n".encode()], [opened.fileno()])
        with sock.makefile("rb") as answer:
            assert b"not a JSON object" in answer.read()
