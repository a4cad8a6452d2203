"""Storage pools in libvirt. Like domains they are transient: the database is where they are defined."""

from __future__ import annotations

from dataclasses import dataclass

import libvirt

from hostd import intervals
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.errors import Missing, MissingPool


@dataclass(frozen=True)
class PoolSpace:
    """What the storage of a pool has, in bytes."""

    capacity: int
    allocation: int
    available: int


class Pools:
    """The storage pools of this host's libvirtd."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ensure(self, uuid: str, xml: str, *, build: bool = False) -> None:
        """Make the pool active, whatever state it is in; ``build`` makes its directory when that is missing."""

        def work(connection: libvirt.virConnect) -> None:
            flags = libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD if build else 0
            try:
                pool = connection.storagePoolLookupByUUIDString(uuid)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                    raise
                connection.storagePoolCreateXML(xml, flags)
                return
            if not pool.isActive():
                pool.create(flags)

        self._connection.call(work, limit=intervals.LIBVIRT_LONG, key=uuid)

    def refresh(self, uuid: str) -> None:
        """Let libvirt look what is in an active pool now."""
        self._connection.call(
            lambda connection: connection.storagePoolLookupByUUIDString(uuid).refresh(),
            limit=intervals.LIBVIRT_LONG,
            key=uuid,
        )

    def space(self, uuid: str) -> PoolSpace:
        """What libvirt saw of the storage last."""

        def work(connection: libvirt.virConnect) -> PoolSpace:
            _state, capacity, allocation, available = connection.storagePoolLookupByUUIDString(uuid).info()
            return PoolSpace(capacity, allocation, available)

        return self._connection.call(work, limit=intervals.LIBVIRT_NORMAL, key=uuid)

    def is_active(self, uuid: str) -> bool:
        """Whether the pool is active. Asked of one: listing all waits for any that hangs."""
        try:
            return self._connection.call(
                lambda connection: bool(connection.storagePoolLookupByUUIDString(uuid).isActive()),
                limit=intervals.LIBVIRT_NORMAL,
                key=uuid,
            )
        except MissingPool:
            return False

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
