"""Volumes: made, grown and deleted within what pools hold and projects may use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.coordination.storage import PoolState, record_pool
from core.errors import (
    AlreadyExists,
    Conflict,
    EngineError,
    InUse,
    InvalidInput,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Refused,
)
from core.model import Instance, Machine, Pool, Project, Task, TaskState, Volume, instance_volume
from tests.fakes import rack
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office, Person

MIB = 1024**2
MB = 1000**2


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with a pool of 10 GiB on host h1."""
    admin = office.project("web", max_disk=4 * GIB)
    office.host("h1")
    pool(office, "local", 10 * GIB, "web")
    return admin


def pool(office: Office, name: str, capacity: int, *projects: str) -> None:
    """A pool whose host has made it."""
    office.sysadm(
        "pool.add",
        name=name,
        type="dir",
        host="h1",
        path=f"/srv/pools/{name}",
        capacity=capacity,
        projects=list(projects),
    )
    settle(office)


def settle(office: Office) -> None:
    """Let hosts do what they were told: what was being made is there, what was being deleted is gone."""

    def work(session: Any) -> None:
        session.query(Task).update({"state": TaskState.DONE.value})
        session.query(Volume).filter_by(state="creating").update({"state": "present"})
        session.query(Volume).filter_by(state="deleting").delete()

    office.services.database.write(work)


def last_task(office: Office) -> Task:
    """The task that was entered last."""
    found: Task = office.services.database.read(lambda s: s.query(Task).order_by(Task.id.desc()).limit(1).one())
    return found


def use(office: Office, volume: str, *, project: str = "web", power: str = "off", state: str = "off") -> None:
    """An instance that uses the volume, and its VM."""

    def work(session: Any) -> None:
        owner = session.query(Project).filter_by(name=project).one().id
        instance = Instance(project_id=owner, name="shop", spec="{}", vcpus=1, memory=MIB)
        session.add(instance)
        session.flush()
        disk = session.query(Volume).filter_by(name=volume).one().id
        session.execute(instance_volume.insert().values(instance_id=instance.id, volume_id=disk))
        session.add(Machine(name="shop-1", project_id=owner, instance_id=instance.id, power=power, state=state))

    office.services.database.write(work)


def test_a_new_volume_is_made_by_the_host_of_its_pool(office: Office, web: Person) -> None:
    answer = web("volume.add", name="disk1", pool="local", capacity=GIB, display_name="系统盘")
    (row,) = web("volume.list")["rows"]
    assert (row["name"], row["reference"], row["pool"]) == ("disk1", "local/disk1", "local")
    assert (row["display_name"], row["format"], row["capacity"]) == ("系统盘", "qcow2", GIB)
    assert (row["path"], row["state"], row["instances"]) == ("/srv/pools/local/disk1", "creating", [])
    task = last_task(office)
    assert (task.kind, task.uuid, task.target) == ("volume.create", answer["task"], row["uuid"])
    assert (task.account, task.target_name) == ("web-admin", "disk1")
    assert task.project_id == office.services.database.read(lambda s: s.query(Project).one().id)
    assert (answer["uuid"], answer["name"]) == (row["uuid"], "disk1")


def test_a_disk_has_whole_sectors(web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=MIB + 1)
    assert web("volume.show", volume="disk1")["capacity"] == MIB + 512


def test_how_it_was_made_is_kept(web: Person) -> None:
    web(
        "volume.add",
        name="disk1",
        pool="local",
        capacity=MIB,
        mode="640",
        owner=0,
        group=107,
        lazy_refcounts=True,
    )
    shown = web("volume.show", volume="disk1")
    made = {key: shown[key] for key in ("mode", "owner", "group", "compat", "lazy_refcounts")}
    assert made == {"mode": "0640", "owner": 0, "group": 107, "compat": "1.1", "lazy_refcounts": True}


def test_a_size_beyond_all_disks_is_refused_as_a_size(office: Office, web: Person) -> None:
    with pytest.raises(InvalidInput) as refused:
        web("volume.add", name="disk1", pool="local", capacity=2**61)
    assert refused.value.text() == "The most is 1 EiB."


