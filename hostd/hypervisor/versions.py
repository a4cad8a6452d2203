"""Which libvirt and which QEMU this host has."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import libvirt

from core.errors import DosvmError
from hostd import intervals
from hostd.hypervisor.connection import Connection


@dataclass(frozen=True)
class Versions:
    """Versions as people write them; empty when unknown."""

    libvirt: str = ""
    qemu: str = ""


class VersionWatch:
    """Keeps the versions; asks anew each time libvirtd comes back, for it may have been upgraded.

    A libvirtd that has just been started asks every QEMU what it can before it says QEMU's version: half a minute on
    a slow machine. So who was not told is asked again.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.now = Versions()
        connection.on_change(self._changed)

    def _changed(self, up: bool) -> None:
        if up:
            threading.Thread(target=self._ask, name="versions", daemon=True).start()

    def _ask(self) -> None:
        while self._connection.up:
            try:
                self.now = self._connection.call(_look, limit=intervals.LIBVIRT_LONG)
                return
            except DosvmError:
                time.sleep(intervals.TRY_AGAIN)


def _look(connection: libvirt.virConnect) -> Versions:
    return Versions(_text(connection.getLibVersion()), _text(connection.getVersion()))


def _text(number: int) -> str:
    """Read libvirt's way to pack a version: major * 1,000,000 + minor * 1,000 + release."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
