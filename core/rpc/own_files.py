"""What of a machine's files is DOSVM's own: keys, configuration, what hostd keeps. Nothing of it is ever uploaded.

An image is read by the guests that it is attached to: who may upload would read the cluster key in one. Files are told
by device and inode, so that no other name of one passes. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from core.i18n import N_

#: What is said of one.
OWN = N_("{file} is a file of DOSVM itself, which is never uploaded.")
#: Device and inode of a file.
Identity = tuple[int, int]


def identity(status: os.stat_result) -> Identity:
    """What tells a file from all others of this machine."""
    return status.st_dev, status.st_ino


def identities(places: Iterable[Path]) -> frozenset[Identity]:
    """The files at and below some places, as far as they are there; links count as what they lead to."""
    found: set[Identity] = set()
    for place in places:
        with contextlib.suppress(OSError):
            found.add(identity(place.stat()))
        for directory, _directories, files in os.walk(place):
            for file in files:
                with contextlib.suppress(OSError):
                    found.add(identity((Path(directory) / file).stat()))
    return frozenset(found)
