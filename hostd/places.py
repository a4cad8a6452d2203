"""Whether two directories are one: by a symbolic link or a bind mount, whatever their names are."""

from __future__ import annotations

import os
from typing import NamedTuple

from core.errors import Refused
from core.i18n import N_
from core.rules.pools import within
from hostd import shared


class Place(NamedTuple):
    """A directory: its true path, and where that is in its file system, which a bind mount shows elsewhere.

    Device and number are those of a directory that is there, and 0 of one that is to be made.
    """

    path: str
    device: int
    number: int
    system: str
    inner: str


def place_of(path: str) -> Place:
    """Where a directory truly is, or will be once it is made.

    Raises:
        OSError: it cannot be looked at.
    """
    true = os.path.realpath(path)
    system, inner = shared.within(true)
    try:
        status = os.stat(true)
    except FileNotFoundError:
        return Place(true, 0, 0, system, inner)
    return Place(true, status.st_dev, status.st_ino, system, inner)


def holds(outer: Place, inner: Place) -> bool:
    """Whether a place is, or has in it, another one, by path or by where they are in their file system."""
    one = outer.number and (outer.device, outer.number) == (inner.device, inner.number)
    shown = outer.system and outer.system == inner.system and within(outer.inner, inner.inner)
    return bool(one or shown or within(outer.path, inner.path))


def refuse_one(path: str, mine: Place, name: str, theirs: Place, *, what: str) -> None:
    """Refuse a directory that is, or is in, or has in it, one that is something else's.

    Args:
        path: as people wrote it.
        mine: where that is.
        name: whose the other one is.
        theirs: where that is.
        what: ``pool`` or ``group``.

    Raises:
        Refused: names the other one.
    """
    if not (holds(mine, theirs) or holds(theirs, mine)):
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
