"""The sample guest boots, greets on screen and serial port, answers, and powers off when asked to."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ISO = Path(__file__).resolve().parents[2] / ".cache" / "sample-image" / "dosvm-sample.iso"

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


class Guest:
    """QEMU with the sample image, its serial port on pipes and its monitor on a socket."""

    def __init__(self, directory: Path) -> None:
        self.monitor = directory / "monitor"
        self.seen = b""
        self.process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-m", "96", "-nodefaults", "-vga", "std"),
                *("-display", "none", "-cdrom", str(ISO), "-serial", "stdio"),
                *("-monitor", f"unix:{self.monitor},server=on,wait=off"),
                *("-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def expect(self, text: bytes, seconds: float = 150.0) -> None:
        """Read the serial port until a text has come."""
        assert self.process.stdout is not None
        give_up = time.monotonic() + seconds
        while text not in self.seen:
            left = give_up - time.monotonic()
            assert left > 0, f"{text!r} did not come: {self.seen!r}"
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                assert data, f"QEMU ended: {self.seen!r}"
                self.seen += data

    def type(self, text: bytes) -> None:
        """Type on the serial port."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def close(self) -> None:
        """End QEMU."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def guest() -> Iterator[Guest]:
    """The sample guest, just switched on."""
    if not ISO.exists():
        pytest.fail("the sample image is not built; run `make setup`")
    with tempfile.TemporaryDirectory(prefix="dosvm-guest-") as directory:
        guest = Guest(Path(directory))
        yield guest
        guest.close()


def test_it_greets_answers_and_goes(guest: Guest) -> None:
    guest.expect(b"DOSVM sample guest")
    guest.expect(b"Network: eth0 has 10.0.2.15")
    guest.expect(b"tick ")
    guest.type(b"echo hello $((6 * 7))\n")
    guest.expect(b"hello 42")
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(str(guest.monitor))
        monitor.sendall(b"system_powerdown\n")
        assert guest.process.wait(30) == 0
