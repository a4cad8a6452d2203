"""The living cloud as this hostd sees it: who is alive, how loaded, how to reach it.

Alive is whose heartbeat moves, judged by this host's own monotonic clock; wall clocks of two machines are
never compared. While the database is away nobody's heartbeat can be seen to move, and nobody is called
down for it. How long a host may be silent follows from how often it says itself that it beats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from core.clock import Clock
from core.coordination.hosts import HostRow
from core.errors import HostdUnavailable
from core.rpc.calls import HOST_SAMPLES, MACHINE_SAMPLES
from core.rules.parameters import down_after
from core.services.cloud import HostView
from hostd.metrics.collector import Collector
from hostd.peers import Peers
from hostd.runtime import Runtime


class LivingCloud:
    """Implements :class:`core.services.cloud.Cloud`."""

    def __init__(self, me: str, clock: Clock, collector: Collector, peers: Peers, runtime: Runtime) -> None:
        """``me`` is the UUID of this host; ``runtime`` says how often the hosts are looked at."""
        self._me = me
        self._clock = clock
        self._collector = collector
        self._peers = peers
        self._runtime = runtime
        self._guard = threading.Lock()
        self._rows: dict[int, HostRow] = {}
        self._moved: dict[int, tuple[int, float]] = {}
        self._first: dict[int, float] = {}
        self._read_at: float | None = None
        self._states: dict[int, str] = {}
        self._error: Callable[[], str] = lambda: ""

    def own_error(self, error: Callable[[], str]) -> None:
        """Where to ask why libvirtd of this host does not answer; newer than what the database says."""
        self._error = error

    @property
    def me(self) -> str:
        """See :class:`Cloud`."""
        return self._me

    def saw(self, rows: list[HostRow]) -> bool:
        """Take in what the database says of all hosts; called at each heartbeat.

        Returns:
            Whether some host came or went.
        """
        now = self._clock.monotonic()
        with self._guard:
            # After a gap in reading, silence is ours and not theirs: everybody gets a full term again.
            usual = self._runtime.now.heartbeat_interval
            gap = self._read_at is None or now - self._read_at > 1.5 * usual + 1.0
            self._rows = {row.id: row for row in rows}
            for row in rows:
                counter, _since = self._moved.get(row.id, (-1, now))
                if row.heartbeat != counter:
                    self._moved[row.id] = (row.heartbeat, now)
                elif gap:
                    self._moved[row.id] = (counter, now)
                self._first.setdefault(row.id, row.heartbeat)
            for gone in set(self._moved) - set(self._rows):
                del self._moved[gone]
                self._first.pop(gone, None)
            self._read_at = now
            before, self._states = self._states, {row.id: self._state(row, now)[0] for row in rows}
            return before != self._states

    def _state(self, row: HostRow, now: float) -> tuple[str, float]:
        counter, since = self._moved.get(row.id, (0, now))
        # Without news of the database, ages stand still at the moment it was last read.
        age = max(0.0, (self._read_at if self._read_at is not None else now) - since)
        if row.uuid == self._me:
            return "up", age
        lives_by = self._runtime.now
        if age > down_after(row.heartbeat_interval or lives_by.heartbeat_interval, lives_by.missed_heartbeats):
            return "down", age
        # Not seen to move yet: it may have died before this hostd began to watch.
        return ("up" if counter != self._first.get(row.id) else "unknown"), age

    def _view(self, row: HostRow, now: float) -> HostView:
        state, age = self._state(row, now)
        load, mine = row.load, row.uuid == self._me
        own = self._collector.host_load() if mine else None
        return HostView(
            id=row.id,
            uuid=row.uuid,
            name=row.name,
            address=row.address,
            port=row.port,
            state=state,
            age=age,
            cores=row.cores,
            max_vcpus=row.max_vcpus,
            max_memory=row.max_memory,
            accelerator=row.accelerator,
            hypervisor_error=self._error() if mine else row.hypervisor_error,
            cpu_percent=own.cpu_percent if own else load.cpu_percent,
            memory_percent=own.memory_percent if own else load.memory_percent,
            disk_percent=own.disk_percent if own else load.disk_percent,
            network_rate=own.network_rate if own else load.network_rate,
            groups=row.groups,
        )

    def host(self, host_id: int) -> HostView | None:
        """See :class:`Cloud`."""
        now = self._clock.monotonic()
        with self._guard:
            row = self._rows.get(host_id)
            return self._view(row, now) if row else None

    def hosts(self) -> list[HostView]:
        """See :class:`Cloud`."""
        now = self._clock.monotonic()
        with self._guard:
            return [self._view(row, now) for row in self._rows.values()]

    def address(self, uuid: str) -> tuple[str, int]:
        """Where a host's hostd is called; empty when it is unknown or not on the network."""
        with self._guard:
            for row in self._rows.values():
                if row.uuid == uuid:
                    return row.address, row.port
        return "", 0

    def address_of(self, host_id: int) -> tuple[str, int]:
        """As :meth:`address`, by the host's id."""
        with self._guard:
            row = self._rows.get(host_id)
            return (row.address, row.port) if row else ("", 0)

    def others(self) -> list[tuple[str, int]]:
        """The addresses of the other hosts that are up."""
        return [(v.address, v.port) for v in self.hosts() if v.uuid != self._me and v.state == "up" and v.address]

    def _name(self, uuid: str) -> str:
        with self._guard:
            return next((row.name for row in self._rows.values() if row.uuid == uuid), uuid)

    def host_samples(self, uuid: str, since: float) -> list[dict[str, Any]]:
        """See :class:`Cloud`."""
        if uuid == self._me:
            return self._collector.host_samples(since)
        address = self.address(uuid)
        if not address[0]:
            raise HostdUnavailable(self._name(uuid))
        samples: list[dict[str, Any]] = self._peers.ask(address, HOST_SAMPLES, {"since": since})["samples"]
        return samples

    def machine_samples(self, machines: dict[str, list[str]], since: float) -> dict[str, list[dict[str, Any]]]:
        """See :class:`Cloud`."""
        result: dict[str, list[dict[str, Any]]] = {}
        questions = []
        for host, uuids in machines.items():
            if host == self._me:
                result |= self._collector.machine_samples(uuids, since)
                continue
            address = self.address(host)
            if address[0]:
                questions.append((address, MACHINE_SAMPLES, {"machines": uuids, "since": since}))
        for answer in self._peers.ask_all(questions):
            if isinstance(answer, dict):
                result |= answer.get("samples", {})
        return result
