"""Block devices as volumes: a guest gets what its pool is made of, and nothing that anybody else uses."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.errors import Refused
from core.specs.pool import PoolOrder
from hostd import blocks
from hostd.devices import Kernel, Number, Opener
from tests.fakes.loops import loop_device
from tests.fakes.processes import seen

UUID = "00000000-0000-4000-8000-000000000001"
SAN = PoolOrder(1, UUID, "san", "iscsi", "/dev/disk/by-path", server="192.168.2.189", port=3260, source="qyj-target")
SDB = PoolOrder(1, UUID, "parts", "disk", "/dev", format="dos", source="/dev/sdb")
NVME = PoolOrder(1, UUID, "fast", "disk", "/dev", format="gpt", source="/dev/nvme0n1")
BY_ID = PoolOrder(1, UUID, "named", "disk", "/dev", format="gpt", source="/dev/disk/by-id/ata-WDC-1")
VG = PoolOrder(1, UUID, "server212-lvm", "logical", "/dev/server212-lvm", format="lvm2")
LUN = "/dev/disk/by-path/ip-192.168.2.189:3260-iscsi-qyj-target-lun-{}"


@pytest.mark.parametrize(
    ("pool", "path", "fits"),
    [
        (SAN, LUN.format(2), True),
        (SAN, LUN.format("0x0101000000000000"), True),
        (SAN, LUN.format("2-part1"), False),
        (SAN, LUN.format(2).replace("3260", "3261"), False),
        (SAN, LUN.format(2).replace("192.168.2.189", "192.168.2.18"), False),
        (SAN, LUN.format(2).replace("qyj", "other"), False),
        (SAN, "/dev/sdc", False),
        (SDB, "/dev/sdb1", True),
        (SDB, "/dev/sdb", False),
        (SDB, "/dev/sda1", False),
        (SDB, "/dev/../dev/sdb1", False),
        (NVME, "/dev/nvme0n1p3", True),
        (NVME, "/dev/nvme0n12", False),
        (BY_ID, "/dev/disk/by-id/ata-WDC-1-part2", True),
        (BY_ID, "/dev/disk/by-id/ata-WDC-12", False),
        (VG, "/dev/server212-lvm/lvol0", True),
        (VG, "/dev/server212-lvm/..", False),
        (VG, "/dev/server212-lvm/a/b", False),
        (VG, "/dev/mapper/root", False),
        (PoolOrder(1, UUID, "local", "dir", "/srv/pool"), "/srv/pool/disk", False),
    ],
)
def test_a_unit_is_where_its_pool_can_have_one(pool: PoolOrder, path: str, fits: bool) -> None:
    assert blocks.belongs(pool, path) is fits


def test_a_target_is_found_by_its_name_whatever_its_server_is_called() -> None:
    by_name = PoolOrder(1, UUID, "san", "iscsi", "/dev/disk/by-path", server="nas", port=3260, source="qyj-target")
    assert blocks.belongs(by_name, LUN.format(1))
    v6 = PoolOrder(1, UUID, "san", "iscsi", "/dev/disk/by-path", server="fd00::1", port=3260, source="t")
    assert blocks.belongs(v6, "/dev/disk/by-path/ip-[fd00:0::1]:3260-iscsi-t-lun-0")


class Machine(Kernel):
    """A machine with the disks of the manual, whose kernel is a directory."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "sys")
        self._root = root
        self.numbers: dict[str, Number] = {}
        self.used: set[str] = set()
        self.open: list[Opener] = []
        (root / "sys/dev/block").mkdir(parents=True)

    def device(self, path: str, at: str, number: str, *, size: int = 2048, **words: str) -> None:
        """Enter a device: ``at`` is its directory below ``sys/devices``, ``size`` its sectors."""
        about = self._root / "sys/devices" / at
        about.mkdir(parents=True, exist_ok=True)
        for name, word in {"dev": number, "size": str(size), **words}.items():
            (about / name).parent.mkdir(exist_ok=True)
            (about / name).write_text(f"{word}\n")
        (self._root / "sys/dev/block" / number).symlink_to(about)
        major, minor = number.split(":")
        self.numbers[path] = (int(major), int(minor))

    def number(self, path: str) -> Number | None:
        return self.numbers.get(path)

    def claimed(self, path: str) -> bool:
        return path in self.used

    def openers(self, numbers: Collection[Number]) -> list[Opener]:
        return [one for one in self.open if one.device in numbers]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Two disks, the second with three partitions, a unit of an iSCSI target, and a logical volume."""
    made = Machine(tmp_path)
    made.device("/dev/sda", "pci/host0/block/sda", "8:0")
    made.device("/dev/sda1", "pci/host0/block/sda/sda1", "8:1", partition="1")
    made.device("/dev/sdb", "pci/host1/block/sdb", "8:16")
    made.device("/dev/sdb1", "pci/host1/block/sdb/sdb1", "8:17", partition="1")
    made.device("/dev/sdb2", "pci/host1/block/sdb/sdb2", "8:18", partition="2", size=2)
    made.device(LUN.format(2), "host2/session1/target2:0:0/2:0:0:2/block/sdc", "8:32")
    (tmp_path / "sys/devices/host2/session1/target2:0:0/2:0:0:2/block/sdc/device").symlink_to("../..")
    (tmp_path / "sys/class/iscsi_session/session1").mkdir(parents=True)
    (tmp_path / "sys/class/iscsi_session/session1/targetname").write_text("qyj-target\n")
    names = {"dm/name": "server212--lvm-lvol0", "dm/uuid": "LVM-" + "x" * 64}
    made.device("/dev/server212-lvm/lvol0", "virtual/block/dm-0", "254:0", **names)
    return made


def given(machine: Machine, pool: PoolOrder, path: str, *, writes: bool = True, key: str = "") -> None:
    """Look whether a guest gets it."""
    number = machine.number(path)
    assert number is not None
    unit = blocks.Wanted(pool, "pool/unit", path, number, writes, key)
    blocks.check(unit, machine)
    blocks.refuse_open([unit], machine)


@pytest.mark.parametrize(("pool", "path"), [(SDB, "/dev/sdb1"), (SAN, LUN.format(2)), (VG, "/dev/server212-lvm/lvol0")])
def test_a_guest_gets_what_its_pool_is_made_of_and_nobody_else_uses(
    machine: Machine, pool: PoolOrder, path: str
) -> None:
    given(machine, pool, path)
    machine.used.add(path)
    with pytest.raises(Refused, match="The host itself uses"):
        given(machine, pool, path)
    machine.used.clear()
    number = machine.numbers[path]
    machine.open.append(Opener(number, 77, "qemu-system-x86", writes=True))
    for writes in (True, False):
        with pytest.raises(Refused, match=r"used already on this host: by qemu-system-x86 \(process 77\)"):
            given(machine, pool, path, writes=writes)
    machine.open[0] = Opener(number, 77, "qemu-system-x86", writes=False)
    given(machine, pool, path, writes=False)
    with pytest.raises(Refused, match="used already"):
        given(machine, pool, path)
    machine.open[0] = Opener(number, 78, "systemd-udevd", writes=False)
    given(machine, pool, path)


@pytest.mark.parametrize(
    ("pool", "path", "other"),
    [
        (SDB, "/dev/sdb1", "/dev/sda1"),
        (SDB, "/dev/sdb1", "/dev/sdb"),
        (SAN, LUN.format(2), "/dev/sda"),
        (VG, "/dev/server212-lvm/lvol0", "/dev/sdb1"),
    ],
)
def test_a_link_that_leads_elsewhere_by_now_is_refused(
    machine: Machine, pool: PoolOrder, path: str, other: str
) -> None:
    machine.numbers[path] = machine.numbers[other]
    with pytest.raises(Refused, match="it is another device"):
        given(machine, pool, path)


def test_another_unit_that_has_the_number_by_now_is_not_given(machine: Machine) -> None:
    """A target hands the number out again; the link and the session are the same as before."""
    wwid = machine.about((8, 32)) / "../../wwid"
    wwid.write_text("naa.6001405first\n")
    key = machine.identity((8, 32))
    assert key == "naa.6001405first"
    given(machine, SAN, LUN.format(2), key=key)
    wwid.write_text("naa.6001405second\n")
    with pytest.raises(Refused, match="it is another device"):
        given(machine, SAN, LUN.format(2), key=key)


def test_a_logical_volume_that_was_made_anew_under_its_name_is_not_given(machine: Machine) -> None:
    path, about = "/dev/server212-lvm/lvol0", machine.about((254, 0))
    key = machine.identity((254, 0))
    given(machine, VG, path, key=key)
    (about / "dm/uuid").write_text("LVM-" + "x" * 32 + "y" * 32)
    with pytest.raises(Refused, match="it is another device"):
        given(machine, VG, path, key=key)


def test_a_partition_of_another_disk_that_is_called_so_by_now_is_not_given(machine: Machine) -> None:
    """And neither is one that begins elsewhere on the same disk."""
    serial, start = machine.about((8, 16)) / "serial", machine.about((8, 17)) / "start"
    serial.write_text("WD-1\n")
    start.write_text("2048\n")
    key = machine.identity((8, 17))
    given(machine, SDB, "/dev/sdb1", key=key)
    for file, word in ((serial, "WD-2"), (start, "4096")):
        before = file.read_text()
        file.write_text(word)
        with pytest.raises(Refused, match="it is another device"):
            given(machine, SDB, "/dev/sdb1", key=key)
        file.write_text(before)


@pytest.mark.parametrize(
    ("pool", "path", "opened"),
    [
        (SDB, "/dev/sdb1", "/dev/sdb"),
        (SAN, LUN.format(2), "/dev/sdc1"),
        (VG, "/dev/server212-lvm/lvol0", "/dev/sda1"),
        (VG, "/dev/server212-lvm/lvol0", "/dev/sda"),
    ],
)
def test_who_writes_to_the_disk_beneath_or_to_a_part_of_it_uses_it(
    machine: Machine, pool: PoolOrder, path: str, opened: str
) -> None:
    machine.device("/dev/sdc1", "host2/session1/target2:0:0/2:0:0:2/block/sdc/sdc1", "8:33", partition="1")
    slaves = machine.about((254, 0)) / "slaves"
    slaves.mkdir()
    (slaves / "sda1").symlink_to(machine.about((8, 1)))
    machine.open = [Opener(machine.numbers["/dev/sdb2"], 76, "qemu-system-x86", writes=True)]
    given(machine, pool, path)
    machine.open.append(Opener(machine.numbers[opened], 77, "qemu-system-x86", writes=True))
    with pytest.raises(Refused, match="process 77"):
        given(machine, pool, path)


def test_files_of_storage_that_hangs_are_not_asked_for_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, leads in (("3", "/dev/null"), ("4", "/mnt/dead-server/file"), ("5", "socket:[77]")):
        (tmp_path / "77/fd").mkdir(parents=True, exist_ok=True)
        (tmp_path / "77/fd" / name).symlink_to(leads)
    asked: list[str] = []
    true_stat = Path.stat

    def stat(self: Path, **how: Any) -> os.stat_result:
        asked.append(self.name)
        return true_stat(self, **how)

    monkeypatch.setattr(Path, "stat", stat)
    assert Kernel(tmp_path, tmp_path).openers({(8, 16)}) == []
    assert {"4", "5"}.isdisjoint(asked)
    assert "3" in asked


def test_who_cannot_be_looked_at_is_not_taken_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "77/fd").mkdir(parents=True)
    true_iterdir = Path.iterdir

    def iterdir(self: Path) -> Iterator[Path]:
        if self.name == "fd":
            raise PermissionError(13, "Permission denied")
        return true_iterdir(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(Refused, match="which devices process 77 has open"):
        Kernel(tmp_path, tmp_path).openers({(8, 16)})


def test_two_looks_at_one_disk_do_not_take_each_other_for_a_mount(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel lets one at a time open a disk, or a partition of it, exclusively."""
    busy, opened = threading.Lock(), os.open

    def open_(path: str, flags: int) -> int:
        if not busy.acquire(blocking=False):
            raise OSError(errno.EBUSY, "busy")
        try:
            time.sleep(0.05)
            return opened("/dev/null", os.O_RDONLY)
        finally:
            busy.release()

    monkeypatch.setattr("hostd.devices.os.open", open_)
    with ThreadPoolExecutor(4) as threads:
        looks = list(threads.map(lambda path: Kernel.claimed(machine, path), ["/dev/sdb", "/dev/sdb1"] * 2))
    assert looks == [False] * 4


