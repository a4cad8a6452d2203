"""The end of an upload: its hidden file, on the disk for good, summed, and in nobody's hands any more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from core.coordination.storage import ImageOrder
from core.errors import InvalidInput
from core.i18n import N_
from hostd import flushing
from hostd.partial import Partial, is_own
from hostd.trailing import Sum
from hostd.upload_errors import trouble
from hostd.upload_records import partial_of

#: Seconds between looks of a sender whether an upload that goes on is still wanted.
LOOK = 1.0
#: Most percent that are said while it is gone through: at the end it is still looked at.
_SUMMED = 99


#: What a file looks like: number, bytes, time of change (ns).
Stamp = tuple[int, int, int]


class Arrived(NamedTuple):
    """A file that is whole, under its hidden name: its SHA-256, if it was to be taken, and what it looked like then."""

    path: Path
    digest: str
    stamp: Stamp

    def still(self) -> None:
        """See that it is the file that was looked at.

        Raises:
            InvalidInput: somebody wrote to it.
            OSError: it cannot be looked at.
        """
        # Opened anew: only then is what other hosts did seen on NFS.
        with self.path.open("rb") as file:
            if _stamp(file.fileno()) != self.stamp:
                raise _changed(self.path)


def _changed(path: Path) -> InvalidInput:
    return InvalidInput(
        N_("{file} was changed after it had arrived."),
        remedy=N_("Begin the upload again."),
        field="source",
        file=path.name,
    )


def arrived(
    order: ImageOrder, live: Partial | None, progress: Callable[[int], None], as_it_came: Stamp | None = None
) -> Arrived | None:
    """The hidden file of an upload that is whole, on the disk for good; None: it is in its place.

    It is written out and summed at the same time: on a quick disk these take about as long as one another. Where it is
    not to be held against a sum nobody waits for one here: see :mod:`hostd.image_sums`.

    Args:
        order: the image.
        live: what this run of hostd knows of it, to which nobody writes any more; its guard is the caller's.
        progress: told percent, a few times a second.
        as_it_came: what it must look like still, where it is not to be held against a sum.

    Raises:
        EngineError: it cannot be read or written.
        InvalidInput: somebody wrote to it meanwhile.
    """
    partial = partial_of(order)
    if not partial.exists():
        return None
    if not is_own(partial):
        # A sender to another host that shares the directory hears by then that it is over.
        time.sleep(1.5 * LOOK)
    try:
        with partial.open("rb") as file:
            stamp = _stamp(file.fileno())
            if as_it_came is not None and stamp != as_it_came:
                raise _changed(partial)
            os.fchmod(file.fileno(), 0o640)
            if as_it_came is not None:
                flushing.flush(file.fileno(), lambda at: progress(_percent(at, order.size)))
                found = Arrived(partial, "", stamp)
            else:
                known = live.sum_of(order.size) if live is not None and live.path == partial else None
                # On storage that others write to it is read as it is by now.
                sums = known or _summing(file.fileno(), order.size)
                try:
                    flushing.flush(file.fileno(), lambda _at: progress(_percent(sums.at, order.size)))
                    found = Arrived(partial, ended(sums, order.size, progress), stamp)
                finally:
                    sums.leave()
        found.still()
    except OSError as error:
        raise trouble(order, error) from error
    return found


def digest_of(descriptor: int, size: int, progress: Callable[[int], None]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return ended(_summing(descriptor, size), size, progress)


def ended(sums: Sum, size: int, progress: Callable[[int], None]) -> str:
    """Wait for a sum, and say how far it is."""
    return sums.hexdigest(lambda: progress(_percent(sums.at, size)))


def _percent(at: int, size: int) -> int:
    return at * _SUMMED // max(1, size)


def _summing(descriptor: int, size: int) -> Sum:
    made = Sum(descriptor)
    made.there(size)
    return made


def _stamp(descriptor: int) -> Stamp:
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns
