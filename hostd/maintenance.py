"""Starts again what the maintenance of a host switched off, as soon as some host may and can run it.

What could not be migrated from such a host is stopped, so that it starts elsewhere like the rest.
"""

from __future__ import annotations

import contextlib
from functools import partial

from core.clock import Clock
from core.errors import Conflict, DatabaseUnavailable, DosvmError
from core.services.dispatch import Services
from core.services.maintenance import is_going_on, left_behind, move_rest, say_why, start_again, startable
from hostd.backoff import Backoff


class Maintenance:
    """Looks whether a VM that waits can start; every hostd does, and whoever is first starts it."""

    def __init__(self, services: Services, clock: Clock) -> None:
        self._services = services
        self._backoff = Backoff(clock)
        self._waiting: dict[str, str] = {}
        self._hosts: frozenset[tuple[int, str, str]] = frozenset()
        # Until it was looked: an earlier run may have died in the middle of it.
        self._working = True

    def concerns(self, topics: frozenset[str]) -> bool:
        """Whether news of these kinds are a reason to look at once; that a VM stopped is news of its host as well.

        Where no maintenance goes on, none of the many things that happen to VMs are.
        """
        return "maintenance" in topics or (self._working and "host" in topics)

    def look(self) -> None:
        """Look once, and start what can be started.

        Raises:
            DosvmError: the database does not answer.
        """
        # Told before it is looked: what comes meanwhile is heard.
        self._working = True
        self._working = self._services.reading(is_going_on)
        if not self._working:
            return
        found = self._services.reading(startable)
        hosts = frozenset((view.id, view.state, view.hypervisor_error) for view in self._services.cloud.hosts())
        waiting = {uuid: drain for _id, uuid, drain in found}
        for uuid, drain in self._waiting.items():
            # What no host could run may find one now: one that changed, or the one that it left.
            if hosts != self._hosts or waiting.get(uuid) != drain:
                self._backoff.forget(uuid)
        self._hosts, self._waiting = hosts, waiting
        for machine_id, uuid, _drain in found:
            if self._backoff.due(uuid):
                self._start(machine_id, uuid)
        for host_id in self._services.reading(left_behind):
            with contextlib.suppress(Conflict):
                self._services.duty(partial(move_rest, host_id=host_id))

    def _start(self, machine_id: int, uuid: str) -> None:
        try:
            self._services.duty(partial(start_again, machine_id=machine_id))
            self._backoff.forget(uuid)
        except Conflict:
            return  # somebody was faster; what is left is seen at the next look
        except DatabaseUnavailable:
            raise
        except DosvmError as error:
            self._backoff.tried(uuid)
            why = error
            self._services.duty(lambda call: say_why(call, machine_id, why))