def test_what_is_behind_an_extended_partition_is_no_disk(machine: Machine) -> None:
    assert blocks.is_unit(SDB, "/dev/sdb1", machine)
    assert not blocks.is_unit(SDB, "/dev/sdb2", machine), "it only holds others"


def test_a_disk_that_is_called_by_what_it_is_has_partitions_that_are_too(machine: Machine) -> None:
    assert blocks.named(BY_ID, "sdb1", "/dev/sdb1", machine) == ("part1", "/dev/disk/by-id/ata-WDC-1-part1")
    assert blocks.named(SDB, "sdb1", "/dev/sdb1", machine) == ("sdb1", "/dev/sdb1")
    assert blocks.named(SAN, "unit:0:0:2", LUN.format(2), machine) == ("unit:0:0:2", LUN.format(2))


def test_the_hosts_own_disk_is_no_pool(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks.check_disk(SDB, machine)
    for source, words in (("/dev/sdz", "no disk"), ("/dev/sda1", "is a partition")):
        with pytest.raises(Refused, match=words) as refused:
            blocks.check_disk(PoolOrder(1, UUID, "own", "disk", "/dev", source=source), machine)
        assert refused.value.field == "source"
    machine.used.add("/dev/sdb")
    with pytest.raises(Refused, match="The host itself uses /dev/sdb"):
        blocks.check_disk(SDB, machine)


def test_a_physical_volume_is_told_whether_it_is_used_or_not(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    assert not blocks._has_label(str(disk), [])
    disk.write_bytes(bytes(512) + b"LABELONE" + bytes(16) + b"LVM2 001" + bytes(4096))
    assert blocks._has_label(str(disk), [])


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    """A true block device."""
    with loop_device(tmp_path / "file", 1 << 20) as device:
        yield device


def test_the_kernel_says_who_uses_a_device(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    monkeypatch.setattr(kernel, "_processes", seen)
    number = kernel.number(loop)
    assert number is not None
    assert kernel.size(number) == 1 << 20
    assert not kernel.claimed(loop)
    assert kernel.openers({number}) == []
    mine: Any = (os.getpid(), False)
    reading = os.open(loop, os.O_RDONLY)
    try:
        assert [(one.process, one.writes) for one in kernel.openers({number})] == [mine]
        writing = os.open(loop, os.O_RDWR | os.O_EXCL)
        try:
            assert {one.writes for one in kernel.openers({number})} == {True, False}
            assert kernel.claimed(loop), "as by a mount"
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    assert kernel.number("/etc/passwd") is None
    assert kernel.number("/dev/nothing") is None
