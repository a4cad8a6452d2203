"""Instances: described as people write them, kept by identity, shown as they were written; and their VMs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select, update

from core.coordination.machines import load, stored_spec
from core.errors import (
    AlreadyExists,
    Conflict,
    DosvmError,
    InUse,
    InvalidInput,
    NeedsConsent,
    NotFound,
    QuotaExceeded,
    Refused,
    from_wire,
)
from core.model import (
    HostGroup,
    Image,
    Instance,
    Machine,
    OperationLog,
    Project,
    ProjectGroup,
    Volume,
    instance_image,
    instance_volume,
)
from core.services import sharing
from core.specs.instance import InstanceSpec
from screens.telling import label
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person
from tests.fakes.rack import MIB
from tests.unit.services.test_limits_race import at_once


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with host h1 and pool ``local``."""
    return rack.web(office)


def image(office: Office, name: str, *, project: str = "web", **values: Any) -> str:
    """An image of a project's group, that is there."""

    def work(session: Any) -> None:
        group = session.scalars(select(ProjectGroup).where(ProjectGroup.name == f"{project}-group")).one()
        owner = session.scalars(select(Project).where(Project.name == project)).one()
        usual = {"format": "raw", "file": f"{name}.img", "state": "present", "shared": True, "read_only": True}
        session.add(Image(name=name, group_id=group.id, project_id=owner.id, **{**usual, **values}))

    office.services.database.write(work)
    return name


def spec(office: Office, name: str) -> InstanceSpec:
    return stored_spec(rack.stored(office, name).spec)


def links(office: Office) -> tuple[int, int]:
    """How many ties to volumes and images there are."""

    def count(session: Any) -> tuple[int, int]:
        volumes, images = (
            session.scalar(select(func.count()).select_from(t)) for t in (instance_volume, instance_image)
        )
        return volumes, images

    return office.services.database.read(count)


def test_the_least_that_must_be_said(web: Person) -> None:
    row = web("instance.add", name="网站")
    usual = InstanceSpec()
    assert (row["vcpus"], row["memory"], row["unique"], row["enabled"]) == (1, usual.memory, False, True)
    assert web.names("instance.list") == ["网站"]
    assert web("usage.show")["used_instances"] == 1


def test_a_new_instance_can_be_seen_unless_somebody_says_otherwise(office: Office, web: Person) -> None:
    """Its screen is not open to the network: without a password it listens on its host's own address."""
    (screen,) = rack.instance(web, "seen")["graphics"]
    assert (screen["type"], screen["listen"], screen["password"]) == ("vnc", "", "")
    assert rack.instance(web, "blind", graphics=[])["graphics"] == []
    assert [s["type"] for s in rack.instance(web, "spicy", graphics=[{"type": "spice"}])["graphics"]] == ["spice"]


def test_what_is_shown_may_be_given_again(office: Office, web: Person) -> None:
    image(office, "cd", file="cd.iso")
    volume = rack.disk(office, web, "disk1")
    given: dict[str, Any] = {
        "vcpus": 3,
        "memory": "300MiB",
        "machine": "q35",
        "accelerator": "tcg",
        "boot": ["cdrom", "hd", "network"],
        "boot_menu": True,
        "boot_menu_timeout": -1,
        "tablet": False,
        "disks": [
            {"volume": volume, "bus": "virtio", "target": "vdb", "cache": "none", "read_only": True},
            {"device": "cdrom", "image": "cd", "startup_policy": "optional"},
            {"device": "cdrom"},
        ],
        "graphics": [
            {"type": "vnc", "sharing": "ignore", "listen": "0.0.0.0"},
            {"type": "spice", "port": 5910, "channels": [{"name": "main", "mode": "secure"}]},
        ],
        "host": "h1",
        "tuning_xml": "<domain><features><pae/></features></domain>",
        "devices_xml": "<devices><watchdog model='i6300esb'/></devices>",
    }
    shown = web("instance.add", name="one", **given)
    fields = {key: shown[key] for key in InstanceSpec.names()}
    assert [disk["volume"] or disk["image"] for disk in fields["disks"]] == [volume, "cd", ""]
    assert (fields["host"], fields["memory"]) == ("h1", 300 * MIB)
    again = web("instance.add", name="two", **fields)
    assert {key: again[key] for key in fields} == fields
    assert spec(office, "one") == spec(office, "two")
    kept = spec(office, "one")
    assert "disk1" not in rack.stored(office, "one").spec
    assert len(kept.disks[0].volume) == len(kept.disks[1].image) == len(kept.host) == 36
    before = web("instance.show", instance="one")
    assert web("instance.edit", instance="one", **fields)["version"] == before["version"]


