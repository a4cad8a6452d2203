"""Which libvirt and which QEMU this host has."""

from __future__ import annotations

import threading
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
    """Keeps the versions; asks anew each time libvirtd comes back, for it may have been upgraded."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.now = Versions()
        connection.on_change(self._changed)

    def _changed(self, up: bool) -> None:
        if up:
            threading.Thread(target=self._ask, name="versions", daemon=True).start()

    def _ask(self) -> None:
        try:
            self.now = self._connection.call(_look, limit=intervals.LIBVIRT_FAST)
        except DosvmError:
            return


def _look(connection: libvirt.virConnect) -> Versions:
    return Versions(_text(connection.getLibVersion()), _text(connection.getVersion()))


def _text(number: int) -> str:
    """Read libvirt's way to pack a version: major * 1,000,000 + minor * 1,000 + release."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
