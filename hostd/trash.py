"""Empties the trash: what was there long enough, and what projects leave behind."""

from __future__ import annotations

import logging
import uuid
from functools import partial

from core.errors import Conflict, DosvmError, NotFound, Unavailable
from core.services.actor import HOSTD
from core.services.dismantling import dismantle
from core.services.dispatch import Services
from core.services.trash import half_gone, overdue
from hostd.log import Throttled

logger = logging.getLogger("hostd.trash")

#: News of these kinds may mean that a project that goes can go on going.
_PARTS = frozenset({"vm", "volume", "image", "task"})
#: Makes a request key of what is deleted and when: hosts that see it at the same time delete it once.
_KEYS = uuid.UUID("6b1f5c1e-5a5c-4d3a-9a2f-2f6f0d0f7c11")


class Trash:
    """Looks what is to go for good."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # Until it was looked: an earlier run may have died in the middle of something.
        self._working = True
        self._throttled = Throttled(logger)

    def concerns(self, topics: frozenset[str]) -> bool:
        """Whether news of these kinds are a reason to look at once."""
        return "trash" in topics or bool(self._working and topics & _PARTS)

    def look(self) -> None:
        """Look once, and act.

        Raises:
            DosvmError: the database does not answer.
        """
        for item, deleted in self._services.reading(overdue):
            key = str(uuid.uuid5(_KEYS, f"{item} {deleted.isoformat()}"))
            try:
                self._services.call("trash.purge", {"trash": item}, HOSTD, key)
            except NotFound:
                continue  # somebody was faster
            except Unavailable:
                raise
            except DosvmError as error:
                # What cannot go is no reason for the rest to stay.
                self._throttled.warning(item, "not deleted for good", trash=item, reason=error.text())
        projects = self._services.reading(half_gone)
        self._working = bool(projects)
        for project in projects:
            try:
                self._services.duty(partial(dismantle, project_id=project))
            except Conflict:
                continue  # another host is at it, or was faster
