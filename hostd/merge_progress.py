"""How far a merge is: qemu-img tells the copying only, before which each encrypted file of a chain is opened.

QEMU makes that take about two seconds each, so that a thief who tries passphrases takes long. The chain is opened when
the room is measured and again when it is converted; the new image's key takes longest.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

#: Seconds that a key (LUKS) takes to be opened, as QEMU makes it, and bytes that are converted in one: by these the
#: opening of keys and the copying are weighed, which the percentage of a merge is of together.
_KEY, _COPIED = 2.0, 100e6
#: How many keys' time the making of a new image takes: its rounds are measured, its key is made, and opened.
_MADE = 3


class MergeProgress:
    """How far a merge is: the keys that are opened before anything is copied, and what is copied."""

    def __init__(self, locked: Collection[str], target: str, *, encrypted: bool, size: int) -> None:
        """Begin when the room was measured.

        Args:
            locked: the paths of the files of the chain that are encrypted.
            target: that of the new image.
            encrypted: whether that is.
            size: bytes that it takes at most.
        """
        # As the kernel calls them, also where a pool's directory is a link.
        self._paths = {os.path.realpath(path) for path in (*locked, target)}
        # They have been opened once, when the room was measured.
        self._before = self._opened = len(locked)
        self._keys = 2 * len(locked) + (_MADE if encrypted else 0)
        keys, copying = self._keys * _KEY, size / _COPIED
        self._share = keys / (keys + copying) if keys else 0.0

    def opening(self, process: int) -> int:
        """The percentage while keys are opened, one file after the other, the new one last: the last is at it.

        Args:
            process: the id of qemu-img.
        """
        if not self._keys:
            return 0
        here = len(self._paths & set(_open_files(process)))
        self._opened = max(self._opened, self._before + here - 1)
        return int(100 * self._share * self._opened / self._keys)

    def copied(self, percent: int) -> int:
        """The percentage when so much of what is to be copied was."""
        return int(100 * self._share + percent * (1 - self._share))


def _open_files(process: int) -> Iterator[str]:
    """The files that a process has open; none when it has just ended."""
    with suppress(OSError), os.scandir(f"/proc/{process}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                yield str(Path(entry.path).readlink())
