"""Volumes that others make: found by a refresh, used by instances, and neither made nor removed by DOSVM."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from core.clock import SystemClock
from core.coordination import machines
from core.errors import InUse, NotFound, Refused
from core.libvirt_xml import domain_xml
from core.model import Pool, TaskState, Volume
from core.rules import pools
from core.security.sealed import SealedSecret
from hostd import blocks
from hostd.devices import KERNEL
from hostd.handlers import refresh
from hostd.hypervisor.units import Unit
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person

LUN = "/dev/disk/by-path/ip-192.168.2.189:3260-iscsi-qyj-target-lun-{}"


class Storage:
    """A storage system: what libvirt finds in it, and what the kernel says of that."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.claimed: set[str] = set()
        self.sick: set[str] = set()
        self.keys: dict[str, str] = {}

    def lun(self, number: int, capacity: int = 10 * GIB, key: str = "") -> None:
        """Make a unit."""
        name, path = f"unit:0:0:{number}", LUN.format(number)
        self.units = [unit for unit in self.units if unit.name != name]
        self.units.append(Unit(name, path, capacity, capacity))
        self.keys[path] = key or f"serial-{number}"

    def is_claimed(self, path: str) -> bool:
        """Whether the host uses it; one that is sick does not even open."""
        if path in self.sick:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return path in self.claimed

    def remove(self, number: int) -> None:
        """Take it away."""
        self.units = [unit for unit in self.units if unit.name != f"unit:0:0:{number}"]