def test_references_outlive_new_names(office: Office, web: Person) -> None:
    image(office, "cd", file="cd.iso")
    rack.instance(web, disks=[{"device": "cdrom", "image": "cd"}])
    web("image.edit", image="cd", name="new")
    assert web("instance.show", instance="shop")["disks"][0]["image"] == "new"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"vcpus": 0}, "vcpus"),
        ({"vcpus": 256}, "vcpus"),
        ({"memory": 1}, "memory"),
        ({"memory": "much"}, "memory"),
        ({"memory": True}, "memory"),
        ({"machine": "toaster"}, "machine"),
        ({"boot": ["moon"]}, "boot.0"),
        ({"disks": [{}]}, "disks.0.volume"),
        ({"disks": [{"volume": "local/none"}]}, "disks.0.volume"),
        ({"disks": [{"device": "cdrom", "image": "none"}]}, "disks.0.image"),
        ({"disks": [{"device": "cdrom", "bus": "virtio"}]}, "disks.0.bus"),
        ({"disks": [{"device": "cdrom", "weight": 1}]}, "disks.0.weight"),
        ({"graphics": [{"type": "vnc", "password": "ninechars"}]}, "graphics.0.password"),
        ({"graphics": [{"type": "spice", "password": "sealed:1:AAAA"}]}, "graphics.0.password"),
        ({"graphics": [{"type": "vnc", "port": 80}]}, "graphics.0.port"),
        ({"host": "nobody"}, "host"),
        ({"host_group": "nobody"}, "host_group"),
        ({"host": "h1", "host_group": "all"}, "host_group"),
        ({"devices_xml": "<devices><hostdev/></devices>"}, "devices_xml"),
        ({"display_name": "\x07"}, "display_name"),
        ({"name": ""}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    office: Office, web: Person, values: dict[str, Any], field: str
) -> None:
    with pytest.raises((InvalidInput, NotFound)) as caught:
        web("instance.add", **{"name": "shop", **values})
    assert caught.value.field == field
    assert "{" not in caught.value.text()
    assert web.names("instance.list") == []
    assert links(office) == (0, 0)


def test_names_are_the_projects_own(office: Office, web: Person) -> None:
    shop = office.project("shop")
    rack.instance(web, "same")
    rack.instance(shop, "same")
    with pytest.raises(AlreadyExists):
        rack.instance(web, "same")
    assert office.sysadm.names("instance.list") == ["same", "same"]
    assert office.sysadm("instance.show", instance="shop/same")["project"] == "shop"
    with pytest.raises(NotFound, match="Several"):
        office.sysadm("instance.show", instance="same")
    with pytest.raises(NotFound):
        shop("instance.show", instance=web("instance.show", instance="same")["uuid"])


def test_no_more_instances_than_the_quota(office: Office) -> None:
    web = rack.web(office, max_instances=2)
    ends = at_once([lambda n=n: rack.instance(web, f"i{n}") for n in range(5)])  # type: ignore[misc]
    assert {type(end) for end in ends} == {type(None), QuotaExceeded}
    assert ends.count(None) == 2
    with pytest.raises(QuotaExceeded, match=r"2 of at most 2\. This would be 1 too many"):
        rack.instance(web, "more")


def test_others_disks_and_images_are_not_found(office: Office, web: Person) -> None:
    shop = office.project("shop")
    image(office, "theirs", project="shop")
    volume = rack.disk(office, web, "disk1")
    with pytest.raises(NotFound):
        rack.instance(shop, disks=[{"volume": volume}])
    with pytest.raises(NotFound):
        rack.instance(web, disks=[{"image": "theirs"}])
    with pytest.raises(InvalidInput, match="Host h1 is in no host group"):
        rack.instance(shop, host="h1")
    with pytest.raises(NotFound):
        rack.instance(shop, host_group="all")


