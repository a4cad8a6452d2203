"""The lock of a host's state directory: who has it is the only one who works for this host."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core.errors import DosvmError, Refused
from core.i18n import N_


def hold(state: Path) -> int:
    """Hold the host's state directory for this process alone.

    Raises:
        Refused: another hostd has it.
    """
    try:
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(state / "hostd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise DosvmError(
            N_("{path} cannot be used: {reason}."), path=str(state), reason=error.strerror or str(error)
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.read(descriptor, 20).decode(errors="replace").strip()
        os.close(descriptor)
        raise Refused(
            N_("Another hostd runs for this host already (process {pid})."),
            remedy=N_("Stop it first, or use another DOSVM_HOME."),
            pid=pid or "?",
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
