"""The files behind a VM's disks right before it starts: what was not looked at is not handed to QEMU."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from core.errors import InvalidInput, Refused
from core.libvirt_xml import domain_xml
from core.specs.instance import parse_instance
from core.specs.order import DiskOrder, MachineOrder
from core.specs.pool import PoolOrder
from hostd import blocks, intervals
from hostd.devices import KERNEL
from hostd.disks import Disks
from hostd.hypervisor.errors import TooSlow
from hostd.own_places import OwnPlaces
from hostd.storage_calls import StorageCalls
from tests.fakes import rack

#: Images are in no pool; their directories are looked at in threads of their own.
NO_POOLS: Any = SimpleNamespace(ready_all=lambda _uuids: {}, touch=StorageCalls().touch, own=rack.ELSEWHERE)


@pytest.fixture(autouse=True)
def _no_acl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostd.disks.let_pass", lambda *_a: [])


def order(root: Path, policy: str) -> MachineOrder:
    """A VM with the image ``cd.iso`` in its drive."""
    drive = {"device": "cdrom", "image": "cd", "startup_policy": policy}
    disk = DiskOrder("image", "u" * 36, "cd", str(root / "cd.iso"), "raw", overlay=False, root=str(root))
    return MachineOrder(
        id=1,
        uuid="00000000-0000-4000-8000-000000000001",
        name="one",
        project="web",
        instance="shop",
        epoch=1,
        power="on",
        state="starting",
        host_id=1,
        enabled=True,
        spec=parse_instance({"disks": [drive]}),
        disks=(disk,),
    )


@pytest.mark.parametrize("linked", [False, True])
def test_a_drive_whose_file_may_be_missing_is_empty_then(tmp_path: Path, linked: bool) -> None:
    """Also when a link leads to where a file may come later: nobody looked at that one."""
    root = tmp_path / "group"
    root.mkdir()
    if linked:
        (root / "cd.iso").symlink_to(tmp_path / "secret")
    ready, overlays = Disks(NO_POOLS, lambda: tmp_path / "overlays", tmp_path).prepare(order(root, "optional"))
    xml = domain_xml(ready, accelerator="tcg", overlays=overlays)
    (drive,) = ElementTree.fromstring(xml).findall("./devices/disk")
    assert (drive.get("device"), drive.find("source")) == ("cdrom", None)
    assert str(root) not in xml


@pytest.mark.parametrize("written", [True, False])
def test_what_a_guest_wrote_to_its_raw_image_does_not_keep_it_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """It is opened as raw whatever it begins like; of an image that no guest writes to, that is told."""
    root = tmp_path / "group"
    root.mkdir()
    (root / "cd.iso").write_bytes(b"QFI\xfb\0\0\0\3".ljust(4096, b"\0"))
    monkeypatch.setattr("hostd.beneath.look", lambda place, file: place / file)
    disk = {"device": "disk", "image": "cd", "bus": "virtio", "read_only": not written}
    made = dataclasses.replace(order(root, "mandatory"), spec=parse_instance({"disks": [disk]}))
    disks = Disks(NO_POOLS, lambda: tmp_path / "overlays", tmp_path)
    if written:
        ready, _overlays = disks.prepare(made)
        assert ready.disks[0].path == str(root / "cd.iso")
    else:
        with pytest.raises(InvalidInput, match="not a raw image but qcow2"):
            disks.prepare(made)


def test_a_drive_whose_file_must_be_there_refuses(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is missing"):
        Disks(NO_POOLS, lambda: tmp_path / "overlays", tmp_path).prepare(order(tmp_path, "mandatory"))


UNIT = "/dev/disk/by-path/ip-192.168.2.189:3260-iscsi-qyj-target-lun-2"
SAN = PoolOrder(
    1, "p" * 36, "san", "iscsi", "/dev/disk/by-path", server="192.168.2.189", port=3260, source="qyj-target"
)


class San:
    """A pool of units, as the keeper has it; what was asked of it is kept."""

    own = rack.ELSEWHERE

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.there = True
        self.made_later = False
        monkeypatch.setattr(KERNEL, "number", lambda _path: (8, 32) if self.there else None)
        monkeypatch.setattr(KERNEL, "family", lambda _number: frozenset({(8, 32), (8, 33)}))
        monkeypatch.setattr(KERNEL, "openers", lambda _numbers: [])
        monkeypatch.setattr(blocks, "check", self._look)

    def _look(self, unit: blocks.Wanted) -> None:
        self.asked.append(f"look {unit.pool.name} {unit.path[-5:]} {unit.writes}")

    def ready_all(self, uuids: set[str]) -> dict[str, PoolOrder]:
        """The pool is made ready first."""
        self.asked.append("ready")
        return {SAN.uuid: SAN} if uuids else {}

    def look_again(self, _pool: PoolOrder) -> None:
        """The storage system is asked what it has by now."""
        self.asked.append("again")
        self.there = self.made_later or self.there

    def touch(self, _pool: str, look: Any) -> Any:
        """At once."""
        return look()


def with_unit(number: int = 1) -> MachineOrder:
    """A VM whose disk is a unit."""
    base = order(Path("/x"), "mandatory")
    disk = DiskOrder("volume", "v" * 36, "san/unit:0:0:2", UNIT, "raw", False, SAN.path, SAN.uuid, SAN.kind)
    return dataclasses.replace(
        base, uuid=f"vm-{number}", spec=parse_instance({"disks": [{"volume": "san/unit:0:0:2"}]}), disks=(disk,)
    )


def test_a_unit_is_looked_at_when_its_pool_is_ready_and_is_given_by_its_lasting_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    san: Any = San(monkeypatch)
    ready, overlays = Disks(san, lambda: tmp_path, tmp_path).prepare(with_unit())
    assert san.asked == ["ready", "again", "look san lun-2 True"], "the target is asked what it has by now"
    assert (ready.disks[0].path, overlays) == (UNIT, {})


def test_a_unit_that_was_made_since_is_looked_for_before_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    san: Any = San(monkeypatch)
    san.there, san.made_later = False, True
    disks = Disks(san, lambda: tmp_path, tmp_path)
    disks.prepare(with_unit())
    assert san.asked == ["ready", "again", "look san lun-2 True"]
    san.there = san.made_later = False
    with pytest.raises(Refused, match="san/unit:0:0:2 is not there"):
        disks.prepare(with_unit(2))


def test_two_vms_that_start_at_once_do_not_get_one_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU of the first does not have it open yet: nothing else would keep the second away."""
    san: Any = San(monkeypatch)
    disks = Disks(san, lambda: tmp_path, tmp_path)
    disks.prepare(with_unit(1))
    disks.prepare(with_unit(1))
    with pytest.raises(Refused, match="Another VM is being started"):
        disks.prepare(with_unit(2))
    disks.started("vm-1")
    disks.prepare(with_unit(2))


