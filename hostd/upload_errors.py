"""What is said of an upload that cannot go on."""

from __future__ import annotations

import errno

from core.coordination.storage import ImageOrder
from core.errors import DosvmError, Elsewhere, EngineError, InUse, NotFound
from core.i18n import N_
from hostd import room
from hostd.upload_records import partial_of


def elsewhere(order: ImageOrder, host: str) -> Elsewhere:
    """What has arrived of an upload is on another host; ``host`` is its name."""
    return Elsewhere(
        N_("The upload of {name} was begun on host {host}, where its file is."),
        remedy=N_(
            "Go on at that host, or name it in `dosvm console-settings edit --hosts`: then it is asked by itself. Or"
            " give it up by `dosvm image delete {name}`."
        ),
        field="name",
        name=order.name,
        host=host,
        at=order.host,
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


def trouble(order: ImageOrder, error: OSError) -> DosvmError:
    """The file of an upload cannot be written or read.

    Where there is no room for it, what has arrived of it is cut off, to be removed: only then what is free is known.
    """
    if error.errno == errno.EDQUOT:
        return EngineError(
            N_("The disk quota of {directory} is used up: {file} was removed again."),
            remedy=N_("Raise the quota there, or remove something."),
            field="source",
            directory=order.root,
            file=order.file,
        )
    if error.errno == errno.ENOSPC:
        free = room.free_without(partial_of(order))
        return EngineError(
            N_("The disk with {directory} is full: {file} was removed again."),
            remedy=N_("Make room there: {free} MiB are free, and the file has {size} MiB.")
            if free < order.size
            else N_("There is room again meanwhile: send it again."),
            field="source",
            directory=order.root,
            file=order.file,
            free=free >> 20,
            size=-(-order.size >> 20),
        )
    return EngineError(
        N_("{file} cannot be put into {directory}: {reason}."),
        field="file",
        file=order.file,
        directory=order.root,
        reason=error.strerror or str(error),
    )
