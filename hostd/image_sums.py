"""The SHA-256 of files that were uploaded without one, taken when they are in their place already.

What was handed over, or came in one stream, is what was copied: its sum is held against nothing, and told only. It
takes as long as the copy itself or longer, so nobody waits for it, and one file after the other is summed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from core.coordination import image_files as rows
from core.coordination.image_files import Unsummed
from core.database import Database
from core.errors import DosvmError
from hostd.arrivals import digest_of
from hostd.log import Throttled, fields

logger = logging.getLogger("hostd.images")


class ImageSums:
    """Takes the sums that are missing, behind all else that this host does."""

    def __init__(self, database: Database, me: str, changed: Callable[[], None]) -> None:
        """``me`` is this host's UUID; ``changed`` is called when the sum of an image is known."""
        self._database = database
        self._me = me
        self._changed = changed
        self._throttled = Throttled(logger)
        self._guard = threading.Lock()
        self._wanted: list[Unsummed] = []
        self._working = False
        self._now = 0

    def look(self) -> None:
        """See what is to be summed, and have it done in a thread of its own.

        Raises:
            DosvmError: the database does not answer.
        """
        found = self._database.read(lambda session: rows.unsummed(session, self._me))
        with self._guard:
            self._wanted = [one for one in found if one.id != self._now]
            if not self._wanted or self._working:
                return
            self._working = True
        threading.Thread(target=self._work, name="image sums", daemon=True).start()

    @property
    def working(self) -> bool:
        """Whether something is being summed."""
        with self._guard:
            return self._working

    def _work(self) -> None:
        while True:
            with self._guard:
                self._now = 0
                if not self._wanted:
                    self._working = False
                    return
                one = self._wanted.pop(0)
                self._now = one.id
            try:
                self._sum(one)
                self._throttled.clear(str(one.id))
            except FileNotFoundError:
                logger.info("an image went before it was summed %s", fields(image=one.name))
            except OSError as error:
                self._throttled.warning(
                    str(one.id), "an image cannot be summed", image=one.name, reason=error.strerror or str(error)
                )
            except DosvmError as error:
                self._throttled.warning(str(one.id), "an image cannot be summed", image=one.name, reason=error.text())

    def _sum(self, one: Unsummed) -> None:
        path = Path(os.path.realpath(one.root), one.file)
        with open(path, "rb", opener=_as_it_is) as file:
            digest = ""
            # A VM may write to it by now: what would be summed then is not what was uploaded.
            if _is_still(file.fileno(), one):
                digest = digest_of(file.fileno(), one.size, lambda _percent: _is_named(file.fileno()))
                digest = digest if _is_still(file.fileno(), one) else ""
        if not digest:
            logger.info("an image was written to before it was summed %s", fields(image=one.name, path=path))
        if self._database.write(lambda session: rows.record_digest(session, one, digest)):
            self._changed()


def _is_still(descriptor: int, one: Unsummed) -> bool:
    status = os.fstat(descriptor)
    return (status.st_ino, status.st_size, status.st_mtime_ns) == one.stamp


def _is_named(descriptor: int) -> None:
    """Let go of a file that was deleted: as long as it is open it takes its room."""
    if not os.fstat(descriptor).st_nlink:
        raise FileNotFoundError


def _as_it_is(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
