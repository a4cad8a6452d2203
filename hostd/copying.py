"""Copies an open file of another process behind what has arrived of it, and sums it meanwhile in a second thread."""

from __future__ import annotations

import os
from collections.abc import Callable

from core.errors import InvalidInput
from core.i18n import N_
from core.summing import Summing
from hostd.faults import point
from hostd.partial import BLOCK, Partial

#: Bytes after which a test may have hostd die, as with parts that are sent.
_PART = 4 * BLOCK


def copy(source: int, partial: Partial, size: int, stop: Callable[[], bool], told: Callable[[int], None]) -> None:
    """Have all of ``source`` in the file of ``partial``, whose guard the caller holds.

    What has arrived before is compared first: where it is of another file it is written anew from there. Afterwards
    the sum of all of it is known to ``partial``.

    Args:
        source: an open file; it is read at places, so its owner's own place in it stays.
        partial: open.
        size: bytes of the source.
        stop: asked between blocks; when it says so, what has arrived stays, to be gone on with.
        told: called with the bytes that are there.

    Raises:
        InvalidInput: the source cannot be read, or changed.
        OSError: the file cannot be written.
    """
    before = _stamp(source)
    summing, at, mine = Summing(BLOCK), 0, bytearray(BLOCK)
    try:
        while at < size and not stop():
            if at % _PART == 0 and at >= partial.received:
                point("upload_part")
            # Blocks stay where they are in the file, also behind one that had arrived in half.
            wanted = min(BLOCK - at % BLOCK, size - at)
            if at < partial.received:
                wanted = min(wanted, partial.received - at)
            view = memoryview(summing.room())[:wanted]
            count = _read(source, view, at)
            if count == 0:
                raise InvalidInput(N_("The file became shorter while it was sent."), field="source")
            block = view[:count]
            if at < partial.received and not _is_there(partial, mine, block, at):
                partial.cut(at)
            if at >= partial.received:
                partial.write(block)
            summing.take(at, block)
            at += count
            told(max(at, partial.received))
    finally:
        summing.end()
        # What an earlier sender had in the sum was summed again: it was not known to be of this file.
        partial.summed(summing.digest, summing.taken)
    if _stamp(source) != before:
        raise InvalidInput(N_("The file was changed while it was sent."), field="source", remedy=N_("Send it again."))
    partial.seal()


def _read(source: int, view: memoryview, at: int) -> int:
    try:
        return os.preadv(source, [view], at)
    except OSError as error:
        raise InvalidInput(
            N_("The file cannot be read: {reason}."), field="source", reason=error.strerror or str(error)
        ) from error


def _is_there(partial: Partial, mine: bytearray, block: memoryview, at: int) -> bool:
    count = os.preadv(partial.descriptor, [memoryview(mine)[: len(block)]], at)
    return count == len(block) and bytes(memoryview(mine)[:count]) == bytes(block)


def _stamp(source: int) -> tuple[int, int]:
    status = os.fstat(source)
    return status.st_size, status.st_mtime_ns