@pytest.mark.parametrize(
    ("disk", "unique"),
    [
        ({"volume": "local/disk1"}, True),
        ({"volume": "local/disk1", "read_only": True}, False),
        ({"image": "locked"}, False),
        ({"image": "open"}, True),
        ({"image": "open", "read_only": True}, False),
        ({"device": "cdrom", "image": "open"}, False),
    ],
)
def test_an_instance_that_writes_to_a_disk_has_one_vm(
    office: Office, web: Person, disk: dict[str, Any], unique: bool
) -> None:
    rack.disk(office, web, "disk1")
    image(office, "locked")
    image(office, "open", read_only=False)
    assert rack.instance(web, disks=[disk])["unique"] is unique
    web("vm.add", name="shop-1", instance="shop")
    if unique:
        with pytest.raises(InUse, match="one VM only"):
            web("vm.add", name="shop-2", instance="shop")
    else:
        web("vm.add", name="shop-2", instance="shop")


def test_one_vm_only_however_many_ask_at_once(office: Office, web: Person) -> None:
    rack.instance(web, disks=[{"volume": rack.disk(office, web, "disk1")}])
    ends = at_once([lambda n=n: web("vm.add", name=f"shop-{n}", instance="shop") for n in range(5)])  # type: ignore[misc]
    assert {type(end) for end in ends} == {type(None), InUse}
    assert ends.count(None) == 1


def test_several_vms_keep_an_instance_from_writing(office: Office, web: Person) -> None:
    volume = rack.disk(office, web, "disk1")
    rack.instance(web, disks=[{"volume": volume, "read_only": True}])
    for number in range(2):
        web("vm.add", name=f"shop-{number}", instance="shop")
    with pytest.raises(InUse, match="several VMs: shop-0, shop-1"):
        web("instance.edit", instance="shop", disks=[{"volume": volume}])
    assert not web("instance.show", instance="shop")["unique"]


@pytest.mark.parametrize("first", [True, False])
def test_a_disk_that_is_written_to_belongs_to_one_instance(office: Office, web: Person, first: bool) -> None:
    volume = rack.disk(office, web, "disk1")
    rack.instance(web, "one", disks=[{"volume": volume, "read_only": first}])
    with pytest.raises(InUse, match="disk1 is used by instance one"):
        rack.instance(web, "two", disks=[{"volume": volume, "read_only": not first}])
    assert links(office) == (1, 0)


def test_many_may_read_a_disk(office: Office, web: Person) -> None:
    volume = rack.disk(office, web, "disk1")
    for name in ("one", "two"):
        rack.instance(web, name, disks=[{"volume": volume, "read_only": True}])
    assert links(office) == (2, 0)


def test_one_writer_however_many_ask_at_once(office: Office, web: Person) -> None:
    """Also from several projects, when the volume is of none."""
    shop = office.project("shop")
    office.sysadm("project.configure", project="shop", pools=["local"])
    office.sysadm("volume.add", name="common", pool="local", capacity=GIB)
    rack.settle(office)
    disks = [{"volume": "local/common"}]
    ends = at_once(
        [lambda p=p, n=n: rack.instance(p, f"i{n}", disks=disks) for n in range(3) for p in (web, shop)]  # type: ignore[misc]
    )
    assert {type(end) for end in ends} <= {type(None), InUse, NeedsConsent, Conflict}
    assert ends.count(None) == 1
    assert links(office) == (1, 0)


@pytest.mark.parametrize("state", ["deleting", "missing", "failed"])
def test_a_disk_that_is_not_there_is_refused(office: Office, web: Person, state: str) -> None:
    volume = rack.disk(office, web, "disk1")
    office.services.database.write(lambda s: s.execute(update(Volume).values(state=state)))
    with pytest.raises(Refused, match=f"disk1 cannot be used now: it is {state}"):
        rack.instance(web, disks=[{"volume": volume}])


