"""What VMs use, from two files of each QEMU process; no request to libvirt or QEMU per sample."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hostd.metrics.host import interface_counters
from hostd.processes import PROC, RUN_DIRECTORY, QemuFinder, boot_clock_ms

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: The columns of a sample: percent of the VM's own processors, bytes of memory, bytes per second.
COLUMNS = ("cpu_percent", "memory", "read_rate", "write_rate", "receive_rate", "send_rate")


def _content(path: str) -> bytes:
    """A small file of the kernel's, read at one go: Python's own files cost twice as much."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


@dataclass(frozen=True)
class Run:
    """One run of a domain: what stays the same while it runs."""

    uuid: str
    name: str
    number: int
    vcpus: int
    taps: tuple[str, ...]


@dataclass
class _Process:
    pid: int
    start: int
    at: float = 0.0
    counters: tuple[float, ...] | None = None


class VmSampler:
    """Takes samples of all VMs in one sweep; rates are those since the sweep before."""

    def __init__(self, *, proc: Path = PROC, run_directory: Path = RUN_DIRECTORY) -> None:
        self._proc = proc
        self._finder = QemuFinder(proc=proc, run_directory=run_directory)
        self._processes: dict[str, _Process] = {}

    def pid(self, uuid: str) -> int | None:
        """The QEMU process of a VM, as of the last sweep."""
        process = self._processes.get(uuid)
        return process.pid if process else None

    def age(self, uuid: str) -> float:
        """Seconds since a VM's QEMU was begun, as far as the last sweep knows it; without end when it does not."""
        process = self._processes.get(uuid)
        return boot_clock_ms() / 1000 - process.start / _TICKS if process else math.inf

    def sweep(self, runs: Iterable[Run], add: Callable[[str, float, tuple[float, ...]], None]) -> set[str]:
        """Sample each run and hand ``add(uuid, at, values)`` what has a rate already.

        Returns:
            The UUIDs whose QEMU is stopped or dead, so that its monitor must not be asked.
        """
        runs = list(runs)
        known = {run.uuid for run in runs}
        for uuid in set(self._processes) - known:
            del self._processes[uuid]
        network = interface_counters(self._proc)
        silent = set()
        for run in runs:
            state = self._sample(run, network, add)
            if state not in ("R", "S", "D"):
                silent.add(run.uuid)
        return silent

    def _sample(
        self,
        run: Run,
        network: dict[str, tuple[int, int]],
        add: Callable[[str, float, tuple[float, ...]], None],
    ) -> str:
        process = self._processes.get(run.uuid) or self._find(run)
        if process is None:
            return ""
        at = time.time()
        read = self._read(process)
        if read is None:
            del self._processes[run.uuid]
            return ""
        state, cpu, memory, disk_read, disk_written = read
        received = sum(network[tap][1] for tap in run.taps if tap in network)  # what the tap sent, the guest got
        sent = sum(network[tap][0] for tap in run.taps if tap in network)
        counters = (cpu, disk_read, disk_written, received, sent)
        if process.counters is not None and at > process.at:
            seconds = at - process.at
            rates = [max(0.0, (new - old) / seconds) for new, old in zip(counters, process.counters, strict=True)]
            percent = min(100.0, rates[0] * 100 / max(1, run.vcpus))
            add(run.uuid, at, (percent, memory, *rates[1:]))
        process.at, process.counters = at, counters
        return state

    def _read(self, process: _Process) -> tuple[str, float, float, float, float] | None:
        directory = f"{self._proc}/{process.pid}"
        try:
            # The name in brackets may hold anything; what follows the last bracket does not.
            fields = _content(f"{directory}/stat").rpartition(b")")[2].split(None, 22)
            if int(fields[19]) != process.start:
                return None
            memory = int(fields[21]) * _PAGE
            _before, _name, io = _content(f"{directory}/io").partition(b"read_bytes:")
            disk_read, _name, rest = io.partition(b"write_bytes:")
            read, written = float(disk_read), float(rest.split(None, 1)[0])
        except (OSError, IndexError, ValueError):
            return None
        return fields[0].decode(), (int(fields[11]) + int(fields[12])) / _TICKS, memory, read, written

    def _find(self, run: Run) -> _Process | None:
        pid = self._finder.pid(run.uuid, run.name)
        if pid is None:
            return None
        try:
            stat = Path(f"{self._proc}/{pid}/stat").read_bytes()
        except OSError:
            return None
        process = _Process(pid, int(stat.rpartition(b")")[2].split()[19]))
        self._processes[run.uuid] = process
        return process
