"""The host's own load, from /proc and one statvfs."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

#: Interfaces that are the host's inside: guests' taps, bridges, loopback.
_INNER = ("lo", "vnet", "tap", "virbr", "macvtap", "docker", "br-", "ovs")


@dataclass(frozen=True)
class HostLoad:
    """Load at one moment (Unix seconds): percents, and bytes per second in and out together."""

    at: float
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    network_rate: float


class HostSampler:
    """Takes samples; rates are those since the one before."""

    def __init__(self, disk: Path, *, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        """``disk`` is a directory of the file system that counts as the host's disk."""
        self._disk = disk
        self._proc = proc
        self._sys = sys
        self._cpu: tuple[int, int] | None = None
        self._network: tuple[float, int] | None = None

    def sample(self) -> HostLoad:
        """The load now; rates of the first sample are 0."""
        return HostLoad(time.time(), self._cpu_percent(), self._memory(), self._disk_percent(), self._network_rate())

    def _cpu_percent(self) -> float:
        with open(self._proc / "stat") as file:
            fields = [int(n) for n in file.readline().split()[1:9]]
        total, idle = sum(fields), fields[3] + fields[4]
        before, self._cpu = self._cpu, (total, idle)
        if before is None or total <= before[0]:
            return 0.0
        busy = 1.0 - (idle - before[1]) / (total - before[0])
        return round(max(0.0, min(1.0, busy)) * 100, 1)

    def _memory(self) -> float:
        values: dict[str, int] = {}
        with open(self._proc / "meminfo") as file:
            for line in file:
                key, _, rest = line.partition(":")
                if key in ("MemTotal", "MemAvailable"):
                    values[key] = int(rest.split()[0])
                    if len(values) == 2:
                        break
        total = values.get("MemTotal", 0)
        return round((1 - values.get("MemAvailable", 0) / total) * 100, 1) if total else 0.0

    def _disk_percent(self) -> float:
        try:
            space = os.statvfs(self._disk)
        except OSError:
            return 0.0
        used = space.f_blocks - space.f_bfree
        # As df(1) says it: what is kept for root counts as neither used nor free.
        usable = used + space.f_bavail
        return round(used / usable * 100, 1) if usable else 0.0

    def _network_rate(self) -> float:
        now, octets = time.monotonic(), 0
        counters = interface_counters(self._proc)
        physical = {n for n in counters if (self._sys / "class/net" / n / "device").exists()}
        for name, (received, sent) in counters.items():
            if name in physical or (not physical and not name.startswith(_INNER)):
                octets += received + sent
        before, self._network = self._network, (now, octets)
        if before is None or octets < before[1] or now <= before[0]:
            return 0.0
        return round((octets - before[1]) / (now - before[0]), 1)


def interface_counters(proc: Path = Path("/proc")) -> dict[str, tuple[int, int]]:
    """Bytes received and sent by each network interface since it exists."""
    result = {}
    with open(proc / "net/dev") as file:
        for line in file.readlines()[2:]:
            name, _, rest = line.partition(":")
            fields = rest.split()
            result[name.strip()] = (int(fields[0]), int(fields[8]))
    return result


@dataclass(frozen=True)
class HostFacts:
    """What of a host hardly ever changes. Memory is bytes."""

    cores: int
    memory: int
    cpu_model: str
    architecture: str
    kernel: str


def facts(proc: Path = Path("/proc")) -> HostFacts:
    """Look at the machine."""
    system = os.uname()
    model = ""
    with open(proc / "cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Processor", "cpu model"):
                model = value.strip()
                break
    return HostFacts(
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cpu_model=model[:255],
        architecture=system.machine,
        kernel=system.release[:64],
    )
