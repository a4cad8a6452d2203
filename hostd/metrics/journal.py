"""Recent samples on this host's own disk, so that charts survive a restart of hostd.

Every ``vm_flush_interval`` seconds what is new is appended, as one frame, to the newest of a few files; files whose
samples are older than what is kept go away. A frame is whole or not there: it has its length and a checksum, so that
what a crash cut off, or a disk changed, is left out and nothing else. ``kill -9`` loses at most one interval.

File: magic, then frames. Frame: length and CRC-32 of the rest (little endian), then zlib of one line of JSON
(``[[store, name, samples], ...]``) followed, in its order, by times (float64) and numbers (float32) of each, as this
machine writes them.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import time
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path

from hostd.log import fields
from hostd.metrics.store import KEPT, Store

logger = logging.getLogger("hostd.metrics")

_MAGIC = b"dosvm-samples-1\n"
_HEAD = struct.Struct("<II")
#: Seconds after which a new file is begun; the oldest goes when all of it is older than what is kept.
_PER_FILE = 600.0
#: The largest frame that is believed, in bytes: an hour of several thousand VMs.
_LARGEST = 256 * 1024**2
#: Samples from further ahead than so many seconds are of a clock that was wrong.
_AHEAD = 60.0


class Journal:
    """The files of one host. Used by one thread at a time."""

    def __init__(self, directory: Path, stores: Mapping[str, Store]) -> None:
        """``stores`` by the name that they have in the files."""
        self._directory = directory
        self._stores = dict(stores)
        self._told: dict[str, dict[str, float]] = {name: {} for name in stores}
        # A file of an earlier run may end in half a frame: this run begins its own.
        self._file: Path | None = None

    def read(self) -> int:
        """Put the samples of an earlier run back into the stores; how many frames there were."""
        count = 0
        for file in self._files():
            try:
                for frame in _frames(file):
                    self._put_back(frame)
                    count += 1
            except Exception as error:  # noqa: BLE001  (whatever is wrong with it: hostd starts without)
                logger.warning("samples of an earlier run left out %s", fields(file=file.name, reason=error))
        self._told = {name: store.newest() for name, store in self._stores.items()}
        return count

    def _put_back(self, frame: bytes) -> None:
        line, _newline, rest = frame.partition(b"\n")
        oldest, newest = time.time() - KEPT, time.time() + _AHEAD
        place = 0
        for name, of, count in json.loads(line):
            store = self._stores[name]
            width = len(store.columns)
            at, values = array("d"), array("f")
            for numbers, many in ((at, count), (values, count * width)):
                end = place + many * numbers.itemsize
                numbers.frombytes(rest[place:end])
                place = end
            first, last = bisect_right(at, oldest), bisect_left(at, newest)
            store.put_back(of, at[first:last], values[first * width : last * width])

    def write(self) -> int:
        """Append what is new; the bytes written.

        Raises:
            OSError: it cannot be written; it is tried again with the next.
        """
        contents: list[tuple[str, str, int]] = []
        parts: list[bytes] = []
        told: dict[str, dict[str, float]] = {}
        for name, store in self._stores.items():
            before = self._told[name]
            # Names that are gone are not told of any more either.
            told[name] = {of: before[of] for of in store.newest() if of in before}
            for of, at, values in store.news(before):
                contents.append((name, of, len(at)))
                parts += [at.tobytes(), values.tobytes()]
                told[name][of] = at[-1]
        if not contents:
            return 0
        line = json.dumps(contents, separators=(",", ":")).encode()
        body = zlib.compress(b"".join([line, b"\n", *parts]), 1)
        written = self._append(_HEAD.pack(len(body), zlib.crc32(body)) + body)
        self._told = told
        return written

    def _append(self, frame: bytes) -> int:
        self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = self._current()
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            before = os.fstat(descriptor).st_size
            data = frame if before else _MAGIC + frame
            try:
                done = 0
                while done < len(data):
                    done += os.write(descriptor, data[done:])
            except OSError:
                # Half a frame would hide those that come after it.
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        return len(data)

    def _current(self) -> Path:
        """The file that is written to now; those that nobody needs any more are removed."""
        now = time.time()
        for file in self._files():
            if not now - KEPT - _PER_FILE <= _begun(file) <= now + _AHEAD:
                file.unlink(missing_ok=True)
        if self._file is None or not 0 <= now - _begun(self._file) < _PER_FILE:
            self._file = self._directory / f"{now:.6f}.samples"  # two runs never share one
        return self._file

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("*.samples"), key=_begun)


def _begun(file: Path) -> float:
    """When a file was begun, Unix seconds: its name."""
    try:
        return float(file.stem)
    except ValueError:
        return 0.0


def _frames(file: Path) -> Iterator[bytes]:
    """The frames of a file.

    Raises:
        ValueError: it is not such a file, or what follows is cut off or changed.
    """
    with file.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("not a file of samples")
        while head := stream.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise ValueError("the last frame is cut off")
            length, checksum = _HEAD.unpack(head)
            body = stream.read(length) if length <= _LARGEST else b""
            if len(body) < length or zlib.crc32(body) != checksum:
                raise ValueError("a frame that is cut off or was changed")
            yield zlib.decompress(body)
