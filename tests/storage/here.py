"""The machine that the storage tests run in: it is theirs alone, so its libvirtd and its files need no walls."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import libvirt

from tests.engine.libvirt import LIBVIRTD, QEMU

#: Says that this is it; set by ``packaging/storage-vm/inside.sh``.
MARK = "DOSVM_STORAGE_VM"


class Here:
    """This machine's libvirtd, with the face of :class:`tests.engine.libvirt.PrivateLibvirt`."""

    url = "qemu:///system"

    def __init__(self, log: Path) -> None:
        """Start libvirtd; what it and other servers say goes to ``log``."""
        assert os.environ.get(MARK), "run `make test-storage`: these tests change the machine they run in"
        Path("/etc/libvirt/libvirtd.conf").write_text(LIBVIRTD)
        Path("/etc/libvirt/qemu.conf").write_text(QEMU)
        for name in ("qemu", "images", "dnsmasq", "network", "boot"):
            Path("/var/lib/libvirt", name).mkdir(parents=True, exist_ok=True)
        self._log = log.open("ab")
        self._servers: list[subprocess.Popen[bytes]] = []
        self.run("virtlogd", "-d")
        self.serve("tini", "-s", "--", "libvirtd")
        give_up = time.monotonic() + 60
        while True:
            try:
                libvirt.open(self.url).close()
                return
            except libvirt.libvirtError:
                assert time.monotonic() < give_up, log.read_text(errors="replace")
                time.sleep(0.2)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs something here: as a child, like that of a namespace."""
        return ["tini", "-s", "--", *arguments]

    def run(self, *words: str, seconds: float = 60.0) -> str:
        """Run a program to its end; what it printed."""
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
        )
        text = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{' '.join(words)} -> {done.returncode}\n{text}"
        return text

    def serve(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a server that stays in the foreground."""
        server = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )
        self._servers.append(server)
        return server

    def wait_for_port(self, port: int, seconds: float = 60.0) -> None:
        """Wait until somebody takes up at a TCP port."""
        give_up = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return
            except OSError:
                assert time.monotonic() < give_up, f"nobody at port {port}"
                time.sleep(0.2)

    def close(self) -> None:
        """End what was started by :meth:`serve`, the last first."""
        for server in reversed(self._servers):
            server.terminate()
        for server in self._servers:
            try:
                server.wait(2)
            except subprocess.TimeoutExpired:
                server.kill()
        self._log.close()
