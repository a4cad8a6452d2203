"""Room on file systems: promised to what is written there, and said to be lacking in one way."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import EngineError, Refused
from core.i18n import N_
from core.rules.sizes import format_size
from hostd import shared

#: What storage says that has no room: of the whole, or of somebody's part of it.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: The same as programs print it.
_WORDS = tuple(os.strerror(number) for number in FULL)


class Room:
    """What is promised of file systems, so that two do not count on the same bytes."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._guards: dict[int, threading.Lock] = {}
        self._promised: dict[int, dict[Path, int]] = {}

    @contextmanager
    def promised(self, file: Path, needed: int) -> Iterator[None]:
        """Promise bytes to a file that is written in the block.

        Raises:
            Refused: its file system has not so much room; says by how much.
        """
        directory = file.parent
        device = directory.stat().st_dev
        with self._guard:
            # Each has its own: storage that hangs must not hold up what is written to other storage.
            guard = self._guards.setdefault(device, threading.Lock())
            promises = self._promised.setdefault(device, {})
        with guard:
            space = os.statvfs(directory)
            free = space.f_bavail * space.f_frsize
            # What of it is written already is not free any more.
            others = sum(max(0, bytes_ - _taken(other)) for other, bytes_ in promises.items())
            if needed > free - others:
                raise _lacking(file, needed, free, others)
            promises[file] = needed
        try:
            yield
        finally:
            with guard:
                del promises[file]


def _lacking(file: Path, needed: int, free: int, others: int) -> Refused:
    """There is less room than a file needs, or will be when others have taken what they were promised."""
    message = N_(
        "There is not enough room on the file system {system}: {file} needs {needed}, {over} more than are free."
    )
    remedy = N_("Make room there, or use another storage pool.")
    if needed <= free:
        message = N_(
            "There is not enough room on the file system {system}: {file} needs {needed}; {free} are free, of which"
            " other tasks are about to take {others}."
        )
        remedy = N_("Wait for these tasks, make room there, or use another storage pool.")
    sizes = {"needed": needed, "over": needed - free, "free": free, "others": others}
    words = {key: format_size(value) for key, value in sizes.items()}
    return Refused(message, remedy=remedy, system=_system(file.parent), file=file.name, **words)


def _taken(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except OSError:
        return 0


def _system(path: Path) -> str:
    """The file system that something is on, as mount(8) names it: where it is mounted."""
    return shared.mounted(os.path.realpath(path))[0] or str(path)


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Say it in one way when what is written in the block finds no room, by the call or by the program that finds it.

    Raises:
        EngineError: there is no room where ``path`` is.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full(path, quota=error.errno == errno.EDQUOT) from error
        raise
    except EngineError as error:
        reason = str(error.parameters.get("reason", ""))
        if any(words in reason for words in _WORDS):
            raise full(path, quota=os.strerror(errno.EDQUOT) in reason) from error
        raise


def full(path: Path, *, quota: bool) -> EngineError:
    """There was no room for all of a file; ``quota``: its owner may have no more than there is."""
    if quota:
        return EngineError(
            N_("The disk quota on the file system {system} was used up before all of {file} was written."),
            remedy=N_("Raise the quota there, or remove something; nothing of the file was kept."),
            system=_system(path.parent),
            file=path.name,
        )
    return EngineError(
        N_("The file system {system} was full before all of {file} was written."),
        remedy=N_("Make room there; nothing of the file was kept."),
        system=_system(path.parent),
        file=path.name,
    )


def free_without(partial: Path) -> int:
    """Bytes that are free once what there is of a file is gone; it is cut off now, to be removed.

    Servers, and those who write to them, know late what a file takes and when a removed one has given it back.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(partial, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)
    try:
        found = os.statvfs(partial.parent)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
