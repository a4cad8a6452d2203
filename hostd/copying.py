"""Copies an open file of another process behind what has arrived of it.

The copy is the kernel's (``copy_file_range``, as cp's). Where other hosts could write to what is made of it a second
thread sums what is there: the two hardly wait for one another, nor for Python. SHA-256 takes twice as long as the copy
itself, and where only this host writes nobody waits for it: see :mod:`hostd.image_sums`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from core.errors import InvalidInput
from core.i18n import N_
from hostd.faults import point
from hostd.partial import Partial

#: Bytes that are copied between two looks whether to go on, and with them a place where a test may have hostd die.
_PART = 4 * 1024 * 1024
#: Bytes that are read together: they stay in the processor's cache while they are compared.
_BLOCK = 256 * 1024
#: What it says of a disk or a quota that is full, whoever copies.
_FULL = {errno.ENOSPC, errno.EDQUOT}


def copy(
    source: int, partial: Partial, size: int, stop: Callable[[], bool], told: Callable[[int, int], None]
) -> None:  # fmt: skip
    """Have all of ``source`` in the file of ``partial``, whose guard the caller holds.

    What has arrived before is compared first: where it is of another file it is written anew from there. Holes stay
    holes.

    Args:
        source: an open file; its owner's own place in it moves where there are holes.
        partial: open.
        size: bytes of the source.
        stop: asked between parts; when it says so, what has arrived stays, to be gone on with.
        told: called with the bytes that are there, and how much of what had arrived was compared, while it is.

    Raises:
        InvalidInput: the source cannot be read, or changed.
        OSError: the file cannot be written.
        Over: the upload is over; nothing is written any more.
    """
    before = stamp(source)
    # What an earlier sender had in the sum is summed again: it was not known to be of this file.
    partial.follow()
    whole = False
    try:
        at = _compared(source, partial, stop, told)
        carry = _Carrier(source, partial)
        while at < size and partial.received == at and not stop():
            if at % _PART == 0:
                point("upload_part")
            end = min(size, at - at % _PART + _PART)
            carry.over(at, end)
            partial.received = at = end
            partial.there(at)
            told(at, 0)
        if stamp(source) != before:
            raise InvalidInput(
                N_("The file was changed while it was sent."), field="source", remedy=N_("Send it again.")
            )
        whole = at == size
    finally:
        if not whole:
            partial.forget_sum()
    partial.seal()


def _compared(source: int, partial: Partial, stop: Callable[[], bool], told: Callable[[int, int], None]) -> int:
    """How much of what has arrived is of this file; the rest is cut off."""
    mine, theirs, at = bytearray(_BLOCK), bytearray(_BLOCK), 0
    while at < partial.received and not stop():
        wanted = min(_BLOCK, partial.received - at)
        count = _read(source, memoryview(theirs)[:wanted], at)
        there = os.preadv(partial.descriptor, [memoryview(mine)[:wanted]], at)
        if count != wanted or there != wanted or mine[:wanted] != theirs[:wanted]:
            partial.cut(at)
            partial.follow()
            partial.there(at)
            break
        at += wanted
        partial.there(at)
        told(partial.received, at)
    return at


class _Carrier:
    """Carries bytes from one file to the other, by the kernel where it can."""

    def __init__(self, source: int, partial: Partial) -> None:
        self._source, self._partial, self._target = source, partial, partial.descriptor
        self._by_kernel = True
        self._block = bytearray(0)

    def over(self, at: int, end: int) -> None:
        """Have these bytes of the source at the same place of the target, which ends before.

        Raises:
            InvalidInput: the source cannot be read, or ended.
            OSError: the target cannot be written.
        """
        while at < end:
            data = self._data(at, end)
            if data > at:
                with self._partial.writing():
                    os.ftruncate(self._target, data)  # a hole: it reads as zeros, and takes no room
                at = data
                continue
            count = self._copied(at, min(end, self._hole(at, end)))
            if not count:
                raise InvalidInput(N_("The file became shorter while it was sent."), field="source")
            at += count

    def _data(self, at: int, end: int) -> int:
        """Where something is that is no hole."""
        try:
            return min(end, os.lseek(self._source, at, os.SEEK_DATA))
        except OSError as error:
            return min(end, stamp(self._source)[0]) if error.errno == errno.ENXIO else at

    def _hole(self, at: int, end: int) -> int:
        with contextlib.suppress(OSError):
            return os.lseek(self._source, at, os.SEEK_HOLE)
        return end

    def _copied(self, at: int, end: int) -> int:
        if self._by_kernel:
            try:
                with self._partial.writing():
                    if count := os.copy_file_range(self._source, self._target, end - at, at, at):
                        return count
            except OSError as error:
                if error.errno in _FULL:
                    raise
                # Which of the two files cannot be used is found by reading and writing.
            # Some file systems copy nothing without a word; whether there is nothing is found by reading.
            self._by_kernel = False
        self._block = self._block or bytearray(_BLOCK)
        view = memoryview(self._block)[: min(_BLOCK, end - at)]
        count = _read(self._source, view, at)
        done = 0
        with self._partial.writing():
            while done < count:
                done += os.pwrite(self._target, view[done:count], at + done)
        return count


def unreadable(error: OSError) -> InvalidInput:
    """What is said of a source that cannot be read, or looked at: what it is copied to has no part in it."""
    return InvalidInput(N_("The file cannot be read: {reason}."), field="source", reason=error.strerror or str(error))


def _read(source: int, view: memoryview, at: int) -> int:
    try:
        return os.preadv(source, [view], at)
    except OSError as error:
        raise unreadable(error) from error


def stamp(source: int) -> tuple[int, int]:
    """Size and time of change (ns) of a source; raises InvalidInput when it cannot be looked at."""
    try:
        status = os.fstat(source)
    except OSError as error:
        raise unreadable(error) from error
    return status.st_size, status.st_mtime_ns
