"""A file that is sent: the digest at its end is of the file, however often the other side falls back."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from core.errors import DosvmError, InvalidInput
from core.rpc import upload
from core.rpc.calls import PART
from core.rpc.http import Stream
from core.rpc.upload import Upload


class Forgetful:
    """Takes parts, and forgets some of what it has once in a while."""

    def __init__(self, falls: dict[int, int], *, streams: bool = False) -> None:
        self.streams = streams
        self.got = bytearray()
        self.falls = falls
        self.digest = ""

    def hand_over(self, _descriptor: int, _told: Any, **_about: Any) -> None:
        return None

    def call(self, _operation: str, **_arguments: Any) -> dict[str, Any]:
        return {"uuid": "u"}

    def send(
        self, part: bytes | Stream, *, image: str, sender: str, offset: int = 0, finish: str = ""
    ) -> dict[str, Any]:
        if finish:
            self.digest = finish
            return {"task": "t"}
        if isinstance(part, Stream):
            part = b"".join(map(bytes, part.pieces()))
        if offset == len(self.got):
            self.got += part
        if (back := self.falls.pop(len(self.got), None)) is not None:
            del self.got[back:]
        return {"received": len(self.got)}


def test_the_digest_is_of_the_file_whatever_was_sent_twice(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(bytes(range(256)) * (3 * PART // 256) + b"the end")
    some = ({}, {2 * PART: 0}, {2 * PART: PART // 2}, {3 * PART: PART + 1, PART: 7}, {3 * PART + 7: 5})
    for falls, streams in itertools.product(some, (False, True)):
        other: Any = Forgetful(dict(falls), streams=streams)
        Upload(other, "image.upload", "source", {"source": str(file)}).send(lambda _done, _size, _checked: None)
        assert bytes(other.got) == file.read_bytes()
        assert other.digest == hashlib.sha256(file.read_bytes()).hexdigest(), falls


@pytest.mark.parametrize("streams", [False, True])
def test_a_file_that_cannot_be_read_ends_it_and_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"x" * 3 * PART)
    preadv = os.preadv

    def bad(descriptor: int, buffers: Any, offset: int) -> int:
        if offset >= PART:
            raise OSError(errno.EIO, "Input/output error")
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", bad)
    other: Any = Forgetful({}, streams=streams)
    with pytest.raises(InvalidInput, match="Input/output error") as refused:
        Upload(other, "image.upload", "source", {"source": str(file)}).send(lambda _done, _size, _checked: None)
    assert refused.value.field == "source"


def test_who_gets_no_further_waits_and_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PATIENCE", 1.2)
    file = tmp_path / "disk"
    file.write_bytes(b"x" * 10)
    other: Any = Forgetful({})
    asked: list[int] = []
    other.send = lambda _part, **about: asked.append(1) or {"received": 0}  # type: ignore[func-returns-value]
    with pytest.raises(DosvmError, match="Nothing more"):
        Upload(other, "image.upload", "source", {"source": str(file)}).send(lambda _done, _size, _checked: None)
    assert len(asked) < 10


def test_nothing_of_dosvm_itself_is_opened_for_sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, keys = tmp_path / "home", tmp_path / "keys"
    monkeypatch.setenv("DOSVM_HOME", str(home))
    for directory in (home / "pki", keys):
        directory.mkdir(parents=True)
    for file in (home / "cluster.key", home / "pki" / "key.pem", keys / "mine.pem", keys / "hosts.pem"):
        file.write_text("secret")
    (home / "console.toml").write_text(f'hosts = ["local"]\nssl_key = "{keys}/mine.pem"\n')
    (home / "dosvm.toml").write_text('[ssl]\nuse_ssl = true\nssl_key = "../keys/hosts.pem"\n')
    os.link(home / "cluster.key", tmp_path / "another-name")
    (tmp_path / "linked").symlink_to(home / "pki" / "key.pem")
    other: Any = Forgetful({})
    for name in ("home/cluster.key", "another-name", "linked", "keys/mine.pem", "keys/hosts.pem", "home/dosvm.toml"):
        with pytest.raises(InvalidInput, match="of DOSVM itself") as refused:
            Upload(other, "image.upload", "source", {"source": str(tmp_path / name)})
        assert refused.value.field == "source"


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    other: Any = Forgetful({})
    ended: list[DosvmError] = []

    def run() -> None:
        try:
            Upload(other, "image.upload", "source", {"source": str(tmp_path / "pipe")})
        except DosvmError as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert ended
    assert "plain file" in ended[0].text()
