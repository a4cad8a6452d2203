"""Guests that write while their storage is away: what is said meanwhile, what goes on, and that nothing is lost."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.lab.serial import Serial
from tests.storage.cloud import BOOT, Cloud

#: Seconds within which storage that is silent is said to be, with the time limits of hostd and a slow machine's rest.
TOLD = 40.0
#: Seconds within which a pool is active again by itself: hostd looks every minute, and kernels log in anew.
BACK = 150.0


def is_told(cloud: Cloud, pool: str) -> None:
    """Storage that is silent is said to be, in time."""
    begin = time.monotonic()
    refused = cloud.dosvm("pool", "refresh", pool, "--yes", "--wait", check=False, seconds=4 * TOLD)
    took = time.monotonic() - begin
    assert refused.code != 0
    assert "does not answer" in refused.err
    assert took < TOLD, f"it was told after {took:.0f} s"
    row = cloud.pool(pool)
    assert row["state"] == "failed"
    assert "does not answer" in str(row["error"])


def holds_up_nothing(cloud: Cloud) -> None:
    """Other storage is used as ever."""
    begin = time.monotonic()
    cloud.volume("meanwhile", "local")
    cloud.dosvm("volume", "delete", "local/meanwhile", "--yes", "--wait", account="zhao")
    assert time.monotonic() - begin < TOLD, "other storage was held up"


def does_not_start(cloud: Cloud, name: str, volume: str) -> None:
    """A VM with a volume that cannot be reached is not started, within the time, and says why; then it is deleted."""
    cloud.machine(name, disks=[{"volume": volume}])
    begin = time.monotonic()
    refused = cloud.dosvm("vm", "start", name, "--wait", account="zhao", check=False, seconds=4 * TOLD)
    assert refused.code != 0
    assert "does not answer" in refused.err
    assert time.monotonic() - begin < TOLD
    assert "does not answer" in str(cloud.vm(name)["start_error"])
    cloud.done("vm.stop", vm=name, force=True)
    cloud.zhao("vm.delete", vm=name)
    cloud.zhao("instance.delete", instance=name)


class Writer:
    """A guest's program that writes numbers, each to a sector of its own, and says each that is on the disk."""

    def __init__(self, console: Serial, disk: str) -> None:
        """Begin with a disk of the guest (``vda``), beside what else runs there, and wait for the first."""
        self._console = console
        self._said = f"{disk}-kept-"
        self._last = 0
        # In halves: the echo of the typing is not taken for what was written.
        console.send(
            f"\n(i=0; while :; do i=$((i+1)); echo n$i >/tmp/{disk}; dd if=/tmp/{disk} of=/dev/{disk} bs=512 seek=$i"
            f" conv=sync,fsync 2>/dev/null && echo {disk}-ke''pt-$i; sleep 1; done) &\n"
        )
        self.goes_on()

    def goes_on(self, seconds: float = BOOT) -> None:
        """See that what is written from now on is kept."""
        # One more than was said may have been on its way.
        self._see()
        wanted = self._last + 2
        give_up = time.monotonic() + seconds
        while self._last < wanted:
            assert time.monotonic() < give_up, f"{self._said}: {self._last}, came: {self._console.text[-300:]!r}"
            time.sleep(0.2)
            self._see()

    def _see(self) -> None:
        # All programs talk to one console: what comes of the others stays for them.
        said = re.findall(rf"{self._said}(\d+)\n", self._console.text)
        self._last = max([self._last, *map(int, said)])

    def check(self, disk: Path) -> None:
        """See that every number that was said is where it belongs, by what is behind the disk."""
        self._see()
        with disk.open("rb") as file:
            for number in range(1, self._last + 1):
                file.seek(512 * number)
                assert file.read(512).rstrip(b"\0") == f"n{number}\n".encode(), f"{number} of {self._last} on {disk}"