def test_a_disk_that_is_being_made_may_be_named_and_is_waited_for(office: Office, web: Person) -> None:
    web("volume.add", name="disk1", pool="local", capacity=GIB)
    rack.instance(web, disks=[{"volume": "local/disk1"}])
    uuid = web("vm.add", name="shop-1", instance="shop")["uuid"]
    database, vault = office.services.database, office.services.vault
    with pytest.raises(Refused, match="local/disk1 is still being made"):
        database.read(lambda s: load(s, uuid, vault))
    rack.settle(office)
    assert database.read(lambda s: load(s, uuid, vault))


def test_passwords_are_sealed_kept_and_never_shown(office: Office, web: Person) -> None:
    screens = [{"type": "vnc", "password": "geheim"}, {"type": "spice"}]
    rack.instance(web, graphics=screens)
    uuid = web("vm.add", name="shop-1", instance="shop")["uuid"]
    shown = web("instance.show", instance="shop")
    assert shown["passwords"] == ["vnc"]
    assert [screen["password"] for screen in shown["graphics"]] == ["", ""]

    def passwords() -> tuple[str, ...]:
        order = office.services.database.read(lambda s: load(s, uuid, office.services.vault))
        assert order is not None
        return order.passwords

    assert passwords() == ("geheim", "")
    web("instance.edit", instance="shop", graphics=[{"type": "spice"}, {"type": "vnc", "sharing": "ignore"}])
    assert passwords() == ("", "geheim")
    web("instance.edit", instance="shop", graphics=[{"type": "vnc", "password": "neu"}])
    assert passwords() == ("neu",)
    web("instance.edit", instance="shop", graphics=[])
    web("instance.edit", instance="shop", graphics=[{"type": "vnc"}])
    assert passwords() == ("",)

    def everything(session: Any) -> str:
        specs = session.scalars(select(Instance.spec)).all()
        return str(specs) + str([(r.detail, r.result) for r in session.scalars(select(OperationLog))])

    found = office.services.database.read(everything)
    assert "geheim" not in found
    assert "neu" not in found
    assert "sealed" not in str(office.sysadm("log.list"))


def test_who_was_slower_is_told_which_screens_password_was_changed(office: Office, web: Person) -> None:
    rack.instance(web, graphics=[{"type": "vnc", "password": "geheim"}, {"type": "spice"}])
    version = web("instance.show", instance="shop")["version"]
    vnc, spice = {"type": "vnc"}, {"type": "spice"}

    def changed(version: int) -> list[str]:
        with pytest.raises(Conflict) as overtaken:
            web("instance.edit", instance="shop", graphics=[{"type": "vnc", "password": "mine"}], version=version)
        return list(overtaken.value.parameters["changed"])

    web("instance.edit", instance="shop", graphics=[{**vnc, "password": "neu"}, spice], version=version)
    assert changed(version) == ["graphics.vnc.password"], "and not the screens, which look as they did"
    web("instance.edit", instance="shop", graphics=[vnc, {**spice, "password": "auch"}], version=version + 1)
    assert changed(version + 1) == ["graphics.spice.password"]
    web("instance.edit", instance="shop", graphics=[{**vnc, "port": 5901}, spice], version=version + 2)
    assert changed(version + 2) == ["graphics"]
    web("instance.edit", instance="shop", graphics=[{**vnc, "port": 5901}], version=version + 3)
    assert changed(version + 3) == ["graphics", "graphics.spice.password"]
    assert label("instance.edit", "graphics.vnc.password") == "Screens (vnc Password)"


def test_a_screens_password_is_removed_when_that_is_asked_for(office: Office, web: Person) -> None:
    rack.instance(web, graphics=[{"type": "vnc", "password": "geheim"}, {"type": "spice", "password": "auch"}])
    shown = web("instance.edit", instance="shop", graphics=[{"type": "vnc", "clear_password": True}, {"type": "spice"}])
    assert shown["passwords"] == ["spice"]
    assert all("clear_password" not in screen for screen in shown["graphics"])
    # What is shown may be given again, and changes nothing.
    version = shown["version"]
    assert web("instance.edit", instance="shop", graphics=shown["graphics"])["version"] == version
    with pytest.raises(InvalidInput, match="not both") as caught:
        web("instance.edit", instance="shop", graphics=[{"type": "vnc", "password": "neu", "clear_password": True}])
    assert caught.value.field == "graphics.0.clear_password"


