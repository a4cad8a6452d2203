"""Takes the samples at their times. One thread per tier, so that no sweep begins while one still runs."""

from __future__ import annotations

import contextlib
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
from hostd.log import Throttled, fields
from hostd.metrics.host import HostLoad, HostSampler
from hostd.metrics.journal import Journal
from hostd.metrics.store import Store
from hostd.metrics.vm import COLUMNS, Run, VmSampler
from hostd.runtime import Runtime

logger = logging.getLogger("hostd.metrics")

#: Seconds QEMU's monitor has for an answer.
_MONITOR_LIMIT = 5.0
#: What a monitor tells at most, and how many times the usual pause passes at most until one that told nothing is asked
#: again: who runs for an hour without a disk and a balloon gets none by itself, and a device that is added is news.
_TELLS, _NOTHING_TOLD = 2, 12
_HOST = "host"
_HOST_COLUMNS = ("cpu_percent", "memory_percent", "disk_percent", "network_rate")


class Collector:
    """Samples of this host and of the VMs that run on it."""

    def __init__(
        self,
        disk: Path,
        domains: Domains,
        runtime: Runtime,
        journal: Path,
        *,
        monitor: float = intervals.SAMPLE_MONITOR,
    ) -> None:
        """Prepare.

        Args:
            disk: a directory of the host's disk.
            domains: asked for what a domain looks like when it appears, and for the slow samples.
            runtime: how often samples are taken, and how often written to the disk.
            journal: the directory where they outlive hostd.
            monitor: seconds between two slow samples of a VM.
        """
        self._host_sampler = HostSampler(disk)
        self._vm_sampler = VmSampler()
        self._domains = domains
        self._runtime = runtime
        self._monitor = monitor
        self._hosts = Store(_HOST_COLUMNS)
        self._machines = Store(COLUMNS)
        self._journal = Journal(journal, {"host": self._hosts, "vm": self._machines})
        self._guard = threading.Lock()
        self._told: set[str] | None = None
        self._runs: dict[str, Run] = {}
        self._pending: dict[str, Domain] = {}
        self._silent: set[str] = set()
        #: Whose devices changed since the monitor was asked: it may have more to tell.
        self._changed: set[str] = set()
        self._extra: dict[str, dict[str, Any]] = {}
        self._closing = threading.Event()
        #: One for each sweep: it is due before its time.
        self._now = {name: threading.Event() for name in ("host", "vm", "flush")}
        self._throttled = Throttled(logger)
        self._threads: list[threading.Thread] = []
        runtime.on_change(self._wake_all)

    def start(self) -> None:
        """Begin to sample, where an earlier run ended."""
        frames = self._journal.read()
        if frames:
            logger.info("samples of an earlier run taken over %s", fields(frames=frames))
        for name, work in (
            ("sample-host", self._host),
            ("sample-vm", self._vms),
            ("sample-monitor", self._slow),
            ("sample-flush", self._flushes),
        ):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop sampling; what is not on the disk yet is written."""
        self._closing.set()
        self._wake_all()
        for thread in self._threads:
            thread.join(1.0)
        if not any(thread.is_alive() for thread in self._threads if thread.name == "sample-vm"):
            self._vm_sampler.close()
        if not any(thread.is_alive() for thread in self._threads if thread.name == "sample-flush"):
            with contextlib.suppress(OSError):
                self._flush()

    def _wake_all(self) -> None:
        for event in self._now.values():
            event.set()

    def running(self, domains: Mapping[str, Domain]) -> None:
        """Say which domains run now; called by whoever watches them anyway."""
        with self._guard:
            self._told = set(domains)
            self._changed &= self._told
            for uuid in set(self._runs) - set(domains):
                del self._runs[uuid]
                self._extra.pop(uuid, None)
            self._pending = {
                uuid: domain
                for uuid, domain in domains.items()
                if uuid not in self._runs or self._runs[uuid].number != domain.number
            }
            if self._pending:
                self._now["vm"].set()

    def changed(self, uuid: str) -> None:
        """Say that a domain's devices changed."""
        with self._guard:
            self._runs.pop(uuid, None)
            self._changed.add(uuid)

    def host_load(self) -> HostLoad | None:
        """The host's newest sample."""
        row = self._hosts.last(_HOST)
        return HostLoad(**row) if row else None

    def mean_load(self, seconds: float) -> HostLoad | None:
        """The host's load over the last so many seconds, as far as there are samples; the newest when there is one."""
        newest = self._hosts.last(_HOST)
        if newest is None:
            return None
        rows = self._hosts.since(_HOST, newest["at"] - seconds) or [newest]
        means = {key: sum(row[key] for row in rows) / len(rows) for key in _HOST_COLUMNS}
        return HostLoad(newest["at"], **{key: round(value, 1) for key, value in means.items()})

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

    def _every(self, name: str, seconds: Callable[[], float], work: Callable[[], None], *, first: float = 0.0) -> None:
        """Work at an interval that may change at any time; ``first`` seconds pass before the first time."""
        wake = self._now[name]
        due = time.monotonic() + first
        while not self._closing.is_set():
            left = due - time.monotonic()
            if left > 0 and wake.wait(left):
                wake.clear()
                # When the interval was changed the pause follows it; what has just appeared is sampled at once.
                due = time.monotonic() if name == "vm" and self._pending else min(due, time.monotonic() + seconds())
                continue
            due = time.monotonic() + seconds()
            try:
                work()
                self._throttled.clear(name)
            except Exception as error:  # noqa: BLE001  (sampling must go on whatever happens)
                self._throttled.warning(name, "sampling failed", sweep=name, reason=error)

    def _host(self) -> None:
        self._every("host", lambda: self._runtime.now.host_sample_interval, self._sweep_host)

    def _flushes(self) -> None:
        # What was read at the start need not be written.
        interval = self._runtime.now.vm_flush_interval
        self._every("flush", lambda: self._runtime.now.vm_flush_interval, self._flush, first=interval)

    def _flush(self) -> None:
        self._journal.write()

    def _sweep_host(self) -> None:
        load = self._host_sampler.sample()
        self._hosts.add(_HOST, load.at, (load.cpu_percent, load.memory_percent, load.disk_percent, load.network_rate))

    def _vms(self) -> None:
        self._every("vm", lambda: self._runtime.now.vm_sample_interval, self._sweep_vms)

    def _sweep_vms(self) -> None:
        self._describe_new()
        with self._guard:
            runs = list(self._runs.values())
        self._silent = self._vm_sampler.sweep(runs, self._machines.add)
        with self._guard:
            told = self._told
        if told is not None:
            # Until libvirt was asked once, what an earlier run left may be of VMs that still run.
            self._machines.keep(told)

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
        first = min(self._monitor, intervals.SAMPLE_MONITOR_FIRST)
        due: dict[str, float] = {}
        while not self._closing.is_set():
            now = time.monotonic()
            with self._guard:
                for uuid in self._changed & self._runs.keys():
                    due.pop(uuid, None)
                    self._changed.discard(uuid)
                new: list[str] = []
                if due.keys() != self._runs.keys():
                    new = [uuid for uuid in self._runs if uuid not in due]
                    due = {uuid: at for uuid, at in due.items() if uuid in self._runs}
            # Spread, and so they stay: QEMU's work never comes in one burst, not even when hostd finds hundreds.
            over = min(self._monitor, max(first, len(new) * intervals.SAMPLE_MONITOR_PACE))
            due |= {uuid: now + over * place / len(new) for place, uuid in enumerate(new)}
            uuid = min(due, key=due.__getitem__, default="")
            if self._closing.wait(max(0.0, min(due.get(uuid, now + first), now + first / 4) - now)):
                return
            if uuid and due[uuid] <= time.monotonic():
                told = None if uuid in self._silent else self._ask_monitor(uuid)
                pause = self._monitor
                if told is None or len(told) < _TELLS:
                    # A guest that is being started tells more before long, the others perhaps never: they have no
                    # balloon, and who has no disk either has nothing to tell.
                    longest = self._monitor * _NOTHING_TOLD if told == {} else self._monitor
                    pause = min(longest, max(first, self._vm_sampler.age(uuid)))
                due[uuid] = time.monotonic() + pause

    def _ask_monitor(self, uuid: str) -> dict[str, int] | None:
        """Ask QEMU's monitor; what it told, None when it did not answer."""
        try:
            stats = self._domains.monitor_stats(uuid, limit=_MONITOR_LIMIT)
        except Stuck:
            return None
        except TooSlow:
            self._throttled.warning(uuid, "QEMU does not answer libvirt", vm=uuid)
            return None
        except DosvmError:
            return None
        extra = {"guest_memory": stats.guest_memory, "disk_allocation": stats.disk_allocation}
        told = {key: value for key, value in extra.items() if value is not None}
        with self._guard:
            if uuid in self._runs:
                self._extra[uuid] = told
        return told


def _run(domain: Domain, description: Description) -> Run:
    return Run(domain.uuid, domain.name, domain.number, description.vcpus, description.taps)
