"""What VMs use, from two files of each QEMU process; no request to libvirt or QEMU per sample."""

from __future__ import annotations

import math
import os
import resource
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


#: Of the files that hostd may have open, one VM for so many keeps its two; the others' are opened for each sample.
_PER_VM = 4


class _Files:
    """The two files of a process: kept open, because to find one anew costs as much as to read it."""

    def __init__(self, directory: str, *, kept: bool) -> None:
        self._paths = (f"{directory}/stat", f"{directory}/io")
        self._files = [_open(path) for path in self._paths] if kept else []

    def stat(self) -> bytes:
        return self._content(0)

    def io(self) -> bytes:
        return self._content(1)

    def _content(self, which: int) -> bytes:
        # The kernel writes it anew for each reader that begins at its begin; of a process that is gone it has none.
        if self._files:
            return os.pread(self._files[which], 4096, 0)
        file = _open(self._paths[which])
        try:
            return os.read(file, 4096)
        finally:
            os.close(file)

    def close(self) -> None:
        while self._files:
            os.close(self._files.pop())


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


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
    files: _Files
    at: float = 0.0
    counters: tuple[float, ...] | None = None


class VmSampler:
    """Takes samples of all VMs in one sweep; rates are those since the sweep before."""

    def __init__(self, *, proc: Path = PROC, run_directory: Path = RUN_DIRECTORY) -> None:
        self._proc = proc
        self._finder = QemuFinder(proc=proc, run_directory=run_directory)
        self._processes: dict[str, _Process] = {}
        self._most_kept = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _PER_VM

    def close(self) -> None:
        """Let go of all processes."""
        for uuid in list(self._processes):
            self._forget(uuid)

    def _forget(self, uuid: str) -> None:
        self._processes.pop(uuid).files.close()

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
        for uuid in self._processes.keys() - known:
            self._forget(uuid)
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
            self._forget(run.uuid)
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
        try:
            fields = _stat(process.files)
            if int(fields[19]) != process.start:
                return None
            memory = int(fields[21]) * _PAGE
            _before, _name, io = process.files.io().partition(b"read_bytes:")
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
            files = _Files(f"{self._proc}/{pid}", kept=len(self._processes) < self._most_kept)
        except OSError:
            return None
        try:
            process = _Process(pid, int(_stat(files)[19]), files)
        except (OSError, IndexError, ValueError):
            files.close()
            return None
        self._processes[run.uuid] = process
        return process


def _stat(files: _Files) -> list[bytes]:
    # The name in brackets may hold anything; what follows the last bracket does not.
    return files.stat().rpartition(b")")[2].split(None, 22)