def test_choices_are_said_without_the_empty_one(office: Office, web: Person) -> None:
    with pytest.raises(InvalidInput) as caught:
        rack.instance(web, disks=[{"device": "cdrom", "bus": "isa"}])
    assert caught.value.text() == "It is one of virtio, sata, scsi, ide, usb."


def test_a_sealed_password_does_not_open_for_another_instance(office: Office, web: Person) -> None:
    rack.instance(web, "one", graphics=[{"type": "vnc", "password": "geheim"}])
    rack.instance(web, "two")
    uuid = web("vm.add", name="two-1", instance="two")["uuid"]
    stolen = rack.stored(office, "one").spec
    office.services.database.write(lambda s: s.execute(update(Instance).values(spec=stolen)))
    with pytest.raises(Refused, match="cannot be opened"):
        office.services.database.read(lambda s: load(s, uuid, office.services.vault))


def test_an_edit_changes_what_it_names(office: Office, web: Person) -> None:
    row = rack.instance(web, vcpus=2, disks=[{"volume": rack.disk(office, web, "disk1")}], host="h1")
    after = web("instance.edit", instance="shop", memory="1GiB", display_name="Laden", version=row["version"])
    assert (after["memory"], after["vcpus"], after["display_name"], after["host"]) == (GIB, 2, "Laden", "h1")
    assert after["disks"] == row["disks"]
    assert after["version"] == row["version"] + 1
    assert web("instance.edit", instance="shop", name="store")["name"] == "store"
    with pytest.raises(Conflict):
        web("instance.edit", instance="store", vcpus=3, version=row["version"])
    edits = [row for row in office.sysadm("log.list")["rows"] if row["operation"] == "instance.edit"]
    assert any("memory" in str(row["detail"]) for row in edits), edits


def test_a_host_group_takes_the_place_of_a_host(office: Office, web: Person) -> None:
    rack.instance(web, host="h1")
    after = web("instance.edit", instance="shop", host_group="all")
    assert (after["host"], after["host_group"]) == ("", "all")
    after = web("instance.edit", instance="shop", host_group="")
    assert (after["host"], after["host_group"]) == ("", "")
    group = office.services.database.read(lambda s: s.scalars(select(HostGroup.id)).one())
    web("instance.edit", instance="shop", host_group="all")
    assert rack.stored(office, "shop").host_group_id == group


def test_a_disk_is_let_go_by_an_edit_and_by_deletion(office: Office, web: Person) -> None:
    volume = rack.disk(office, web, "disk1")
    rack.instance(web, disks=[{"volume": volume}])
    with pytest.raises(InUse):
        web("volume.delete", volume=volume)
    web("instance.edit", instance="shop", disks=[])
    assert links(office) == (0, 0)
    web("instance.edit", instance="shop", disks=[{"volume": volume}])
    web("vm.add", name="shop-1", instance="shop")
    with pytest.raises(InUse, match="Instance shop has VMs: shop-1"):
        web("instance.delete", instance="shop")
    web("vm.delete", vm="shop-1")
    web("instance.delete", instance="shop")
    assert links(office) == (0, 0)
    web("volume.delete", volume=volume)


def test_lists_say_how_many_vms_there_are(office: Office, web: Person) -> None:
    rack.instance(web, "one", vcpus=2)
    rack.instance(web, "two", display_name="Laden")
    for number in range(2):
        web("vm.add", name=f"vm-{number}", instance="one")
    rows = {row["name"]: row for row in web("instance.list", sort="vms", descending=True)["rows"]}
    assert [(name, row["vms"]) for name, row in rows.items()] == [("one", 2), ("two", 0)]
    assert web.names("instance.list", search="lad") == ["two"]
    web("instance.disable", instance="one")
    assert web.names("instance.list", filters={"enabled": "no"}) == ["one"]


