"""Directories of servers that tests start: in memory where there is room, and swept up after a run that was killed.

A directory is held by the run that made it as long as that lives: its file ``owner`` is locked, and the kernel ends
the lock with the process, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_MEMORY = Path("/dev/shm")
#: Bytes that must be free in memory's file system for a server to live there.
ROOM = 1 << 30
_OWNER = "owner"
#: Seconds after which a directory without an owner is nobody's: between the two steps of its making, no run is so slow.
_UNOWNED = 3600.0
#: The locks of this process, which are held by keeping them open.
_held: list[int] = []


def make_place(name: str, memory: Path = _MEMORY) -> Path:
    """A new directory for a server and its socket, with a short path: a Unix socket's has at most 107 characters.

    In memory where there is room: on a disk a table is made in a tenth of a second, and tests make thousands. What
    runs left there that were killed is removed before.

    Args:
        name: what the directory is for.
        memory: where the file system in memory is.
    """
    sweep(memory)
    try:
        fits = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    except OSError:
        fits = False
    place = Path(tempfile.mkdtemp(prefix=f"dosvm-{name}-", dir=memory if fits else None))
    owner = os.open(place / "making", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    # By this name it is locked already, whoever looks at this moment.
    (place / "making").rename(place / _OWNER)
    _held.append(owner)
    return place


def sweep(memory: Path = _MEMORY) -> list[Path]:
    """Remove the directories there that no live process owns; which they were."""
    gone = [place for place in memory.glob("dosvm-*") if place.is_dir() and _is_nobodys(place)]
    for place in gone:
        shutil.rmtree(place, ignore_errors=True)
    return gone


def _is_nobodys(place: Path) -> bool:
    try:
        owner = os.open(place / _OWNER, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        # It is being made at this moment, or by a run that locks nothing.
        return _age(place) > _UNOWNED
    except OSError:
        return False  # another user's
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(owner)
    return True


def _age(place: Path) -> float:
    """Seconds since something was made or removed in it; none when it is gone."""
    try:
        return time.time() - place.stat().st_mtime
    except OSError:
        return 0.0