@pytest.mark.parametrize("capacity", [0, 1, 1024, MIB - 1])
@pytest.mark.parametrize("volume_format", ["qcow2", "raw"])
def test_a_disk_that_holds_nothing_is_refused(web: Person, volume_format: str, capacity: int) -> None:
    """QEMU makes one of a single sector, which no guest can use: who asks for it has mistaken the unit."""
    with pytest.raises(InvalidInput) as refused:
        web("volume.add", name="disk1", pool="local", capacity=capacity, format=volume_format)
    assert refused.value.field == "capacity"
    assert refused.value.text().endswith(" is too small for a disk: a volume has at least 1 MiB.")
    assert web("volume.list")["total"] == 0


@pytest.mark.parametrize("volume_format", ["qcow2", "raw", "qcow", "qed", "vmdk", "vpc"])
def test_every_format_that_qemu_writes(web: Person, volume_format: str) -> None:
    web("volume.add", name="disk1", pool="local", capacity=MIB, format=volume_format)
    assert web("volume.show", volume="local/disk1")["format"] == volume_format


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": "two words"}),
        ("name", {"name": ".hidden"}),
        ("name", {"name": "../../etc/passwd"}),
        ("name", {"name": "盘"}),
        ("display_name", {"display_name": "x" * 65}),
        ("capacity", {"capacity": 0}),
        ("capacity", {"capacity": -1}),
        ("capacity", {"capacity": 2**62}),
        ("format", {"format": "cow"}),
        ("format", {"format": "../qcow2"}),
        ("mode", {"mode": "0888"}),
        ("mode", {"mode": "rw-------"}),
        ("mode", {"mode": "4755"}),
        ("owner", {"owner": -1}),
        ("group", {"group": 2**32}),
        ("compat", {"compat": "2.0"}),
        ("compat", {"compat": "1.1", "format": "raw"}),
        ("lazy_refcounts", {"lazy_refcounts": True, "format": "raw"}),
        ("lazy_refcounts", {"lazy_refcounts": True, "compat": "0.10"}),
    ],
)
def test_a_broken_rule_is_said_at_its_field(office: Office, web: Person, field: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        web("volume.add", **{"name": "disk1", "pool": "local", "capacity": MIB, **values})
    assert refused.value.field == field
    assert web("volume.list")["total"] == 0
    assert last_task(office).kind == "pool.activate"


def test_a_name_is_given_once_in_each_pool(office: Office, web: Person) -> None:
    pool(office, "other", GIB, "web")
    web("volume.add", name="disk1", pool="local", capacity=MIB)
    with pytest.raises(AlreadyExists):
        web("volume.add", name="disk1", pool="local", capacity=MIB)
    web("volume.add", name="disk1", pool="other", capacity=MIB)
    with pytest.raises(NotFound, match="Several have the name disk1"):
        web("volume.show", volume="disk1")
    assert web("volume.show", volume="other/disk1")["pool"] == "other"


def test_the_quota_says_which_how_much_and_by_how_much(web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=3 * GIB)
    with pytest.raises(QuotaExceeded) as refused:
        web("volume.add", name="disk2", pool="local", capacity=2 * GIB)
    assert refused.value.text() == (
        "Project web may use 4 GiB of disk and has 3 GiB: this would be 1 GiB too much."
        " Make the volume smaller, delete others, or ask the system administrator for more."
    )
    assert refused.value.field == "capacity"
    web("volume.add", name="disk2", pool="local", capacity=GIB)
    assert web.names("volume.list") == ["disk1", "disk2"]


def test_the_pool_holds_what_it_promises_and_no_more(office: Office, web: Person) -> None:
    pool(office, "small", GIB, "web")
    web("volume.add", name="disk1", pool="small", capacity=GIB // 2)
    with pytest.raises(QuotaExceeded) as refused:
        web("volume.add", name="disk2", pool="small", capacity=GIB)
    assert "Storage pool small holds at most 1 GiB, of which 512 MiB are taken: this would be 512 MiB too much." in str(
        refused.value
    )
    assert web("volume.add", name="disk2", pool="small", capacity=GIB // 2)["name"] == "disk2", (
        "what just fits is not too much"
    )


def test_the_system_administrators_volumes_are_of_no_project_and_count_for_the_pool_only(
    office: Office, web: Person
) -> None:
    office.sysadm("volume.add", name="common", pool="local", capacity=9 * GIB)
    assert web("usage.show")["used_disk"] == 0
    (row,) = web("volume.list")["rows"]
    assert (row["name"], row["project"]) == ("common", "")
    for operation, more in (
        ("volume.grow", {"capacity": 9 * GIB + 10 * MB}),
        ("volume.delete", {}),
    ):
        with pytest.raises(PermissionDenied, match="belongs to no project"):
            web(operation, volume="common", **more)
    with pytest.raises(QuotaExceeded, match="Storage pool local"):
        web("volume.add", name="disk1", pool="local", capacity=2 * GIB)


def test_every_project_that_has_the_pool_titles_and_describes_what_belongs_to_none(office: Office, web: Person) -> None:
    """So the manual has it of units (9.2, 9.4.5); who has not got the pool does not even find the volume."""
    shop = office.project("shop")
    office.sysadm("volume.add", name="common", pool="local", capacity=GIB)
    row = web("volume.edit", volume="common", display_name="公用盘", description="of all")
    assert (row["display_name"], row["description"], row["project"]) == ("公用盘", "of all", "")
    with pytest.raises(NotFound):
        shop("volume.edit", volume="common", display_name="theirs")


def test_a_project_sees_and_touches_nothing_of_another(office: Office, web: Person) -> None:
    shop = office.project("shop")
    pool(office, "theirs", GIB, "shop")
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    assert shop("volume.list")["total"] == 0
    with pytest.raises(NotFound):
        shop("volume.add", name="disk2", pool="local", capacity=GIB)
    for operation, more in (
        ("volume.show", {}),
        ("volume.grow", {"capacity": 2 * GIB}),
        ("volume.edit", {"display_name": "x"}),
        ("volume.delete", {}),
    ):
        with pytest.raises(NotFound):
            shop(operation, volume="local/disk1", **more)


def test_a_pool_that_is_not_ready_takes_no_volumes(office: Office, web: Person) -> None:
    office.sysadm("pool.add", name="new", type="dir", host="h1", path="/srv/pools/new", capacity=GIB, projects=["web"])
    with pytest.raises(Refused, match="still being made"):
        web("volume.add", name="disk1", pool="new", capacity=MIB)
    settle(office)
    office.sysadm("pool.delete", pool="new")
    with pytest.raises(Refused, match="being deleted"):
        web("volume.add", name="disk1", pool="new", capacity=MIB)


def test_a_host_that_is_down_is_told_nothing(office: Office, web: Person, cloud: StillCloud) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    (host,) = cloud.views
    cloud.change(host, state="down")
    for operation, arguments in (
        ("volume.add", {"name": "disk2", "pool": "local", "capacity": GIB}),
        ("volume.grow", {"volume": "disk1", "capacity": 2 * GIB}),
        ("volume.delete", {"volume": "disk1"}),
    ):
        with pytest.raises(Refused, match="Host h1 is down"):
            web(operation, **arguments)
    (row,) = web("volume.list")["rows"]
    assert (row["name"], row["state"], row["capacity"]) == ("disk1", "present", GIB)


def test_growing_books_the_difference_at_once(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    web("volume.grow", volume="disk1", capacity=3 * GIB)
    task = last_task(office)
    assert (task.kind, json.loads(task.payload)) == (
        "volume.grow",
        {"capacity": 3 * GIB, "before": GIB, "thin": False},
    )
    assert web("usage.show")["used_disk"] == 3 * GIB
    with pytest.raises(Refused, match="Wait for its task"):
        web("volume.grow", volume="disk1", capacity=4 * GIB)
    settle(office)
    with pytest.raises(QuotaExceeded, match="this would be 1 GiB too much"):
        web("volume.grow", volume="disk1", capacity=5 * GIB)
    assert web("volume.show", volume="disk1")["capacity"] == 3 * GIB


@pytest.mark.parametrize("capacity", [GIB + 10 * MB - 512, GIB + 1, GIB, GIB - 1, 1])
def test_a_volume_grows_by_ten_megabytes_and_never_shrinks(office: Office, web: Person, capacity: int) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    with pytest.raises(InvalidInput, match="at least 10 MB") as refused:
        web("volume.grow", volume="disk1", capacity=capacity)
    assert refused.value.field == "capacity"
    web("volume.grow", volume="disk1", capacity=GIB + 10 * MB)


@pytest.mark.parametrize("volume_format", ["qcow", "vmdk", "vpc"])
def test_what_qemu_cannot_grow_is_said_at_once(office: Office, web: Person, volume_format: str) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB, format=volume_format)
    settle(office)
    with pytest.raises(Refused, match=f"cannot grow volumes of the format {volume_format}"):
        web("volume.grow", volume="disk1", capacity=2 * GIB)


def test_a_missing_volume_is_not_grown_but_can_be_forgotten(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    office.services.database.write(lambda s: s.query(Volume).update({"state": "missing"}))
    with pytest.raises(Refused, match="missing"):
        web("volume.grow", volume="disk1", capacity=2 * GIB)
    web("volume.delete", volume="disk1")


@pytest.mark.parametrize(
    ("power", "state"), [("on", "running"), ("on", "off"), ("off", "stopping"), ("off", "unknown"), ("off", "saved")]
)
def test_a_volume_of_a_vm_that_is_on_does_not_grow(office: Office, web: Person, power: str, state: str) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    use(office, "disk1", power=power, state=state)
    with pytest.raises(InUse, match="VMs that are on: shop-1"):
        web("volume.grow", volume="disk1", capacity=2 * GIB)


def test_a_volume_of_a_vm_that_is_off_grows(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    use(office, "disk1")
    assert web("volume.grow", volume="disk1", capacity=2 * GIB)["task"]


def test_a_volume_that_an_instance_uses_stays(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    use(office, "disk1")
    assert web("volume.show", volume="disk1")["instances"] == ["shop"]
    for person in (web, office.sysadm):
        with pytest.raises(InUse, match="used by instances: shop"):
            person("volume.delete", volume="disk1")
    assert web("volume.show", volume="disk1")["state"] == "present"


def test_others_instances_on_a_common_volume_are_nobodys_business(office: Office, web: Person) -> None:
    office.project("shop")
    office.sysadm("volume.add", name="common", pool="local", capacity=GIB)
    use(office, "common", project="shop")
    assert web("volume.show", volume="common")["instances"] == []
    assert office.sysadm("volume.show", volume="common")["instances"] == ["shop"]


def test_deleting_is_asked_for_once_and_counts_until_it_is_done(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    with pytest.raises(Refused, match="Wait for its task"):
        web("volume.delete", volume="disk1")
    settle(office)
    web("volume.delete", volume="disk1")
    assert last_task(office).kind == "volume.delete"
    assert web("volume.show", volume="disk1")["state"] == "deleting"
    assert web("usage.show")["used_disk"] == GIB
    with pytest.raises(Refused, match="Wait for its task"):
        web("volume.delete", volume="disk1")
    settle(office)
    assert web("usage.show")["used_disk"] == 0


def test_the_title_changes_and_a_stale_form_says_who_was_faster(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    row = web("volume.show", volume="disk1")
    assert web("volume.edit", volume="disk1", display_name="数据盘")["display_name"] == "数据盘"
    with pytest.raises(Conflict, match="web-admin changed Title meanwhile"):
        web("volume.edit", volume="disk1", display_name="other", version=row["version"])


def test_volumes_are_found(office: Office, web: Person) -> None:
    pool(office, "other", GIB, "web")
    web("volume.add", name="a", pool="local", capacity=2 * MIB, display_name="Ärger")
    web("volume.add", name="b", pool="other", capacity=MIB, format="raw")
    assert web.names("volume.list", filters={"pool": "other"}) == ["b"]
    assert web.names("volume.list", filters={"format": "qcow2"}) == ["a"]
    assert web.names("volume.list", filters={"state": "present"}) == []
    assert office.sysadm.names("volume.list", filters={"project": "web"}) == ["a", "b"]
    assert web.names("volume.list", search="ärg") == ["a"]
    for key in ("name", "display_name", "pool", "project", "format", "capacity", "allocation", "state", "created"):
        assert len(web.names("volume.list", sort=key)) == 2
    assert web.names("volume.list", sort="capacity") == ["b", "a"]


def test_a_pool_with_volumes_stays(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    settle(office)
    with pytest.raises(InUse, match="disk1"):
        office.sysadm("pool.delete", pool="local")
    assert office.services.database.read(lambda s: s.query(Pool).count()) == 1


def test_who_uses_a_volume_is_seen_from_both_sides(office: Office) -> None:
    web = rack.web(office)
    system, shared = rack.disk(office, web, "system"), rack.disk(office, web, "shared")
    rack.instance(web, "shop", disks=[{"volume": system}, {"volume": shared, "read_only": True}])
    rack.instance(web, "many", disks=[{"volume": shared, "read_only": True}])
    web("vm.add", name="shop-1", instance="shop")
    for number in range(7):
        web("vm.add", name=f"many-{number}", instance="many")
    rows = {row["name"]: row for row in web("volume.list")["rows"]}
    assert (rows["system"]["instances"], rows["system"]["vms"]) == (["shop"], ["shop-1"])
    assert rows["shared"]["instances"] == ["many", "shop"]
    assert rows["shared"]["vms"] == ["many-0", "many-1", "many-2", "many-3", "many-4", "…"]
    assert len(web("volume.show", volume=shared)["vms"]) == 8
    assert web("instance.show", instance="shop")["volumes"] == [shared, system]
    assert web("vm.show", vm="shop-1")["volumes"] == [shared, system]
    assert web("vm.show", vm="many-3")["volumes"] == [shared]
    found = [
        [row["name"] for row in web("volume.list", filters=filters)["rows"]]
        for filters in ({"vm": "shop-1"}, {"vm": "many-1"}, {"instance": "many"})
    ]
    assert found == [["shared", "system"], ["shared"], ["shared"]]


def test_vms_of_other_projects_are_nobodys_business(office: Office) -> None:
    web = rack.web(office)
    mail = office.project("mail")
    office.sysadm("project.configure", project="mail", pools=["local"])
    office.sysadm("volume.add", name="golden", pool="local", capacity=GIB)
    rack.settle(office)
    for person, name in ((web, "shop"), (mail, "post")):
        rack.instance(person, name, disks=[{"volume": "local/golden", "read_only": True}])
        person("vm.add", name=f"{name}-1", instance=name)
    assert web("volume.list")["rows"][0]["vms"] == ["shop-1"]
    assert web("volume.list", filters={"vm": "post-1"})["total"] == 0
    # The other way round, by name and by identity.
    uuid = web("volume.show", volume="local/golden")["uuid"]
    assert web.names("vm.list", filters={"volume": "local/golden"}) == ["shop-1"]
    assert office.sysadm.names("vm.list", filters={"volume": uuid}, sort="name") == ["post-1", "shop-1"]
    assert web("vm.list", filters={"volume": "local/silver"})["total"] == 0
    assert office.sysadm("volume.show", volume="local/golden")["vms"] == ["post-1", "shop-1"]


def _on_host(office: Office, error: str) -> None:
    """What host h1 says of the pool ``local``."""
    host = rack.host_id(office, "h1")

    def write(session: Any) -> None:
        pool_id = session.query(Pool).filter_by(name="local").one().id
        record_pool(session, pool_id, host, PoolState(error=error), office.services.clock.now())

    office.services.database.write(write)


def test_storage_that_is_gone_for_good_is_forgotten_and_nothing_in_it_is_touched(office: Office, web: Person) -> None:
    for name in ("one", "two"):
        web("volume.add", name=name, pool="local", capacity=GIB)
    settle(office)
    _on_host(office, "")
    with pytest.raises(Refused, match="Volume one is not missing, and its storage pool local is active"):
        office.sysadm("volume.forget", volume="local/one")
    _on_host(office, json.dumps(EngineError("Nothing is mounted there.").to_wire()))
    with pytest.raises(PermissionDenied):
        web("volume.forget", volume="local/one")
    rack.instance(web, "shop", disks=[{"volume": "local/two"}])
    with pytest.raises(InUse, match="shop"):
        office.sysadm("volume.forget", volume="local/two")
    web("instance.delete", instance="shop")
    web("volume.snapshot", volume="local/two", name="three")
    settle(office)
    with pytest.raises(InUse, match="three"):
        office.sysadm("volume.forget", volume="local/two")
    for name in ("three", "two", "one"):
        assert office.sysadm("volume.forget", volume=f"local/{name}")["name"] == name
    assert web.names("volume.list") == []
    assert office.sysadm("pool.show", pool="local")["used"] == 0
    kinds = office.services.database.read(lambda s: [task.kind for task in s.query(Task)])
    assert "volume.delete" not in kinds
    office.sysadm("pool.delete", pool="local")


def test_a_missing_volume_is_forgotten_also_in_a_pool_that_is_active(office: Office, web: Person) -> None:
    web("volume.add", name="one", pool="local", capacity=GIB)
    settle(office)
    _on_host(office, "")
    office.services.database.write(lambda s: s.query(Volume).update({"state": "missing"}))
    office.sysadm("volume.forget", volume="local/one")
    assert web.names("volume.list") == []
