"""What is said of an upload that cannot go on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from core.coordination.storage import ImageOrder
from core.errors import DosvmError, EngineError, InUse, NotFound, Refused
from core.i18n import N_


class Elsewhere(Refused):
    """What has arrived of an upload is on another host."""

    def __init__(self, order: ImageOrder, host: str) -> None:
        """``host``: its name."""
        super().__init__(
            N_("The upload of {name} was begun on host {host}, where its file is."),
            remedy=N_(
                "Go on at that host (`dosvm console-settings` names the hosts that are asked), or give it up by"
                " `dosvm image delete {name}`."
            ),
            field="name",
            name=order.name,
            host=host,
        )


def nothing() -> NotFound:
    """There is no such upload, or it has ended."""
    return NotFound(N_("Nothing is being uploaded there."), remedy=N_("Begin the upload again."), field="image")


def busy(order: ImageOrder) -> InUse:
    """Another sender is at it."""
    return InUse(
        N_("Somebody else is uploading {name} just now."),
        remedy=N_("Wait until that has ended, or use another name."),
        field="name",
        name=order.name,
    )


def trouble(order: ImageOrder, error: OSError, taken: int = 0) -> DosvmError:
    """The file of an upload cannot be written or read; ``taken`` are the bytes that it takes on the disk until now."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EngineError(
            N_("The disk with {directory} is full: {file} was removed again."),
            remedy=N_("Make room there: {free} MiB are free, and the file has {size} MiB."),
            field="source",
            directory=order.root,
            file=order.file,
            # What there is for it: servers take a while to have the room again that it is about to leave.
            free=(_free(Path(order.root)) + taken) >> 20,
            size=-(-order.size >> 20),
        )
    return EngineError(
        N_("{file} cannot be put into {directory}: {reason}."),
        field="file",
        file=order.file,
        directory=order.root,
        reason=error.strerror or str(error),
    )


def _free(directory: Path) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
