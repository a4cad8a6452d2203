"""Volumes in libvirt's storage pools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from xml.etree import ElementTree

import libvirt

from hostd import intervals
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.errors import Missing, MissingPool

T = TypeVar("T")


@dataclass(frozen=True)
class VolumeInfo:
    """A volume that exists. Sizes are bytes."""

    path: str
    format: str
    capacity: int
    allocation: int
    encrypted: bool = False


class Volumes:
    """The volumes of this host's pools, each named by its pool's UUID and its own name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _with(self, pool: str, name: str, work: Callable[[libvirt.virStorageVol], T], limit: float) -> T:
        def look(connection: libvirt.virConnect) -> T:
            place = connection.storagePoolLookupByUUIDString(pool)
            try:
                return work(place.storageVolLookupByName(name))
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                    raise
            # libvirt knows what it saw last; the file may have come since.
            place.refresh()
            return work(place.storageVolLookupByName(name))

        return self._connection.call(look, limit=limit, key=f"{pool}/{name}")

    def find(self, pool: str, name: str) -> VolumeInfo | None:
        """A volume as it is, or None when there is no file of that name."""
        try:
            return self._with(pool, name, _info, intervals.LIBVIRT_NORMAL)
        except MissingPool:
            raise
        except Missing:
            return None

    def create(self, pool: str, name: str, xml: str) -> VolumeInfo:
        """Make a volume from its description."""

        def work(connection: libvirt.virConnect) -> VolumeInfo:
            return _info(connection.storagePoolLookupByUUIDString(pool).createXML(xml, 0))

        return self._connection.call(work, limit=intervals.LIBVIRT_LONG, key=f"{pool}/{name}")

    def resize(self, pool: str, name: str, capacity: int) -> VolumeInfo:
        """Grow a volume to ``capacity`` bytes."""

        def work(volume: libvirt.virStorageVol) -> VolumeInfo:
            volume.resize(capacity)
            return _info(volume)

        return self._with(pool, name, work, intervals.LIBVIRT_LONG)

    def delete(self, pool: str, name: str) -> None:
        """Delete a volume; one that is not there is deleted already."""
        try:
            self._with(pool, name, lambda volume: volume.delete(0), intervals.LIBVIRT_LONG)
        except MissingPool:
            raise
        except Missing:
            return


def _info(volume: libvirt.virStorageVol) -> VolumeInfo:
    root = ElementTree.fromstring(volume.XMLDesc())
    format_element = root.find("./target/format")
    _kind, capacity, allocation = volume.info()
    return VolumeInfo(
        path=volume.path(),
        format=format_element.get("type", "raw") if format_element is not None else "raw",
        capacity=capacity,
        allocation=allocation,
        encrypted=root.find("./target/encryption") is not None,
    )
