"""Takes the samples at their times. One thread per tier, so that no sweep begins while one still runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.errors import DosvmError
from hostd import intervals
from hostd.hypervisor.domains import Description, Domain, Domains
from hostd.hypervisor.errors import Stuck, TooSlow
from hostd.log import Throttled
from hostd.metrics.host import HostLoad, HostSampler
from hostd.metrics.store import Store
from hostd.metrics.vm import COLUMNS, Run, VmSampler

logger = logging.getLogger("hostd.metrics")

#: Samples kept per thing: an hour.
_KEPT = 3600.0
#: Seconds QEMU's monitor has for an answer.
_MONITOR_LIMIT = 5.0
_HOST = "host"
_HOST_COLUMNS = ("cpu_percent", "memory_percent", "disk_percent", "network_rate")


class Collector:
    """Samples of this host and of the VMs that run on it."""

    def __init__(
        self,
        disk: Path,
        domains: Domains,
        *,
        sample: float = intervals.SAMPLE,
        monitor: float = intervals.SAMPLE_MONITOR,
    ) -> None:
        """Prepare.

        Args:
            disk: a directory of the host's disk.
            domains: asked for what a domain looks like when it appears, and for the slow samples.
            sample: seconds between two cheap sweeps over the VMs.
            monitor: seconds over which the slow samples are spread.
        """
        self._host_sampler = HostSampler(disk)
        self._vm_sampler = VmSampler()
        self._domains = domains
        self._sample = sample
        self._monitor = monitor
        self._hosts = Store(_HOST_COLUMNS, int(_KEPT / intervals.SAMPLE_HOST))
        self._machines = Store(COLUMNS, int(_KEPT / sample))
        self._guard = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._pending: dict[str, Domain] = {}
        self._silent: set[str] = set()
        self._extra: dict[str, dict[str, Any]] = {}
        self._closing = threading.Event()
        self._now = threading.Event()
        self._throttled = Throttled(logger)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to sample."""
        for name, work in (("sample-host", self._host), ("sample-vm", self._vms), ("sample-monitor", self._slow)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop sampling."""
        self._closing.set()
        self._now.set()
        for thread in self._threads:
            thread.join(1.0)

    def running(self, domains: Mapping[str, Domain]) -> None:
        """Say which domains run now; called by whoever watches them anyway."""
        with self._guard:
            for uuid in set(self._runs) - set(domains):
                del self._runs[uuid]
                self._extra.pop(uuid, None)
            self._pending = {
                uuid: domain
                for uuid, domain in domains.items()
                if uuid not in self._runs or self._runs[uuid].number != domain.number
            }
            if self._pending:
                self._now.set()

    def changed(self, uuid: str) -> None:
        """Say that a domain's devices changed."""
        with self._guard:
            self._runs.pop(uuid, None)

    def host_load(self) -> HostLoad | None:
        """The host's newest sample."""
        row = self._hosts.last(_HOST)
        return HostLoad(**row) if row else None

    def host_samples(self, since: float) -> list[dict[str, Any]]:
        """The host's samples newer than ``since``, oldest first."""
        return self._hosts.since(_HOST, since)

    def machine_samples(self, uuids: list[str], since: float) -> dict[str, list[dict[str, Any]]]:
        """The samples of VMs newer than ``since``; the newest also has what the monitor said last."""
        result = {}
        for uuid in uuids:
            rows = self._machines.since(uuid, since)
            if rows:
                with self._guard:
                    rows[-1] |= self._extra.get(uuid, {})
                result[uuid] = rows
        return result

    def _every(self, seconds: float, work: Callable[[], None], wake: threading.Event | None = None) -> None:
        while not self._closing.is_set():
            due = time.monotonic() + seconds
            try:
                work()
            except Exception as error:  # noqa: BLE001  (sampling must go on whatever happens)
                self._throttled.warning(work.__name__, "sampling failed", sweep=work.__name__, reason=error)
            # A sweep that takes too long makes the next one late; there are never two at once.
            while not self._closing.is_set() and (left := due - time.monotonic()) > 0:
                if wake is None:
                    self._closing.wait(left)
                elif wake.wait(left):
                    wake.clear()
                    break

    def _host(self) -> None:
        self._every(intervals.SAMPLE_HOST, self._sweep_host)

    def _sweep_host(self) -> None:
        load = self._host_sampler.sample()
        self._hosts.add(_HOST, load.at, (load.cpu_percent, load.memory_percent, load.disk_percent, load.network_rate))

    def _vms(self) -> None:
        self._every(self._sample, self._sweep_vms, self._now)

    def _sweep_vms(self) -> None:
        self._describe_new()
        with self._guard:
            runs = list(self._runs.values())
        self._silent = self._vm_sampler.sweep(runs, self._machines.add)
        self._machines.keep({run.uuid for run in runs})

    def _describe_new(self) -> None:
        with self._guard:
            pending, self._pending = self._pending, {}
        for uuid, domain in pending.items():
            try:
                description = self._domains.describe(uuid)
            except DosvmError:
                continue
            with self._guard:
                self._runs[uuid] = _run(domain, description)

    def _slow(self) -> None:
        while not self._closing.is_set():
            with self._guard:
                uuids = list(self._runs)
            # Spread: as many pauses as VMs, so that QEMU's work never comes in one burst.
            pause = self._monitor / max(1, len(uuids))
            for uuid in uuids or [""]:
                if self._closing.wait(pause):
                    return
                if uuid and uuid not in self._silent:
                    self._ask_monitor(uuid)

    def _ask_monitor(self, uuid: str) -> None:
        try:
            stats = self._domains.monitor_stats(uuid, limit=_MONITOR_LIMIT)
        except Stuck:
            return
        except TooSlow:
            self._throttled.warning(uuid, "QEMU does not answer libvirt", vm=uuid)
            return
        except DosvmError:
            return
        extra = {"guest_memory": stats.guest_memory, "disk_allocation": stats.disk_allocation}
        with self._guard:
            if uuid in self._runs:
                self._extra[uuid] = {key: value for key, value in extra.items() if value is not None}


def _run(domain: Domain, description: Description) -> Run:
    return Run(domain.uuid, domain.name, domain.number, description.vcpus, description.taps)
