"""Block devices that are volumes: units of an iSCSI target, partitions of a disk, logical volumes (manual 9.3.2).

Others make them, so nothing that is stored about them is believed: right before a guest gets one, its path must be one
that its pool can have, the kernel must say of the device behind it that it is what the pool is made of, and nobody else
may be using it. Two programs that write to one device destroy it, and QEMU's image locks do not help: libvirt gives
each QEMU a node of its own for the device, and locks belong to nodes.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import DosvmError, Refused
from core.i18n import N_
from core.rules.pools import DISK, ISCSI, LOGICAL
from core.specs.pool import PoolOrder
from hostd.devices import KERNEL, Kernel, Number

#: What is smaller is no disk: an extended partition shows its first sectors only (linux/block/partitions/msdos.c).
_LEAST = 4096
#: Where a physical volume says that it is one: in one of its first four sectors (lvm2, lib/label/label.c).
_LABEL, _LABEL_KIND, _SECTOR, _LABEL_SECTORS = b"LABELONE", b"LVM2 001", 512, 4


def belongs(pool: PoolOrder, path: str) -> bool:
    """Whether a pool can have a unit of that path; looks at the words only."""
    if path != os.path.normpath(path):
        return False
    if pool.kind == LOGICAL:
        return bool(re.fullmatch(re.escape(pool.path) + r"/(?!\.{1,2}$)[A-Za-z0-9+_.][A-Za-z0-9+_.-]*", path))
    if pool.kind == DISK:
        # A kernel's name that ends in a digit has a "p" before the number of the partition.
        between = "(p|-part)" if pool.source[-1:].isdigit() else "(p|-part)?"
        return bool(re.fullmatch(re.escape(pool.source) + between + r"[1-9][0-9]{0,3}", path))
    if pool.kind == ISCSI:
        found = re.fullmatch(
            rf"{re.escape(pool.path)}/ip-(.+):([0-9]+)-iscsi-{re.escape(pool.source)}-lun-([0-9]+|0x[0-9a-f]+)", path
        )
        return found is not None and int(found[2]) == pool.port and _same_server(pool.server, found[1])
    return False


def explained(pool: PoolOrder, error: DosvmError) -> DosvmError:
    """Libvirt's error, in plain words where a volume group is not there."""
    group = pool.path.rsplit("/", 1)[-1]
    said = str(error.parameters.get("reason", ""))
    # vgchange's words, and those of libvirt when it found none by vgs.
    absent = (f'Volume group "{group}" not found', f"cannot find logical volume group name '{group}'")
    if pool.kind != LOGICAL or not any(words in said for words in absent):
        return error
    return Refused(
        N_("There is no volume group {group} on the host of storage pool {name}."),
        remedy=N_("Make it there with `vgcreate {group} DEVICE`, then add the storage pool again."),
        field="path",
        group=group,
        name=pool.name,
    )


def _same_server(server: str, address: str) -> bool:
    """Whether an address may be a server's; of one that is called by its name nobody knows it without asking."""
    try:
        return ipaddress.ip_address(server) == ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return True


def named(pool: PoolOrder, name: str, path: str, kernel: Kernel = KERNEL) -> tuple[str, str]:
    """A unit's name and path by which it is found again after a reboot, given libvirt's.

    The kernel numbers disks as they come. A disk that is called by what it is (``/dev/disk/by-id/...``) has partitions
    that are called so too.
    """
    if pool.kind == DISK and pool.source.startswith("/dev/disk/"):
        number = kernel.number(path)
        part = kernel.word(number, "partition") if number is not None else ""
        if part:
            return f"part{part}", f"{pool.source}-part{part}"
    return name, path


def key_of(path: str, kernel: Kernel = KERNEL) -> str:
    """What tells what is at a path from what may be there later; empty when nothing does."""
    number = kernel.number(path)
    return kernel.identity(number) if number is not None else ""


def check_disk(pool: PoolOrder, kernel: Kernel = KERNEL) -> None:
    """Refuse a disk that is the host's own, before it becomes a pool.

    Raises:
        Refused: it is none, a part of one, or the host uses it.
    """
    number = kernel.number(pool.source)
    if number is None:
        raise Refused(N_("There is no disk {source} on this host."), field="source", source=pool.source)
    if kernel.disk_of(number):
        raise Refused(
            N_("{source} is a partition."),
            remedy=N_("Name the whole disk: its partitions become the volumes."),
            field="source",
            source=pool.source,
        )
    if kernel.claimed(pool.source) or _has_label(pool.source, kernel.partitions(number)):
        raise Refused(
            N_("The host itself uses {source} or a partition of it: mounted, as swap, or for LVM or RAID."),
            remedy=N_("Choose a disk that nothing else is on."),
            field="source",
            source=pool.source,
        )


