"""Whether the files of images are there: looked at now and then by the host that watches over each.

A file is gone for certain only where its directory is there, on the file system on which files of that directory were
seen before: of what is not mounted an empty directory is all that shows. Which file system that was is kept in a file
of hostd's own. Of storage that does not answer nothing is said.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from core import image_files
from core.coordination import image_files as rows
from core.coordination.image_files import MISSING, PRESENT, Watched
from core.database import Database
from core.errors import DosvmError
from hostd import intervals
from hostd.hypervisor.bounded import Bounded
from hostd.log import fields
from hostd.shared import mounted
from hostd.storage_calls import SILENT

logger = logging.getLogger("hostd.images")

#: A file system as mount(8) names it: where it is mounted, its type, its source.
Mount = tuple[str, str, str]
_NOTHING = (FileNotFoundError, NotADirectoryError)


class ImageWatch:
    """Says which images are missing, and which are back."""

    def __init__(self, database: Database, me: str, state: Path, changed: Callable[[], None] = lambda: None) -> None:
        """``me`` is this host's UUID, ``state`` hostd's own directory; ``changed`` is called when something was."""
        self._database = database
        self._me = me
        self._notes = state / "image-directories.json"
        self._changed = changed
        # One thread looks at one directory after the other; each that hangs has another take its place.
        self._calls = Bounded("images", size=1, cap=8, words=SILENT, linger=2.0)
        #: On which file system files of a directory were seen; and of which that was looked at in this round.
        self._mounts = _read(self._notes)
        self._noted: set[str] = set()

    def look(self) -> int:
        """Look at all of them; how many have another state now.

        Raises:
            DosvmError: the database does not answer.
        """
        found = sorted(self._database.read(lambda session: rows.watched(session, self._me)), key=lambda one: one.root)
        before, count = dict(self._mounts), 0
        self._noted.clear()
        for root, some in groupby(found, lambda one: one.root):
            count += self._look_below(root, list(some))
        if self._mounts != before:
            self._write()
        if count:
            self._changed()
        return count

    def _look_below(self, root: str, some: Sequence[Watched]) -> int:
        try:
            found = self._calls.call(
                lambda: [(one, self._state_of(one)) for one in some], limit=intervals.STORAGE, key=root
            )
        except DosvmError:
            return 0  # it does not answer: nothing is known of what is there
        seen = [one.id for one, state in found if state == PRESENT and one.host != self._me]
        if seen:
            self._database.write(lambda session: rows.take(session, seen, self._me))
        return sum(self._move(one, state) for one, state in found if state not in ("", one.state))

    def _move(self, one: Watched, after: str) -> bool:
        moved = self._database.write(lambda session: rows.move(session, one, after))
        if moved:
            logger.warning("an image is %s %s", after, fields(image=one.name, directory=one.root, file=one.file))
        return moved

    def _state_of(self, one: Watched) -> str:
        """What state the image should have; empty where that cannot be said for certain."""
        is_there = self._is_there(one)
        if is_there is None:
            return ""
        return PRESENT if is_there and (one.state == PRESENT or _fits(one)) else MISSING

    def _is_there(self, one: Watched) -> bool | None:
        """Whether a file is there; None where that cannot be said for certain."""
        path = Path(os.path.realpath(one.root), one.file)
        for _attempt in range(2):
            try:
                os.lstat(path)
            except _NOTHING:
                # Looked at before and after: in between nothing was unmounted.
                if not self._is_same_place(one, path.parent):
                    return None
            except OSError:
                return None
            else:
                self._note(path.parent)
                return True
        return False

    def _is_same_place(self, one: Watched, directory: Path) -> bool:
        """Whether a directory, or what is left above it, is where files of it were seen."""
        known = self._mounts.get(str(directory))
        if known is None or not Path(one.root).is_dir():
            return False
        while not directory.is_dir():
            directory = directory.parent
        return mounted(str(directory)) == known

    def _note(self, directory: Path) -> None:
        place = str(directory)
        if place not in self._noted:
            self._mounts[place] = mounted(place)
            self._noted.add(place)

    def _write(self) -> None:
        fresh = self._notes.with_suffix(".new")
        fresh.write_text(json.dumps(self._mounts), encoding="utf-8")
        fresh.replace(self._notes)


def _fits(one: Watched) -> bool:
    """Whether what is in the place of a file that was missing is what it was, as far as its size and head say."""
    try:
        path = Path(os.path.realpath(one.root), one.file)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != one.size:
            return False
        image_files.read(descriptor, one.file, one.format)
    except (DosvmError, OSError):
        return False
    finally:
        os.close(descriptor)
    return True


def _read(notes: Path) -> dict[str, Mount]:
    try:
        return {str(path): (one[0], one[1], one[2]) for path, one in json.loads(notes.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError, IndexError, TypeError):
        return {}
