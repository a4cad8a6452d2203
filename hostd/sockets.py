"""Unix sockets that hostd listens at."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from core.errors import DosvmError
from core.i18n import N_


def unix_listener(path: Path) -> socket.socket:
    """A Unix socket that its owner and group may use, in place of one that an earlier run left.

    Raises:
        DosvmError: it cannot be made.
    """
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise DosvmError(N_("{path} is in the way: it is not a socket."), path=str(path))
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Closed to all until its mode is right.
        old = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(old)
        path.chmod(0o660)
        listener.listen(256)
    except OSError as error:
        raise DosvmError(
            N_("Cannot listen on {path}: {reason}."), path=str(path), reason=error.strerror or str(error)
        ) from error
    return listener
