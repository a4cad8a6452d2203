"""A file that is sent: the digest at its end is of the file, however often the other side falls back."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

from core.rpc.calls import PART
from core.rpc.http import Stream
from core.rpc.upload import call_with_file


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
        call_with_file(other, "image.upload", "source", {"source": str(file)}, lambda _done, _size: None)
        assert bytes(other.got) == file.read_bytes()
        assert other.digest == hashlib.sha256(file.read_bytes()).hexdigest(), falls
