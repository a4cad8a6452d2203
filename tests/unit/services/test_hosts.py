"""Hosts and host groups as the system administrator and project admins see them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select

from core.errors import DosvmError, InUse, InvalidInput, NotFound, Refused
from core.i18n import set_language
from core.model import Host, Instance, Machine, Pool, Project, Task
from tests.fakes import rack
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office

MIB = 1024**2


def test_a_host_is_what_it_registered_and_how_it_is_now(office: Office, cloud: StillCloud) -> None:
    number = office.host("h1")
    cloud.change(number, age=2.04, cpu_percent=12.34, memory_percent=50.0, network_rate=1e6)
    row = office.sysadm("host.show", host="h1")
    assert set(row) == {
        "uuid", "name", "address", "port", "state", "age", "cores", "memory", "max_vcpus", "max_memory",
        "cpu_percent", "memory_percent", "disk_percent", "network_rate", "accelerator", "accelerator_reason",
        "libvirt_version", "qemu_version", "kernel", "cpu_model", "architecture", "vms", "hypervisor_error",
        "port_error", "temporary_error", "drain", "waiting",
        "created", "version",
    }  # fmt: skip
    assert (row["state"], row["age"], row["cpu_percent"], row["network_rate"]) == ("up", 2.0, 12.3, 1e6)
    assert (row["cores"], row["memory"], row["max_memory"]) == (16, 64 * GIB, 64 * GIB - 512 * MIB)


def test_a_host_nobody_has_watched_yet_is_unknown(office: Office, cloud: StillCloud) -> None:
    office.host("h1")
    cloud.views.clear()
    (row,) = office.sysadm("host.list")["rows"]
    assert (row["state"], row["age"]) == ("unknown", None)


def test_hosts_by_state(office: Office, cloud: StillCloud) -> None:
    office.host("a")
    office.host("b", state="down")
    office.host("c", state="unknown")
    cloud.views.pop(office.host("d"))
    for state, found in (("up", ["a"]), ("down", ["b"]), ("unknown", ["c", "d"])):
        assert office.sysadm.names("host.list", filters={"state": state}) == found
    assert office.sysadm.names("host.list", sort="state") == ["b", "c", "d", "a"]


def test_a_project_admin_sees_the_hosts_the_project_may_use(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    office.host("mine")
    office.host("theirs")
    office.sysadm("host-group.add", name="ours", hosts=["mine"], projects=["web"])
    office.sysadm("host-group.add", name="all", hosts=["mine", "theirs"])
    assert zhao.names("host.list") == ["mine"]
    assert zhao("host.show", host="mine")["name"] == "mine"
    with pytest.raises(NotFound):
        zhao("host.show", host="theirs")


def test_vms_that_are_on_are_counted(office: Office) -> None:
    office.project("web")
    number = office.host("h1")
    office.host("h2")
    owner = office.services.database.read(lambda s: s.scalars(select(Project.id)).one())
    front = Instance(project_id=owner, name="front", spec="{}")
    office.fill(front)
    office.fill(
        *(
            Machine(name=f"m{n}", project_id=owner, instance_id=front.id, host_id=number, power=power)
            for n, power in enumerate(("on", "on", "off"))
        )
    )
    assert {row["name"]: row["vms"] for row in office.sysadm("host.list", sort="vms")["rows"]} == {"h2": 0, "h1": 2}


def test_editing_a_host(office: Office) -> None:
    office.host("h1", memory=8 * GIB)
    row = office.sysadm("host.edit", host="h1", name="server185.example.com", max_vcpus=8, max_memory=GIB)
    assert (row["name"], row["max_vcpus"], row["max_memory"]) == ("server185.example.com", 8, GIB)
    assert row["version"] == 1
    office.sysadm("host.edit", host="server185.example.com", max_memory=8 * GIB - 512 * MIB)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_memory", 8 * GIB - 512 * MIB + 1),
        ("max_memory", -1),
        ("max_vcpus", 0),
        ("max_vcpus", 2**31),
        ("name", "a b"),
        ("name", "h2"),
        ("name", ""),
    ],
)
def test_a_host_keeps_memory_for_itself_and_other_limits(office: Office, field: str, value: Any) -> None:
    office.host("h1", memory=8 * GIB)
    office.host("h2")
    with pytest.raises((InvalidInput, Refused)) as error:
        office.sysadm("host.edit", host="h1", **{field: value})
    assert error.value.field == field


def test_only_a_host_that_is_down_and_free_is_deleted(office: Office, cloud: StillCloud) -> None:
    office.project("web")
    number = office.host("h1")
    office.sysadm("host-group.add", name="all", hosts=["h1"])
    owner = office.services.database.read(lambda s: s.scalars(select(Project.id)).one())
    front = Instance(project_id=owner, name="front", spec="{}", host_id=number)
    office.fill(front)
    pool = Pool(name="local", kind="dir", capacity=1, path="/srv/p", host_id=number)
    machine = Machine(name="m1", project_id=owner, instance_id=front.id, host_id=number, power="on")
    task = Task(
        kind="machine.start", target="x", target_name="x", host_id=number, account="x", payload="", state="queued"
    )
    office.fill(pool, machine, task)
    for state in ("up", "unknown"):
        cloud.change(number, state=state)
        with pytest.raises(Refused, match="not known to be down"):
            office.sysadm("host.delete", host="h1")
    cloud.change(number, state="down")
    with pytest.raises(InUse) as error:
        office.sysadm("host.delete", host="h1")
    for name in ("front", "local", "m1"):
        assert name in error.value.text()
    set_language("zh_CN")
    try:
        said = error.value.text()
    finally:
        set_language("en")
    assert not re.search("VMs|storage pools|instances", said), said

    def free(session: Any) -> None:
        session.delete(session.merge(pool))
        session.merge(front).host_id = None
        session.merge(machine).power = "off"

    office.services.database.write(free)
    office.sysadm("host.delete", host="h1")
    assert office.sysadm.names("host.list") == []
    assert office.sysadm("host-group.show", host_group="all")["hosts"] == []


def test_clearing_goes_on_elsewhere_when_its_host_is_given_up(office: Office, cloud: StillCloud) -> None:
    lost, other = office.host("h1"), office.host("h2")
    uuids = {row["name"]: row["uuid"] for row in office.sysadm("host.list")["rows"]}
    cloud.me = uuids["h1"]
    office.sysadm("log.clear", before="2026-01-01T00:00")
    cloud.me = uuids["h2"]
    cloud.change(lost, state="down", age=600.0)
    office.sysadm("host.abandon", host="h1")
    (task,) = office.services.database.read(lambda s: list(s.scalars(select(Task))))
    assert (task.kind, task.host_id, task.state) == ("purge", other, "queued")


def test_a_host_that_never_returns_is_given_up_with_what_was_on_it(office: Office, cloud: StillCloud) -> None:
    web = rack.web(office)
    other = office.host("h2")
    office.fill(Pool(name="far", kind="dir", capacity=GIB, path="/srv/far", host_id=other))
    rack.disk(office, web, "disk1")
    rack.instance(web, "one", disks=[{"volume": "local/disk1"}])
    rack.instance(web, "two")
    for name in ("one", "two"):
        web("vm.add", name=name, instance=name)
    web("vm.start", vm="one")
    number = rack.host_id(office, "h1")
    epoch = office.services.database.read(lambda s: s.scalar(select(Machine.epoch).where(Machine.name == "one")))
    lost = office.sysadm("host.losses", host="h1")
    assert lost == {
        "name": "h1", "pools": "1 (local)", "volumes": "1 (disk1)", "size": "1 GiB", "vms": "1 (one)",
        "instances": "1 (one)",
    }  # fmt: skip
    for state, age in (("up", 0.0), ("unknown", 900.0), ("down", 599.0)):
        cloud.change(number, state=state, age=age)
        with pytest.raises(Refused, match="not known to be down for 10 minutes"):
            office.sysadm("host.abandon", host="h1")
    cloud.change(number, state="down", age=600.0)
    office.sysadm("host.abandon", host="h1")
    assert office.sysadm.names("host.list") == ["h2"]
    assert office.sysadm.names("pool.list") == ["far"]
    assert web("volume.list")["rows"] == []
    row = web("vm.show", vm="one")
    assert (row["power"], row["state"], row["host"]) == ("off", "off", "")
    after = office.services.database.read(lambda s: s.scalar(select(Machine.epoch).where(Machine.name == "one")))
    assert after == (epoch or 0) + 2, "what still runs there is of an earlier placement"
    usage = web("usage.list")["rows"][0]
    assert (usage["used_vcpus"], usage["used_disk"]) == (0, 0)
    # The instance is there, says what it lacks, and gets another disk.
    office.sysadm("host-group.edit", host_group="all", hosts=["h2"])
    office.sysadm("project.configure", project="web", add_pools=["far"])
    with pytest.raises(DosvmError):
        web("instance.edit", instance="one", vcpus=2)
    rack.disk(office, web, "disk2", pool="far")
    web("instance.edit", instance="one", disks=[{"volume": "far/disk2"}])
    web("vm.delete", vm="one")
    web("instance.delete", instance="one")


def test_a_hosts_samples_come_from_the_host(office: Office, cloud: StillCloud) -> None:
    office.host("h1")
    cloud.host_history = [{"at": 1.0, "cpu_percent": 5.0}, {"at": 2.0, "cpu_percent": 6.0}]
    assert office.sysadm("host.samples", host="h1", since=1)["samples"] == cloud.host_history[1:]


# host groups


def test_a_host_group_and_its_members(office: Office, cloud: StillCloud) -> None:
    office.project("web")
    office.host("h1")
    cloud.views.pop(office.host("h2"))
    row = office.sysadm("host-group.add", name="all", description="x", hosts=["h2", "h1", "h1"], projects=["web"])
    assert set(row) == {"uuid", "name", "description", "hosts", "projects", "created", "version"}
    assert (row["hosts"], row["projects"]) == (["h1", "h2"], ["web"])
    shown = office.sysadm("host-group.show", host_group="all")
    assert shown["members"] == [{"name": "h1", "state": "up"}, {"name": "h2", "state": "unknown"}]
    row = office.sysadm("host-group.edit", host_group="all", hosts=["h2"], version=row["version"])
    assert (row["hosts"], row["projects"], row["version"]) == (["h2"], ["web"], 1)
    assert office.sysadm("project.show", project="web")["host_groups"] == ["all"]
    assert office.sysadm.names("host-group.list", filters={"host": "h1"}) == []
    assert office.sysadm.names("host-group.list", filters={"project": "web"}) == ["all"]


def test_a_host_group_in_use_is_not_deleted(office: Office) -> None:
    office.project("web")
    office.sysadm("host-group.add", name="all", projects=["web"])
    with pytest.raises(InUse, match="web"):
        office.sysadm("host-group.delete", host_group="all")
    office.sysadm("host-group.edit", host_group="all", projects=[])
    office.sysadm("host-group.delete", host_group="all")
    assert office.sysadm.names("host-group.list") == []


def test_a_host_is_found_by_its_uuid_as_well(office: Office) -> None:
    office.host("h1")
    office.host("h2")
    hosts = office.services.database.read(lambda s: list(s.scalars(select(Host.uuid).order_by(Host.name))))
    assert office.sysadm("host.show", host=hosts[0].upper())["name"] == "h1"
