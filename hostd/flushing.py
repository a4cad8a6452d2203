"""What is written reaches the disk for good: large files, and the names in a directory.

A large file goes slice by slice: whoever waits sees that it goes on, and can end it.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path

#: Bytes that are waited for at once, and how many such the disk has before it besides: it is never without work, and
#: also a slow one takes them within the time in which a cancelled task is to end.
_SLICE, _AHEAD = 8 * 1024 * 1024, 4
#: SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER, see sync_file_range(2).
_WRITE, _ALL = 2, 1 | 2 | 4
#: What this kernel or file system does not know is left to fsync.
_UNKNOWN = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ESPIPE}
#: How file systems say that they cannot sync a directory, which most of those need not: Linux for one that has no such
#: call, servers behind FUSE and NFS, and those that want a directory to be open for writing. None means that
#: something was lost.
_NO_NAMES = {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP}


def flush(descriptor: int, alive: Callable[[int], None]) -> None:
    """As fsync(2).

    Args:
        descriptor: the open file.
        alive: called between slices, with the bytes that are written out; what it raises ends the writing.

    Raises:
        OSError: the storage refuses it.
    """
    size = os.fstat(descriptor).st_size
    begin(descriptor, 0, _SLICE * _AHEAD)
    for at in range(0, size, _SLICE):
        alive(at)
        begin(descriptor, at + _SLICE * _AHEAD, _SLICE)
        if not _write_out(descriptor, at, _SLICE, _ALL):
            break
    alive(size)
    os.fsync(descriptor)


def flush_names(directory: Path) -> None:
    """Let the names in a directory outlive a failure of power, where the file system can.

    Raises:
        OSError: the storage refuses it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_NAMES:
            raise
    finally:
        os.close(descriptor)


def begin(descriptor: int, at: int, length: int) -> None:
    """Have the disk begin with a part of a file; that it was written is known by :func:`flush` only.

    Raises:
        OSError: the storage refuses it.
    """
    _write_out(descriptor, at, length, _WRITE)


def _write_out(descriptor: int, at: int, length: int, how: int) -> bool:
    """Whether this kernel and file system can do it so."""
    if _sync_file_range()(descriptor, at, length, how) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number))


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int]:
    found = ctypes.CDLL(None, use_errno=True).sync_file_range
    found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found
