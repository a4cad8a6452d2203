"""What the kernel of this host says of its block devices: what they are, what they are made of, and who uses them."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from core.errors import Refused
from core.i18n import N_

_SECTOR = 512
#: Before a page of what a SCSI unit says of itself there are four bytes that say which page (SPC-4, 7.8).
_PAGE_HEAD = 4
#: What of a device's number is major and minor.
Number = tuple[int, int]


class Opener(NamedTuple):
    """A program that has a device open."""

    device: Number
    process: int
    program: str
    writes: bool


class Kernel:
    """What the kernel of this host says of its block devices."""

    def __init__(self, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> None:
        self._sys = sys
        self._proc = proc
        self._guard = threading.Lock()
        self._claims: dict[Number, threading.Lock] = {}

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

    def identity(self, number: Number) -> str:
        """What tells a device from another one that has its name later; empty when it has nothing such.

        A volume of device mapper has a UUID. A partition is on its disk, from a sector on. A disk has a name that is
        its own in the world, or a serial number, or both.
        """
        mapped = self.word(number, "dm/uuid")
        if mapped:
            return mapped
        if self.word(number, "partition"):
            (disk,) = self.disk_of(number)
            return f"{self.identity(_parsed(disk))}#{self.word(number, 'start')}"
        names = ("device/wwid", "wwid", "serial", "device/serial", "device/cid")
        said = [" ".join(self.word(number, name).split()) for name in names]
        try:
            page = (self.about(number) / "device/vpd_pg80").read_bytes()[_PAGE_HEAD:]
        except OSError:
            page = b""
        said.append(page.decode("ascii", "replace").strip("\0 "))
        return "/".join(dict.fromkeys(word for word in said if word))

    def family(self, number: Number) -> frozenset[Number]:
        """A device, all that it is on, and all that is on it: who writes to one of them writes to it."""
        return frozenset({number, *self._beneath(number), *self._upon(number)})

    def _beneath(self, number: Number) -> set[Number]:
        found = {_parsed(disk) for disk in self.disk_of(number)} | self._numbers(number, "slaves/*/dev")
        return found.union(*(self._beneath(one) for one in found))

    def _upon(self, number: Number) -> set[Number]:
        parts = {
            _parsed((one.parent / "dev").read_text(encoding="ascii")) for one in self.about(number).glob("*/partition")
        }
        found = parts | self._numbers(number, "holders/*/dev")
        return found.union(*(self._upon(one) for one in found))

    def _numbers(self, number: Number, pattern: str) -> set[Number]:
        return {_parsed(one.read_text(encoding="ascii")) for one in self.about(number).glob(pattern)}

    def claimed(self, path: str) -> bool:
        """Whether the host itself uses a device or a part of it: mounted, swap, LVM, RAID, multipath.

        Raises:
            OSError: it cannot be opened at all.
        """
        number = self.number(path)
        # Two who look so at one disk at the same time would each take the other one for a use by the host.
        with self._claim(number) if number is not None else threading.Lock():
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return True
            return False

    def _claim(self, number: Number) -> threading.Lock:
        whole = min({number, *self._beneath(number)})
        with self._guard:
            return self._claims.setdefault(whole, threading.Lock())

    def openers(self, numbers: Collection[Number]) -> list[Opener]:
        """The programs that have one of these devices open, whatever it is called in their ``/dev``.

        Only what is open there is asked for its number: to ask a file of a file system that does not answer hangs.

        Raises:
            Refused: the open files of a program cannot be seen.
        """
        found: list[Opener] = []
        for process in self._processes():
            try:
                for file in (process / "fd").iterdir():
                    opener = self._opener(process, file, numbers)
                    if opener is not None:
                        found.append(opener)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended
            except PermissionError as error:
                raise Refused(
                    N_("hostd cannot see which devices process {process} has open."),
                    remedy=N_("hostd must run as root, with the capability CAP_SYS_PTRACE."),
                    process=process.name,
                ) from error
        return found

    def _processes(self) -> list[Path]:
        return [one for one in self._proc.iterdir() if one.name.isdigit()]

    def _opener(self, process: Path, file: Path, numbers: Collection[Number]) -> Opener | None:
        try:
            if not str(file.readlink()).startswith("/dev/"):
                return None
            number = self._number_of(file.stat())
            if number is None or number not in numbers:
                return None
            about = (process / "fdinfo" / file.name).read_text(encoding="ascii")
            program = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None  # it was closed
        flags = re.search(r"^flags:\s*([0-7]+)", about, re.MULTILINE)
        return Opener(number, int(process.name), program, flags is None or bool(int(flags[1], 8) & os.O_ACCMODE))

    @staticmethod
    def _number_of(status: os.stat_result) -> Number | None:
        return (os.major(status.st_rdev), os.minor(status.st_rdev)) if stat.S_ISBLK(status.st_mode) else None


def _parsed(text: str) -> Number:
    major, minor = text.strip().split(":")
    return int(major), int(minor)


KERNEL = Kernel()
