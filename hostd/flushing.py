"""A large file written to the disk for good, slice by slice: whoever waits sees that it goes on, and can end it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable

#: Bytes that are written out at once: also a slow disk takes them within the time in which a cancelled task is to end.
_SLICE = 8 * 1024 * 1024
#: SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER, see sync_file_range(2).
_ALL = 1 | 2 | 4
#: What this kernel or file system does not know is left to fsync.
_UNKNOWN = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ESPIPE}


def flush(descriptor: int, alive: Callable[[], None]) -> None:
    """As fsync(2).

    Args:
        descriptor: the open file.
        alive: called between slices; what it raises ends the writing.

    Raises:
        OSError: the storage refuses it.
    """
    write_out = ctypes.CDLL(None, use_errno=True).sync_file_range
    write_out.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    for at in range(0, os.fstat(descriptor).st_size, _SLICE):
        alive()
        if write_out(descriptor, at, _SLICE, _ALL) != 0:
            number = ctypes.get_errno()
            if number in _UNKNOWN:
                break
            raise OSError(number, os.strerror(number))
    alive()
    os.fsync(descriptor)
