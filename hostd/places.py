"""Whether two directories are one: by a symbolic link or a bind mount, whatever their names are."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from core.errors import Refused
from core.i18n import N_
from core.rules.pools import overlap


class Place(NamedTuple):
    """A directory: its true path, and its device and number, which a bind mount has in common with what it shows."""

    path: str
    device: int
    number: int


def place_of(path: str) -> Place | None:
    """Where a directory truly is; None when there is none yet.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return Place(os.path.realpath(path), status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def refuse_one(path: str, mine: Place, name: str, theirs: Place, *, what: str) -> None:
    """Refuse a pool's directory that is, or is in, or has in it, one that is something else's.

    Args:
        path: the pool's, as people wrote it.
        mine: where that is.
        name: whose the other one is.
        theirs: where that is.
        what: ``pool`` or ``group``.

    Raises:
        Refused: names the other one.
    """
    if (mine.device, mine.number) != (theirs.device, theirs.number) and not overlap(mine.path, theirs.path):
        return
    raise Refused(
        N_("{path} overlaps with the directory of storage pool {name} ({other}).")
        if what == "pool"
        else N_("{path} overlaps with the directory of project group {name} ({other})."),
        remedy=N_("Choose another directory: on this host a link or a mount makes these two one."),
        field="path",
        path=path,
        name=name,
        other=theirs.path,
    )
