"""Storage pools in libvirt. Like domains they are transient: the database is where they are defined."""

from __future__ import annotations

from dataclasses import dataclass

import libvirt

from hostd import intervals
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.errors import Missing


@dataclass(frozen=True)
class PoolSpace:
    """What the file system under a pool has, in bytes."""

    capacity: int
    allocation: int
    available: int


class Pools:
    """The storage pools of this host's libvirtd."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ensure(self, uuid: str, xml: str) -> PoolSpace:
        """Make the pool active, whatever state it is in, and look at its directory anew."""

        def work(connection: libvirt.virConnect) -> PoolSpace:
            try:
                pool = connection.storagePoolLookupByUUIDString(uuid)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                    raise
                pool = connection.storagePoolCreateXML(xml, libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
            if not pool.isActive():
                pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
            pool.refresh()
            _state, capacity, allocation, available = pool.info()
            return PoolSpace(capacity, allocation, available)

        return self._connection.call(work, limit=intervals.LIBVIRT_LONG, key=uuid)

    def active(self) -> set[str]:
        """The UUIDs of all active pools."""
        flags = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
        return self._connection.call(
            lambda connection: {pool.UUIDString() for pool in connection.listAllStoragePools(flags)},
            limit=intervals.LIBVIRT_NORMAL,
        )

    def release(self, uuid: str) -> None:
        """Let libvirt forget the pool; its directory and files stay."""

        def work(connection: libvirt.virConnect) -> None:
            pool = connection.storagePoolLookupByUUIDString(uuid)
            persistent = pool.isPersistent()
            if pool.isActive():
                pool.destroy()
            if persistent:
                pool.undefine()

        try:
            self._connection.call(work, limit=intervals.LIBVIRT_NORMAL, key=uuid)
        except Missing:
            return