@pytest.mark.parametrize("name", ["", "-x", "a b", "网站", "a/b", "x" * 65, "6f1e2d3c-0000-4000-8000-123456789abc"])
def test_names_of_vms_are_plain(web: Person, name: str) -> None:
    rack.instance(web)
    with pytest.raises(InvalidInput) as caught:
        web("vm.add", name=name, instance="shop")
    assert caught.value.field == "name"


def test_names_of_vms_are_the_projects_own(office: Office, web: Person) -> None:
    shop = office.project("shop")
    for person in (web, shop):
        rack.instance(person)
        person("vm.add", name="vm-1", instance="shop")
    with pytest.raises(AlreadyExists):
        web("vm.add", name="vm-1", instance="shop")
    with pytest.raises(NotFound):
        shop("vm.show", vm=rack_uuid(office, "web"))
    assert office.sysadm("vm.show", vm="web/vm-1")["project"] == "web"


def rack_uuid(office: Office, project: str) -> str:
    uuid: str = office.sysadm("vm.show", vm=f"{project}/vm-1")["uuid"]
    return uuid


def test_a_vm_may_start_as_it_is_made(office: Office, web: Person) -> None:
    rack.instance(web)
    row = web("vm.add", name="shop-1", instance="shop", start=True)
    assert (row["power"], row["state"], row["host"]) == ("on", "starting", "h1")
    assert web("task.show", task=row["task"])["kind"] == "machine.start"


def test_a_vm_that_cannot_start_is_not_made(office: Office, web: Person) -> None:
    office.sysadm("project.configure", project="web", max_vcpus=0)
    rack.instance(web)
    with pytest.raises(QuotaExceeded):
        web("vm.add", name="shop-1", instance="shop", start=True)
    assert web.names("vm.list") == []


def test_a_vm_whose_host_is_gone_can_be_deleted(office: Office, web: Person) -> None:
    rack.instance(web)
    web("vm.add", name="shop-1", instance="shop")
    office.services.database.write(lambda s: s.execute(update(Machine).values(state="unknown", host_id=None)))
    web("vm.delete", vm="shop-1")
    assert web.names("vm.list") == []


def test_what_people_type_does_not_break_the_sentence(web: Person) -> None:
    with pytest.raises(DosvmError) as caught:
        web("instance.add", name="shop", disks=[{"volume": "{name}/{x}"}])
    assert "{name}/{x}" in caught.value.text()
    assert json.dumps(caught.value.to_wire())


def disks(office: Office, name: str) -> list[str]:
    """The volumes and images that an instance's configuration names, as people do."""
    row = rack.stored(office, name)
    return [disk.volume or disk.image for disk in stored_spec(row.spec).disks]


def test_a_volume_moves_from_another_instance_when_that_is_meant(office: Office, web: Person) -> None:
    system, data = rack.disk(office, web, "system"), rack.disk(office, web, "data")
    rack.instance(web, "old", disks=[{"volume": system}, {"volume": data}])
    rack.instance(web, "new", disks=[])
    with pytest.raises(NeedsConsent, match="local/data is used by instance old") as asked:
        web("instance.edit", instance="new", disks=[{"volume": data}])
    assert (asked.value.field, asked.value.parameters["argument"]) == ("disks", "move")
    assert "local/data is used by instance old. Move it here?" in asked.value.question()
    assert disks(office, "new") == []
    (told,) = web("instance.edit", instance="new", disks=[{"volume": data}], move=True)["warnings"]
    assert from_wire(told).text() == "These volumes left other instances (named in brackets): local/data (old)."
    kept = web("volume.show", volume=data)
    assert kept["instances"] == ["new"]
    assert web("instance.show", instance="old")["disks"][0]["volume"] == system
    assert len(disks(office, "old")) == 1
    log = office.services.database.read(
        lambda s: s.scalars(select(OperationLog).order_by(OperationLog.id.desc()).limit(1)).one().detail
    )
    assert "local/data (old)" in log