def reading(number: int) -> MachineOrder:
    """A VM that only reads the unit."""
    spec = parse_instance({"disks": [{"volume": "san/unit:0:0:2", "read_only": True}]})
    return dataclasses.replace(with_unit(number), spec=spec)


def test_vms_that_only_read_a_unit_start_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    san: Any = San(monkeypatch)
    disks = Disks(san, lambda: tmp_path, tmp_path)
    disks.prepare(reading(1))
    disks.prepare(reading(2))
    disks.started("vm-1")
    with pytest.raises(Refused, match="Another VM is being started"):
        disks.prepare(with_unit(3))
    disks.started("vm-2")
    disks.prepare(with_unit(3))


def test_a_unit_stays_promised_while_a_start_that_was_given_up_may_still_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    san: Any = San(monkeypatch)
    hanging = {"vm-1"}
    disks = Disks(san, lambda: tmp_path, tmp_path, lambda machine: machine in hanging)
    disks.prepare(with_unit(1))
    disks.started("vm-1")
    with pytest.raises(Refused, match="Another VM is being started"):
        disks.prepare(with_unit(2))
    hanging.clear()
    disks.prepare(with_unit(2))


def test_a_unit_is_looked_at_again_when_its_vm_has_waited_for_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    san: Any = San(monkeypatch)
    disks = Disks(san, lambda: tmp_path, tmp_path)
    disks.prepare(with_unit())

    def taken(unit: blocks.Wanted) -> None:
        raise Refused("it is another device by now: " + unit.path)

    monkeypatch.setattr(blocks, "check", taken)
    with pytest.raises(Refused, match="another device"):
        disks.look_again(with_unit())


def test_an_image_on_storage_that_hangs_does_not_hold_its_vm_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr("hostd.disks.beneath.look", lambda *_a, **_k: answered.wait(30))
    monkeypatch.setattr(intervals, "LIBVIRT_NORMAL", 0.2)
    (tmp_path / "cd.iso").touch()
    try:
        with pytest.raises(TooSlow, match="storage did not answer"):
            Disks(NO_POOLS, lambda: tmp_path / "overlays", tmp_path).prepare(order(tmp_path, "mandatory"))
    finally:
        answered.set()


def test_what_is_dosvms_own_is_looked_for_once_for_all_files_of_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hostd's directories were walked through for each file of each chain."""
    home, place = tmp_path / "home", tmp_path / "pool"
    for directory in (home / "state", place):
        directory.mkdir(parents=True)
    (home / "state" / "samples").touch()
    looked: list[str] = []
    walk = os.walk
    monkeypatch.setattr("os.walk", lambda top: looked.append(str(top)) or walk(top))  # type: ignore[func-returns-value]
    disks, names = [], ("one", "two", "three")
    for name in names:
        (place / name).write_bytes(bytes(512))
        shown = f"local/{name}"
        disk = DiskOrder("volume", "v" * 36, shown, str(place / name), "raw", overlay=False, root=str(place))
        disks.append(dataclasses.replace(disk, pool="p" * 36, pool_kind="dos", capacity=512))
    spec = parse_instance({"disks": [{"volume": f"local/{name}"} for name in names]})
    vm = dataclasses.replace(order(place, "mandatory"), spec=spec, disks=tuple(disks))
    keeper: Any = SimpleNamespace(**{**vars(NO_POOLS), "own": OwnPlaces(home, (home / "state",))})
    ready, _overlays = Disks(keeper, lambda: tmp_path / "overlays", tmp_path).prepare(vm)
    assert [disk.path for disk in ready.disks] == [str(place / name) for name in names]
    assert looked == [str(home / "state")]
    # One that is there at the next start is found then.
    (home / "state" / "key").hardlink_to(place / "two")
    with pytest.raises(Refused, match="a file of DOSVM itself"):
        Disks(keeper, lambda: tmp_path / "overlays", tmp_path).prepare(vm)