def _has_label(disk: str, partitions: list[str]) -> bool:
    """Whether a disk or one of its partitions is a physical volume of LVM, in use or not."""
    for path in (disk, *(f"/dev/{name}" for name in partitions)):
        try:
            with open(path, "rb") as file:
                head = file.read(_SECTOR * _LABEL_SECTORS)
        except OSError:
            continue
        for start in range(0, len(head), _SECTOR):
            sector = head[start : start + _SECTOR]
            if sector.startswith(_LABEL) and sector[24:32] == _LABEL_KIND:
                return True
    return False


def is_unit(pool: PoolOrder, path: str, kernel: Kernel = KERNEL) -> bool:
    """Whether what is at a path is a unit of the pool that can be a disk."""
    number = kernel.number(path)
    return (
        belongs(pool, path)
        and number is not None
        and kernel.size(number) > _LEAST
        and _is_of(pool, path, number, kernel)
    )


def _is_of(pool: PoolOrder, path: str, number: Number, kernel: Kernel) -> bool:
    if pool.kind == DISK:
        disk = kernel.number(pool.source)
        return disk is not None and f"{disk[0]}:{disk[1]}" in kernel.disk_of(number)
    if pool.kind == ISCSI:
        return not kernel.disk_of(number) and kernel.target_of(number) == pool.source
    # Device mapper writes the group and the volume with a dash between, and dashes of their own twice.
    group, volume = (part.replace("-", "--") for part in path.rsplit("/", 2)[1:])
    return kernel.word(number, "dm/uuid").startswith("LVM-") and kernel.word(number, "dm/name") == f"{group}-{volume}"


class Wanted(NamedTuple):
    """A unit that a guest is to be given.

    Attributes:
        pool: which it is of.
        name: as people know it, for errors.
        path: where it is.
        number: of the device that was there.
        writes: whether the guest will write to it.
        key: what :meth:`Kernel.identity` said of it when it was found; empty when nothing was to be said.
    """

    pool: PoolOrder
    name: str
    path: str
    number: Number
    writes: bool
    key: str = ""


def check(unit: Wanted, kernel: Kernel = KERNEL) -> None:
    """Look whether a device still is the unit that was found, and free of the host itself.

    Raises:
        OSError: it cannot be opened.
        Refused: it is another device, or the host uses it.
    """
    ours = kernel.number(unit.path) == unit.number and is_unit(unit.pool, unit.path, kernel)
    if not ours or (unit.key and kernel.identity(unit.number) != unit.key):
        raise Refused(
            N_("{path} of volume {name} does not belong to storage pool {pool}: it is another device."),
            remedy=N_("Refresh the storage pool."),
            field="vm",
            path=unit.path,
            name=unit.name,
            pool=unit.pool.name,
        )
    if kernel.claimed(unit.path):
        raise Refused(
            N_("The host itself uses volume {name} ({path}): it is mounted, swap, or part of LVM or RAID there."),
            remedy=N_("Free it on the host; keep LVM from taking up what guests write (devices file, global_filter)."),
            field="vm",
            name=unit.name,
            path=unit.path,
        )


def refuse_open(units: Sequence[Wanted], kernel: Kernel = KERNEL) -> None:
    """Refuse units that a program of this host has open, or the disk beneath one, or a part of one.

    Raises:
        Refused: somebody uses one, or that cannot be seen.
    """
    related = {unit: kernel.family(unit.number) for unit in units}
    found = kernel.openers(frozenset().union(*related.values())) if related else []
    for unit, numbers in related.items():
        for opener in found:
            if opener.device not in numbers:
                continue
            if opener.writes or (unit.writes and opener.program.startswith("qemu")):
                raise Refused(
                    N_("Volume {name} is used already on this host: by {program} (process {process})."),
                    remedy=N_("End what uses it first: two that write to one disk destroy it."),
                    field="vm",
                    name=unit.name,
                    program=opener.program,
                    process=opener.process,
                )