def test_a_yes_covers_only_what_was_asked_about(office: Office, web: Person) -> None:
    one, two = rack.disk(office, web, "one"), rack.disk(office, web, "two")
    rack.instance(web, "first", disks=[{"volume": one}])
    rack.instance(web, "second", disks=[{"volume": two}])
    rack.instance(web, "new", disks=[])
    with pytest.raises(NeedsConsent) as asked:
        web("instance.edit", instance="new", disks=[{"volume": one}])
    agreed = asked.value.parameters["agreed"]
    with pytest.raises(NeedsConsent, match="used by instance second"):
        web("instance.edit", instance="new", disks=[{"volume": one}, {"volume": two}], move=agreed)
    with pytest.raises(InvalidInput):
        web("instance.edit", instance="new", disks=[{"volume": one}], move={"all": 1})
    assert (disks(office, "first"), disks(office, "second")) != ([], [])
    web("instance.edit", instance="new", disks=[{"volume": one}], move=agreed)
    assert (disks(office, "first"), len(disks(office, "second"))) == ([], 1)


def test_a_new_instance_takes_volumes_along_and_the_old_one_may_have_many_vms_then(office: Office, web: Person) -> None:
    disk = rack.disk(office, web, "data")
    rack.instance(web, "old", disks=[{"volume": disk}])
    assert web("instance.show", instance="old")["unique"]
    with pytest.raises(NeedsConsent):
        rack.instance(web, "new", disks=[{"volume": disk}])
    rack.instance(web, "new", disks=[{"volume": disk}], move=True)
    old = web("instance.show", instance="old")
    assert (old["unique"], old["disks"], old["version"]) == (False, [], 1)
    for vm in ("a", "b"):
        web("vm.add", name=vm, instance="old")


def test_an_image_that_is_written_to_keeps_the_old_instance_to_one_vm(office: Office, web: Person) -> None:
    disk = rack.disk(office, web, "data")
    golden = image(office, "golden", read_only=False)
    rack.instance(web, "old", disks=[{"volume": disk}, {"image": golden}])
    rack.instance(web, "new", disks=[{"volume": disk}], move=True)
    assert web("instance.show", instance="old")["unique"]
    with pytest.raises(InUse, match="belongs to one instance"):
        rack.instance(web, "third", disks=[{"image": golden}], move=True)


@pytest.mark.parametrize("second", [{"read_only": True}, {"device": "cdrom"}])
def test_what_an_instance_writes_to_no_other_reads(office: Office, web: Person, second: dict[str, Any]) -> None:
    """Whichever comes first: a guest that reads while another writes sees torn data, and QEMU's lock ends one."""
    golden, locked = image(office, "golden", read_only=False), image(office, "locked")
    rack.instance(web, "writer", disks=[{"image": golden}, {"image": locked}])
    with pytest.raises(InUse, match="golden is used by instance writer; a disk that is written to"):
        rack.instance(web, "reader", disks=[{"image": golden, **second}])
    rack.instance(web, "others", disks=[{"image": locked, **second}])
    web("instance.edit", instance="writer", disks=[])
    rack.instance(web, "reader", disks=[{"image": golden, **second}])
    with pytest.raises(InUse, match="golden is used by instance reader; a disk that is written to"):
        rack.instance(web, "writer2", disks=[{"image": golden}])


def test_nothing_moves_from_under_a_vm_that_is_on(office: Office, web: Person) -> None:
    disk = rack.disk(office, web, "data")
    rack.instance(web, "old", disks=[{"volume": disk}])
    web("vm.add", name="old-1", instance="old", start=True)
    for state in ("being started", "running"):
        with pytest.raises(InUse, match="are on or come back after maintenance: old-1"):
            rack.instance(web, "new", disks=[{"volume": disk}], move=True)
        assert rack.work(office) == (["machine.start"] if state == "being started" else [])
    web("vm.stop", vm="old-1", force=True)
    with pytest.raises(InUse, match="are on or come back after maintenance: old-1"):
        rack.instance(web, "new", disks=[{"volume": disk}], move=True)
    rack.work(office)
    host, database = rack.host_id(office, "h1"), office.services.database
    database.write(lambda s: s.execute(update(Machine).values(drained_id=host)))
    with pytest.raises(InUse, match="come back after maintenance: old-1"):
        rack.instance(web, "new", disks=[{"volume": disk}], move=True)
    database.write(lambda s: s.execute(update(Machine).values(drained_id=None)))
    rack.instance(web, "new", disks=[{"volume": disk}], move=True)


