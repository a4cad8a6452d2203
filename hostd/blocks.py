"""Block devices that are volumes: units of an iSCSI target, partitions of a disk, logical volumes (manual 9.3.2).

Others make them, so nothing that is stored about them is believed: right before a guest gets one, its path must be one
that its pool can have, the kernel must say of the device behind it that it is what the pool is made of, and nobody else
may be using it. Two programs that write to one device destroy it, and QEMU's image locks do not help: libvirt gives
each QEMU a node of its own for the device, and locks belong to nodes.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from core.errors import Refused
from core.i18n import N_
from core.rules.pools import DISK, ISCSI, LOGICAL
from core.specs.pool import PoolOrder

#: What is smaller is no disk: an extended partition shows its first sectors only (linux/block/partitions/msdos.c).
_LEAST = 4096
#: Where a physical volume says that it is one: in one of its first four sectors (lvm2, lib/label/label.c).
_LABEL, _LABEL_KIND, _SECTOR, _LABEL_SECTORS = b"LABELONE", b"LVM2 001", 512, 4
#: What of a device's number is major and minor.
Number = tuple[int, int]


class Opener(NamedTuple):
    """A program that has a device open."""

    process: int
    program: str
    writes: bool


class Kernel:
    """What the kernel of this host says of its block devices."""

    def __init__(self, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> None:
        self._sys = sys
        self._proc = proc

    def number(self, path: str) -> Number | None:
        """The number of the block device behind a path; None when there is none."""
        try:
            return self._number_of(os.stat(path))
        except OSError:
            return None

    def about(self, number: Number) -> Path:
        """The directory of a device, where the kernel's drivers have it."""
        return (self._sys / "dev/block" / f"{number[0]}:{number[1]}").resolve()

    def word(self, number: Number, name: str) -> str:
        """One attribute of a device; empty when it has none such."""
        try:
            return (self.about(number) / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def size(self, number: Number) -> int:
        """Its size in bytes."""
        return int(self.word(number, "size") or 0) * _SECTOR

    def disk_of(self, number: Number) -> set[str]:
        """The numbers, as ``8:16``, of the disks that a partition is on; none when it is no partition."""
        about = self.about(number)
        if (about / "partition").exists():
            return {(about.parent / "dev").read_text(encoding="ascii").strip()}
        if self.word(number, "dm/uuid").startswith("part"):
            # A partition of a disk with several ways to it.
            return {(one / "dev").read_text(encoding="ascii").strip() for one in (about / "slaves").iterdir()}
        return set()

    def partitions(self, number: Number) -> list[str]:
        """The kernel's names of a disk's partitions."""
        return sorted(one.parent.name for one in self.about(number).glob("*/partition"))

    def target_of(self, number: Number) -> str:
        """The name of the iSCSI target that a disk is a unit of; empty when it is none."""
        way = (self.about(number) / "device").resolve()
        session = next((part for part in way.parts if re.fullmatch(r"session\d+", part)), "")
        try:
            text = (self._sys / "class/iscsi_session" / session / "targetname").read_text(encoding="utf-8")
        except OSError:
            return ""
        return text.strip() if session else ""

    def claimed(self, path: str) -> bool:
        """Whether the host itself uses a device or a part of it: mounted, swap, LVM, RAID, multipath.

        Raises:
            OSError: it cannot be opened at all.
        """
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return True
        return False

    def openers(self, number: Number) -> Iterator[Opener]:
        """The programs that have a device open, under whatever name."""
        for process in self._proc.iterdir():
            if not process.name.isdigit():
                continue
            try:
                open_files = list((process / "fd").iterdir())
            except OSError:
                continue  # it ended
            for file in open_files:
                try:
                    if self._number_of(file.stat()) != number:
                        continue
                    about = (process / "fdinfo" / file.name).read_text(encoding="ascii")
                    program = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                except OSError:
                    continue  # it was closed
                flags = re.search(r"^flags:\s*([0-7]+)", about, re.MULTILINE)
                writes = flags is None or bool(int(flags[1], 8) & os.O_ACCMODE)
                yield Opener(int(process.name), program, writes)

    @staticmethod
    def _number_of(status: os.stat_result) -> Number | None:
        return (os.major(status.st_rdev), os.minor(status.st_rdev)) if stat.S_ISBLK(status.st_mode) else None


KERNEL = Kernel()


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


def look(pool: PoolOrder, name: str, path: str, number: Number, *, writes: bool, kernel: Kernel = KERNEL) -> None:
    """Look whether a guest may be given a unit now.

    Args:
        pool: which it is of.
        name: as people know it, for errors.
        path: where it is.
        number: of the device that is there.
        writes: whether the guest will write to it.
        kernel: who is asked.

    Raises:
        OSError: it cannot be opened.
        Refused: it is not the pool's, or somebody uses it.
    """
    if kernel.number(path) != number or not is_unit(pool, path, kernel):
        raise Refused(
            N_("{path} of volume {name} does not belong to storage pool {pool}: it is another device."),
            remedy=N_("Refresh the storage pool."),
            field="vm",
            path=path,
            name=name,
            pool=pool.name,
        )
    if kernel.claimed(path):
        raise Refused(
            N_("The host itself uses volume {name} ({path}): it is mounted, swap, or part of LVM or RAID there."),
            remedy=N_("Free it on the host; keep LVM from taking up what guests write (devices file, global_filter)."),
            field="vm",
            name=name,
            path=path,
        )
    for opener in kernel.openers(number):
        if opener.writes or (writes and opener.program.startswith("qemu")):
            raise Refused(
                N_("Volume {name} is used already on this host: by {program} (process {process})."),
                remedy=N_("End what uses it first: two that write to one disk destroy it."),
                field="vm",
                name=name,
                program=opener.program,
                process=opener.process,
            )