@pytest.fixture
def san(monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The storage system of the manual's example, and a cloud that offers all kinds of pools."""
    made = Storage()
    monkeypatch.setattr(pools, "OFFERED", tuple(pools.KINDS))
    monkeypatch.setattr(blocks, "is_unit", lambda pool, path, *_kernel: blocks.belongs(pool, path))
    monkeypatch.setattr(blocks, "key_of", lambda path: made.keys.get(path, ""))
    monkeypatch.setattr(KERNEL, "claimed", made.is_claimed)
    return made


@pytest.fixture
def web(office: Office, san: Storage) -> Person:
    """The admin of a project that has the pool."""
    admin = rack.web(office)
    office.sysadm("secret.add", name="chap", display_name="chap", kind="iscsi", usage="chap", value="Sh4re-secret")
    office.sysadm(
        "pool.add", name="san", type="iscsi", server="192.168.2.189", source="qyj-target", account="qgh",
        secret="chap", capacity=60 * GIB, projects=["web"],
    )  # fmt: skip
    rack.settle(office)
    return admin


def refreshed(office: Office, san: Storage, pool: str = "san") -> dict[str, str]:
    """Refresh a pool by the executor of its host; the state of each of its volumes."""
    office.sysadm("pool.refresh", pool=pool)
    database = office.services.database
    keeper: Any = SimpleNamespace(ready=lambda _pool: None, touch=lambda _pool, work, limit: work(), own=rack.ELSEWHERE)
    units: Any = SimpleNamespace(found=lambda _pool: list(san.units))

    def opened(secret: SealedSecret) -> str:
        return secret.open(office.services.vault)

    for task in rack.carry_out(office, refresh.handlers(database, keeper, units, opened, SystemClock().now)):
        assert office.sysadm("task.show", task=task.uuid)["state"] == TaskState.DONE.value
    rows = office.sysadm("volume.list", filters={"pool": pool})["rows"]
    return {row["name"]: row["state"] for row in rows}


def test_units_become_volumes_that_an_instance_uses(office: Office, web: Person, san: Storage) -> None:
    san.lun(1)
    san.lun(2, 20 * GIB)
    assert refreshed(office, san) == {"unit:0:0:1": "present", "unit:0:0:2": "present"}
    row = web("volume.show", volume="san/unit:0:0:2")
    assert (row["format"], row["capacity"], row["path"]) == ("raw", 20 * GIB, LUN.format(2))
    uuid = office.sysadm("pool.show", pool="san")["uuid"]
    assert row["display_name"] == f"unit:0:0:2-{uuid}"
    rack.instance(web, disks=[{"volume": "san/unit:0:0:2"}])
    web("vm.add", name="shop-1", instance="shop")
    machine = rack.machine(office, "shop-1")
    order = office.services.database.read(lambda s: machines.load(s, machine.uuid, office.services.vault))
    assert order is not None
    xml = domain_xml(order, accelerator="tcg")
    assert f'<source dev="{LUN.format(2)}" />' in xml
    assert 'type="block"' in xml
    assert web("volume.show", volume="san/unit:0:0:2")["vms"] == ["shop-1"]
    with pytest.raises(InUse, match="belongs to one instance"):
        rack.instance(web, "second", disks=[{"volume": "san/unit:0:0:2"}])


def test_units_that_go_come_back_or_grow(office: Office, web: Person, san: Storage) -> None:
    san.lun(1)
    san.lun(2)
    refreshed(office, san)
    san.remove(1)
    san.lun(2, 15 * GIB)
    assert refreshed(office, san) == {"unit:0:0:1": "missing", "unit:0:0:2": "present"}
    assert web("volume.show", volume="san/unit:0:0:2")["capacity"] == 15 * GIB
    with pytest.raises(Refused, match="missing"):
        rack.instance(web, disks=[{"volume": "san/unit:0:0:1"}])
    san.lun(1)
    assert refreshed(office, san)["unit:0:0:1"] == "present"


def test_another_unit_of_the_same_number_is_not_taken_for_the_one_that_was(
    office: Office, web: Person, san: Storage
) -> None:
    san.lun(1, key="serial-of-the-first")
    refreshed(office, san)
    san.lun(1, key="serial-of-another")
    assert refreshed(office, san) == {"unit:0:0:1": "missing"}, "what an instance would write to is somebody else's"
    web("volume.delete", volume="san/unit:0:0:1")
    assert refreshed(office, san) == {"unit:0:0:1": "present"}


def test_what_the_host_uses_itself_and_what_is_not_the_pools_is_passed_over(
    office: Office, web: Person, san: Storage
) -> None:
    san.lun(1)
    san.lun(2)
    san.claimed.add(LUN.format(1))
    san.units.append(Unit("unit:0:0:9", "/dev/sda", GIB, GIB))
    assert refreshed(office, san) == {"unit:0:0:2": "present"}
    san.claimed = {LUN.format(2)}
    assert refreshed(office, san) == {"unit:0:0:1": "present", "unit:0:0:2": "present"}, "it is there all the same"


def test_one_sick_unit_keeps_nobody_from_the_others(office: Office, web: Person, san: Storage) -> None:
    san.lun(1)
    san.lun(2)
    san.sick.add(LUN.format(1))
    assert refreshed(office, san) == {"unit:0:0:2": "present"}
    san.sick.clear()
    assert refreshed(office, san) == {"unit:0:0:1": "present", "unit:0:0:2": "present"}


def test_what_tells_a_unit_from_another_goes_with_the_order_to_start(office: Office, web: Person, san: Storage) -> None:
    san.lun(1, key="naa.6001")
    refreshed(office, san)
    rack.instance(web, disks=[{"volume": "san/unit:0:0:1"}])
    web("vm.add", name="shop-1", instance="shop")
    machine = rack.machine(office, "shop-1")
    order = office.services.database.read(lambda s: machines.load(s, machine.uuid, office.services.vault))
    assert order is not None
    assert order.disks[0].key == "naa.6001"


def test_a_unit_that_is_another_pools_volume_gets_no_second_name(office: Office, web: Person, san: Storage) -> None:
    san.lun(1)
    refreshed(office, san)
    # One unit may be offered by two targets.
    office.sysadm("pool.add", name="twin", type="iscsi", server="nas.example", source="qyj-second", capacity=GIB)
    rack.settle(office)
    assert refreshed(office, san, "twin") == {}


def test_they_are_neither_made_nor_grown_nor_copied_here(office: Office, web: Person, san: Storage) -> None:
    san.lun(1)
    refreshed(office, san)
    with pytest.raises(Refused, match="here they are found") as refused:
        web("volume.add", name="unit:0:0:3", pool="san", capacity=GIB)
    assert refused.value.field == "pool"
    with pytest.raises(Refused, match="here they are found"):
        office.sysadm("volume.grow", volume="san/unit:0:0:1", capacity=20 * GIB)
    with pytest.raises(Refused, match="no files"):
        web("volume.snapshot", volume="san/unit:0:0:1", name="copy")
    with pytest.raises(Refused):
        office.sysadm("volume.accept", volume="san/unit:0:0:1", format="qcow2")
    assert [row["name"] for row in web("pool.list", filters={"files": True})["rows"]] == ["local"]


def test_deleting_removes_the_record_only_and_at_once(office: Office, web: Person, san: Storage) -> None:
    san.lun(1)
    refreshed(office, san)
    rack.instance(web, disks=[{"volume": "san/unit:0:0:1"}])
    with pytest.raises(InUse, match="shop"):
        web("volume.delete", volume="san/unit:0:0:1")
    web("instance.delete", instance="shop")
    answer = web("volume.delete", volume="san/unit:0:0:1")
    assert "task" not in answer, "no host has anything to do"
    with pytest.raises(NotFound):
        web("volume.show", volume="san/unit:0:0:1")
    assert refreshed(office, san) == {"unit:0:0:1": "present"}


def test_partitions_are_on_the_host_of_their_disk_and_so_are_vms(office: Office, san: Storage) -> None:
    admin = rack.web(office, hosts=2)
    office.sysadm(
        "pool.add", name="parts", type="disk", host="h1", source="/dev/sdb", format="gpt", capacity=GIB,
        projects=["web"],
    )  # fmt: skip
    rack.settle(office)
    san.units = [Unit("sdb1", "/dev/sdb1", GIB, GIB), Unit("sda1", "/dev/sda1", GIB, GIB)]
    assert refreshed(office, san, "parts") == {"sdb1": "present"}
    rack.instance(admin, disks=[{"volume": "parts/sdb1"}])
    admin("vm.add", name="shop-1", instance="shop")
    with pytest.raises(Refused, match="A disk of VM shop-1 is not on host h2"):
        admin("vm.start", vm="shop-1", host="h2")
    assert admin("vm.start", vm="shop-1")["host"] == "h1"


def test_a_key_is_kept_apart_from_how_files_are_made(office: Office, web: Person, san: Storage) -> None:
    san.lun(1)
    refreshed(office, san)
    row = office.services.database.read(
        lambda s: s.execute(select(Volume.options, Pool.kind).join(Pool, Pool.id == Volume.pool_id)).one()
    )
    assert row == ('{"key": "serial-1"}', "iscsi")
