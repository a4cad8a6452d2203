"""QEMU's processes, from /proc: which one is a VM's, when it began, whether it still lives."""

from __future__ import annotations

import os
import time
from pathlib import Path

PROC = Path("/proc")
#: Where libvirt keeps the process ids and the states of what it runs.
RUN_DIRECTORY = Path("/run/libvirt/qemu")
_TICKS = os.sysconf("SC_CLK_TCK")


def boot_clock_ms() -> int:
    """Milliseconds since the kernel's boot, sleep included: the clock that processes' starts are given in."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def kernel_boot(proc: Path = PROC) -> str:
    """The kernel's own identity of this boot."""
    return (proc / "sys/kernel/random/boot_id").read_text().strip()[:36]


def began_ms(pid: int, proc: Path = PROC) -> int | None:
    """When a process began, by the boot clock; None when it is gone or only waits to be reaped."""
    try:
        # The name in brackets may hold anything; what follows the last bracket does not.
        fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19]) * 1000 // _TICKS
    except (OSError, IndexError, ValueError):
        return None


class QemuFinder:
    """Finds the QEMU process of a domain: by libvirt's file, or by a look at all processes where it keeps none there.

    That look is taken at most every ten seconds.
    """

    def __init__(self, *, proc: Path = PROC, run_directory: Path = RUN_DIRECTORY) -> None:
        """Both directories may be others in tests."""
        self.proc = proc
        self._run_directory = run_directory
        self._scanned = 0.0

    def pid(self, uuid: str, name: str) -> int | None:
        """The process of the domain with this UUID and name; None when it is not found."""
        try:
            pid = int((self._run_directory / f"{name}.pid").read_text())
        except (OSError, ValueError):
            pid = self._scan(uuid)
        if not pid:
            return None
        try:
            command = (self.proc / str(pid) / "cmdline").read_bytes()
        except OSError:
            return None
        return pid if uuid.encode() in command else None

    def _scan(self, uuid: str) -> int:
        if time.monotonic() - self._scanned < 10.0:
            return 0
        self._scanned = time.monotonic()
        wanted = uuid.encode()
        for entry in os.scandir(self.proc):
            if entry.name.isdigit():
                try:
                    command = Path(f"{entry.path}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if wanted in command and b"qemu" in command[0]:
                    return int(entry.name)
        return 0
