"""What is left of uploads that are over, and uploads that nobody goes on with: removed, and booked no longer."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from datetime import timedelta

from core.clock import Clock
from core.coordination import storage
from core.coordination.storage import ImageOrder
from core.database import Database
from hostd import intervals
from hostd.handling import done
from hostd.log import fields
from hostd.partial import is_own
from hostd.upload_records import partial_of
from hostd.uploads import Uploads

logger = logging.getLogger("hostd.uploads")

#: Seconds after which an upload that nobody goes on with is given up.
ABANDONED = 24 * 3600.0
#: An upload that goes on is said to go on this often; and so many at most are given up at once.
_SLACK, _MANY = timedelta(hours=12), 100


class Abandoned:
    """Looks for them, now and then."""

    def __init__(
        self, uploads: Uploads, database: Database, clock: Clock, changed: Callable[[], None] = lambda: None
    ) -> None:
        """``changed`` is called when an upload was given up that is not this host's."""
        self._uploads = uploads
        self._database = database
        self._clock = clock
        self._changed = changed
        #: When those are looked for that nobody goes on with; the first time at once.
        self._due = time.monotonic()

    def concerns(self, topics: frozenset[str]) -> bool:
        """Whether news of these kinds are a reason to :meth:`look` at once: what was deleted is to leave its room."""
        return "image" in topics

    def look(self) -> None:
        """Remove what is left of uploads that are over; now and then give up those too that nobody goes on with."""
        due = time.monotonic() >= self._due
        for uuid in self._uploads.records:
            directory = self._uploads.records.directory_of(uuid)
            self._uploads.patiently(directory, lambda u=uuid: self._look(u, due))  # type: ignore[misc]
        if due:
            self._give_up_others()
            self._due = time.monotonic() + intervals.UPLOADS

    def _look(self, uuid: str, due: bool) -> None:
        order = self._uploads.load(uuid)
        if order is None or order.state == "present" or (order.state == "uploading" and self._went_elsewhere(order)):
            self._uploads.discard(uuid)
        elif due and order.state == "uploading":
            age = self._uploads.records.age(uuid)
            if age > ABANDONED:
                self._uploads.give_up(uuid)
                return
            # Others do not see it come: what takes days is said to go on.
            last = self._clock.now() - timedelta(seconds=age)
            self._database.write(lambda s: done(storage.still_uploaded(s, uuid, last, _SLACK)))
        # By the hidden file of one that failed it is told which file of its name is its own, when somebody deletes it.

    def _went_elsewhere(self, order: ImageOrder) -> bool:
        """Whether another host took it up while this one was gone, in a directory that only this one has."""
        return order.host not in ("", self._uploads.me) and is_own(partial_of(order).parent)

    def _give_up_others(self) -> None:
        """Give up what was announced and never came, or came to a host that is gone: it would be booked for ever."""
        known = list(self._uploads.records)
        before = self._clock.now() - timedelta(seconds=ABANDONED) - _SLACK
        for uuid in self._database.read(lambda session: storage.silent_uploads(session, before, known, _MANY)):
            order = self._uploads.load(uuid)
            if order is None or not self._database.write(lambda s, u=uuid: storage.remove_upload(s, u, before)):  # type: ignore[misc]
                continue
            self._uploads.patiently(order.root, lambda o=order: _remove(o))  # type: ignore[misc]
            logger.info("upload of nobody given up %s", fields(image=uuid))
            self._changed()


def _remove(order: ImageOrder) -> None:
    with contextlib.suppress(OSError):
        partial_of(order).unlink(missing_ok=True)
