"""The units of storage systems (LUNs, partitions, logical volumes), as libvirt finds them in a pool."""

from __future__ import annotations

from typing import NamedTuple

import libvirt

from hostd import intervals
from hostd.hypervisor.connection import Connection


class Unit(NamedTuple):
    """One of them; sizes are bytes."""

    name: str
    path: str
    capacity: int
    allocation: int


class Units:
    """Looks for them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def found(self, pool: str) -> list[Unit]:
        """All that are in an active pool now.

        Raises:
            DosvmError: the storage does not answer, or libvirt does not have the pool.
        """

        def look(connection: libvirt.virConnect) -> list[Unit]:
            place = connection.storagePoolLookupByUUIDString(pool)
            place.refresh()
            units = []
            for volume in place.listAllVolumes():
                _kind, capacity, allocation = volume.info()
                units.append(Unit(volume.name(), volume.path(), capacity, allocation))
            return units

        return self._connection.call(look, limit=intervals.LIBVIRT_LONG, key=pool)
