"""A file that is not whole yet, as this run of hostd knows it: open, so long, and its SHA-256 so far."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostd.shared import mounted
from hostd.trailing import Sum, WriteOut

#: Bytes that are looked at together.
BLOCK = 1024 * 1024
_ZEROS = bytes(BLOCK)
#: File systems to which no other host writes, so that what was written from here is what is there.
_OWN = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "tmpfs", "overlay"})


class Over(Exception):
    """An upload is over: nothing is written to its file any more."""


class Partial:
    """An upload that this run of hostd has parts of; whoever works on its file holds ``guard``."""

    def __init__(self) -> None:
        """Nothing is known of it yet."""
        self.path = Path()
        self.descriptor = -1
        self.received = 0
        self.sender = ""
        self.heard = 0.0
        self.guard: Any = threading.RLock()
        #: Whoever works on it stops as soon as this is set: the upload is over.
        self.over = threading.Event()
        self._pen = threading.Lock()
        #: What the file looked like when all of it was written: number, bytes, time of change (ns).
        self.stamp = (0, 0, 0)
        #: What sums it as it comes, and what has it written to the disk meanwhile.
        self.sums: Sum | None = None
        self._out: WriteOut | None = None
        #: Whether no other host can write to it.
        self.own = False
        #: From whom all of it came, from the first byte on, by what nobody else can have a part in; else empty.
        self.all_from = ""

    def opened(self, path: Path, descriptor: int, received: int) -> None:
        """Its file is this one, of which so much is there; what was known of another is forgotten."""
        self.path, self.descriptor, self.received = path, descriptor, received
        self.own = is_own(path)
        self.forget_sum()

    def is_true(self) -> bool:
        """Whether the file is still the one that was written to here, and nobody else changed its length."""
        if self.descriptor < 0:
            return False
        status = os.fstat(self.descriptor)
        try:
            return status.st_size == self.received and os.path.samestat(status, os.lstat(self.path))
        except OSError:
            return False

    def write(self, part: memoryview | bytearray, *, summed: bool = True) -> None:
        """Append a part; what is nothing but zeros takes no room.

        Args:
            part: what comes next.
            summed: whether a sum of all of it will be wanted at the end.

        Raises:
            OSError: it cannot be written; how much of it is there is not known.
            Over: the upload is.
        """
        zeros = is_zeros(part)
        with self.writing():
            if zeros:
                # A hole: it reads as zeros.
                os.ftruncate(self.descriptor, self.received + len(part))
            else:
                view, at = memoryview(part), 0
                while at < len(view):
                    at += os.pwrite(self.descriptor, view[at:], self.received + at)
            self.received += len(part)
        if self.own:
            self._out = self._out or WriteOut(self.descriptor)
            if summed and self.sums is None:
                # What came before, from another sender or to an earlier hostd, is summed meanwhile as well.
                self.sums = Sum(self.descriptor)
        self.there(self.received)

    def cut(self, length: int) -> None:
        """Have no more than so many bytes of it.

        Raises:
            OSError: it cannot be done.
            Over: the upload is.
        """
        self.forget_sum()
        with self.writing():
            os.ftruncate(self.descriptor, length)
            self.received = length

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Whatever writes to the file does so within this; it raises Over when that may not be any more."""
        with self._pen:
            if self.over.is_set():
                raise Over
            yield

    def end(self) -> None:
        """Nothing is written any more from when this returns, whatever somebody who holds the guard still waits for."""
        self.over.set()
        with self._pen:
            pass

    def follow(self) -> None:
        """Begin to sum it as far as :meth:`there` says, for who copies a whole file here, where others write as well.

        What they may have changed is held against that. It is not written out meanwhile: the disk would take from the
        copy more than is left to wait for at the end.
        """
        self.forget_sum()
        if not self.own:
            self.sums = Sum(self.descriptor)

    def there(self, length: int) -> None:
        """So many bytes of it will not change any more."""
        for behind in (self.sums, self._out):
            if behind is not None:
                behind.there(length)

    def forget_sum(self) -> None:
        """Nothing of it is in the sum."""
        for behind in (self.sums, self._out):
            if behind is not None:
                behind.leave()
        self.sums, self._out, self.all_from = None, None, ""

    def seal(self) -> None:
        """All of it was written, and nothing since."""
        if self._out is not None:
            self._out.leave()
        self.stamp = self._look()

    def sum_of(self, size: int) -> Sum | None:
        """What sums it, where that is of the file as it is now.

        It is where all of it went through here, and nobody can have written to it since: on a file system of this
        host alone, with the time of change that it had.
        """
        if self.descriptor < 0 or self.received != size or not self.is_true():
            return None
        return self.sums if self.own and self._look() == self.stamp else None

    def _look(self) -> tuple[int, int, int]:
        status = os.fstat(self.descriptor)
        return status.st_ino, status.st_size, status.st_mtime_ns

    def close(self) -> None:
        """Let go of the file."""
        self.forget_sum()
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def is_own(path: Path) -> bool:
    """Whether no other host can write to a file."""
    return mounted(str(path))[1] in _OWN


def is_zeros(part: memoryview | bytearray) -> bool:
    """Whether there is nothing but zeros in it."""
    # Nearly all that is not shows it at one of these places; comparing whole views takes a step per byte.
    if not len(part) or part[0] or part[-1] or part[len(part) // 2]:
        return False
    view = memoryview(part)
    return all(bytes(view[at : at + BLOCK]) == _ZEROS[: len(view) - at] for at in range(0, len(view), BLOCK))