def test_an_instance_that_is_changed_while_a_volume_leaves_it_keeps_the_change(
    office: Office, web: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = rack.disk(office, web, "data")
    rack.instance(web, "old", disks=[{"volume": disk}])
    writes_any = sharing.alone

    def meanwhile(call: Any, spec: Any) -> bool:
        # On MariaDB another transaction may have done so since the configuration was read.
        changed = update(Instance).where(Instance.name == "old").values(version=Instance.version + 1)
        call.session.execute(changed.execution_options(synchronize_session=False))
        return writes_any(call, spec)

    monkeypatch.setattr(sharing, "alone", meanwhile)
    with pytest.raises(Conflict):
        rack.instance(web, "new", disks=[{"volume": disk}], move=True)


def test_another_projects_volume_does_not_move(office: Office, web: Person) -> None:
    office.sysadm("volume.add", name="shared", pool="local", capacity=GIB)
    rack.settle(office)
    rack.instance(web, "old", disks=[{"volume": "local/shared"}])
    mail = office.project("mail")
    office.sysadm("project.configure", project="mail", pools=["local"])
    with pytest.raises(InUse, match="by another project") as refused:
        rack.instance(mail, "new", disks=[{"volume": "local/shared"}], move=True)
    assert "old" not in refused.value.text()
    assert not isinstance(refused.value, NeedsConsent)


def test_two_who_take_one_volume_at_once_do_not_both_get_it(office: Office, web: Person) -> None:
    disk = rack.disk(office, web, "data")
    rack.instance(web, "old", disks=[{"volume": disk}])
    for name in ("one", "two"):
        rack.instance(web, name, disks=[])
    at_once(
        [
            lambda n=name: web("instance.edit", instance=n, disks=[{"volume": disk}], move=True)
            for name in ("one", "two")
        ]
    )  # type: ignore[misc]
    assert len(web("volume.show", volume=disk)["instances"]) == 1
    assert sorted(len(disks(office, name)) for name in ("old", "one", "two")) == [0, 0, 1]


def test_a_name_with_slashes_is_only_a_name(office: Office, web: Person) -> None:
    """`../../etc` was refused: a slash parts a project from an instance for the system administrator alone."""
    for name in ("../../etc", "a/b", "/", "[red]x", "'; DROP TABLE instance"):
        rack.instance(web, name)
        assert web("instance.show", instance=name)["name"] == name
        assert office.sysadm("instance.show", instance=f"web/{name}")["name"] == name
        web("vm.add", name=f"vm-{len(name)}", instance=name)
    assert office.sysadm("instance.show", instance="../../etc")["project"] == "web"
    rack.instance(web, "b")
    assert web("instance.show", instance="web/b")["name"] == "b"
    # Two that a reference could mean are not chosen between.
    rack.instance(web, "web/b")
    with pytest.raises(NotFound, match="Several have the name web/b"):
        web("instance.show", instance="web/b")
    web("instance.edit", instance="../../etc", name="plain")
    assert web("instance.show", instance="plain")["name"] == "plain"


def test_what_cannot_be_used_says_what_to_do_and_where(office: Office, web: Person) -> None:
    volume = rack.disk(office, web, "disk1")
    office.services.database.write(lambda s: s.execute(update(Volume).values(state="foreign")))
    with pytest.raises(Refused, match=r"it is foreign\. The system administrator says first what it is"):
        rack.instance(web, "shop", disks=[{"volume": volume}])
    office.services.database.write(lambda s: s.execute(update(Volume).values(state="missing")))
    with pytest.raises(Refused, match=r"it is missing\. Bring its file back and refresh"):
        rack.instance(web, "shop", disks=[{"volume": volume}])
    office.services.database.write(lambda s: s.execute(update(Volume).values(state="present")))
    web("volume.snapshot", volume=volume, name="later")
    rack.settle(office)
    with pytest.raises(InUse, match="Snapshots rest on volume disk1") as refused:
        rack.instance(web, "shop", disks=[{"volume": volume}])
    assert refused.value.field == "disks"
