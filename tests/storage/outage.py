"""A server of storage is gone for a while: what is said, what goes on meanwhile, and what comes back by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine.hostd import until
from tests.lab.serial import Serial
from tests.storage.cloud import BOOT, Cloud
from tests.storage.here import Here
from tests.storage.servers import silent

#: Seconds within which storage that is silent is said to be, with the time limits of hostd and a slow machine's rest.
TOLD = 40.0
#: Seconds within which a pool is active again by itself: hostd looks every minute, and kernels log in anew.
BACK = 150.0


@contextmanager
def away(cloud: Cloud, here: Here, pool: str, port: int) -> Iterator[None]:
    """Silence a server, see that it is told and holds up nothing else; the block runs, then the pool comes back."""
    with silent(here, port):
        begin = time.monotonic()
        refused = cloud.dosvm("pool", "refresh", pool, "--yes", "--wait", check=False, seconds=4 * TOLD)
        took = time.monotonic() - begin
        assert refused.code != 0
        assert "does not answer" in refused.err
        assert took < TOLD, f"it was told after {took:.0f} s"
        row = cloud.pool(pool)
        assert row["state"] == "failed"
        assert "does not answer" in str(row["error"])
        begin = time.monotonic()
        cloud.volume("meanwhile", "local")
        cloud.dosvm("volume", "delete", "local/meanwhile", "--yes", "--wait", account="zhao")
        assert time.monotonic() - begin < TOLD, "other storage was held up"
        yield
    # Nobody does anything about it.
    until(lambda: cloud.pool(pool)["state"] == "active", BACK, f"{pool} is active again: {cloud.log_tail()}")
    assert cloud.pool(pool)["error"] == []


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
    """A guest that writes on and on, each number to a sector of its own disk, and says each that is on the disk."""

    #: Halves: the echo of the typing is not taken for what was written.
    _SCRIPT = (
        "\ni=0; while :; do i=$((i+1)); echo n$i >/tmp/x; "
        "dd if=/tmp/x of=/dev/vda bs=512 seek=$i conv=sync,fsync 2>/dev/null && echo ke''pt-$i; sleep 0.5; done\n"
    )

    def __init__(self, console: Serial) -> None:
        """Begin, and wait for the first."""
        self._console = console
        console.send(self._SCRIPT)
        self.last = 0
        self.goes_on()

    def goes_on(self, seconds: float = BOOT) -> None:
        """See that what the guest writes from now on is kept."""
        # What had been said before is used up, and one more may have been on its way.
        for number in re.findall(r"kept-(\d+)\n", self._console.text):
            self.last = max(self.last, int(number))
        self.last += 2
        self._console.expect(rf"kept-{self.last}\n", seconds)

    def check(self, disk: Path) -> None:
        """End, and see that every number that was said is where it belongs."""
        self._console.send("\x03\n")
        with disk.open("rb") as file:
            for number in range(1, self.last + 1):
                file.seek(512 * number)
                assert file.read(512).rstrip(b"\0") == f"n{number}\n".encode(), f"{number} of {self.last}"
