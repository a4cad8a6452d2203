"""Images: files of a project group, registered, shared, used and deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.coordination.charges import fit_image_bytes
from core.errors import (
    AlreadyExists,
    Conflict,
    InUse,
    InvalidInput,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Refused,
    Unavailable,
)
from core.model import Image, Instance, Project, Task, TaskState, instance_image
from core.services.image_uploads import finish
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, PASSWORD, Office, Person

MIB = 1024**2


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project, and a host that is up."""
    admin = office.project("web", max_images=3, max_image_bytes=GIB)
    office.host("h1")
    return admin


@pytest.fixture
def shop(office: Office, web: Person) -> Person:
    """The admin of another project of the same group."""
    office.sysadm("project.add", name="shop", group="web-group")
    office.sysadm("project.configure", project="shop", max_images=3, max_image_bytes=GIB)
    return office.user("shop-admin", "shop")


def settle(office: Office, *, size: int = MIB) -> None:
    """Let hosts do what they were told: files are what was said, what was being deleted is gone."""

    def work(session: Any) -> None:
        session.query(Task).update({"state": TaskState.DONE.value})
        session.query(Image).filter_by(state="creating").update({"state": "present", "size": size})
        session.query(Image).filter_by(state="deleting").delete()

    office.services.database.write(work)


def last_task(office: Office) -> Task:
    """The task that was entered last."""
    found: Task = office.services.database.read(lambda s: s.query(Task).order_by(Task.id.desc()).limit(1).one())
    return found


def use(office: Office, image: str, *, project: str = "web") -> None:
    """An instance that uses the image."""

    def work(session: Any) -> None:
        owner = session.query(Project).filter_by(name=project).one().id
        instance = Instance(project_id=owner, name=f"{project}-1", spec="{}", vcpus=1, memory=MIB)
        session.add(instance)
        session.flush()
        file = session.query(Image).filter_by(name=image).one().id
        session.execute(instance_image.insert().values(instance_id=instance.id, image_id=file))

    office.services.database.write(work)


def test_a_new_image_is_looked_at_by_a_host(office: Office, web: Person) -> None:
    answer = web("image.add", name="Debian 安装盘", file="iso/debian.iso", description="netinst")
    (row,) = web("image.list")["rows"]
    assert (row["name"], row["file"], row["format"]) == ("Debian 安装盘", "iso/debian.iso", "raw")
    assert (row["group"], row["path"]) == ("web-group", "/srv/dosvm-test/web/iso/debian.iso")
    assert (row["state"], row["own"], row["shared"], row["read_only"]) == ("creating", True, True, True)
    task = last_task(office)
    assert (task.kind, task.uuid, task.target, task.payload) == ("image.check", answer["task"], row["uuid"], "")
    assert web("image.show", image="Debian 安装盘")["description"] == "netinst"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 65}),
        ("file", {"file": "/etc/shadow"}),
        ("file", {"file": "../other/disk"}),
        ("file", {"file": "a/../../b"}),
        ("file", {"file": ".hidden"}),
        ("file", {"file": ""}),
        ("format", {"format": "vmdk"}),
        ("architecture", {"architecture": "sparc"}),
        ("description", {"description": "x" * 4001}),
    ],
)
def test_a_broken_rule_is_said_at_its_field(web: Person, field: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        web("image.add", **{"name": "debian", "file": "debian.iso", **values})
    assert refused.value.field == field
    assert web("image.list")["total"] == 0


@pytest.mark.parametrize("name", ["[red]x", "'; DROP TABLE image; --", "网" * 64, "🐧"])
def test_any_name_is_only_a_name(web: Person, name: str) -> None:
    web("image.add", name=name, file="a.iso")
    assert web("image.show", image=name)["name"] == name


def test_a_file_and_a_name_are_taken_once_in_a_group(web: Person, shop: Person) -> None:
    web("image.add", name="debian", file="debian.iso")
    with pytest.raises(AlreadyExists, match=r"debian.iso is registered as an image already") as file:
        shop("image.add", name="other", file="debian.iso")
    assert file.value.field == "file"
    with pytest.raises(AlreadyExists) as name:
        shop("image.add", name="debian", file="other.iso")
    assert name.value.field == "name"


def test_the_group_must_be_named_when_there_are_several(office: Office, web: Person) -> None:
    office.sysadm("project-group.add", name="common", directory="/srv/dosvm-test/common")
    office.sysadm("project-group.add", name="foreign", directory="/srv/dosvm-test/foreign")
    office.sysadm("project-group.add-project", project_group="common", project="web")
    with pytest.raises(InvalidInput, match="common, web-group") as refused:
        web("image.add", name="debian", file="debian.iso")
    assert refused.value.field == "group"
    web("image.add", name="debian", file="debian.iso", group="common")
    assert web("image.show", image="debian")["path"] == "/srv/dosvm-test/common/debian.iso"
    with pytest.raises(NotFound):
        web("image.add", name="x", file="x.iso", group="foreign")


def test_the_number_of_images_is_limited(web: Person) -> None:
    for n in range(3):
        web("image.add", name=f"image{n}", file=f"{n}.iso")
    with pytest.raises(QuotaExceeded) as refused:
        web("image.add", name="one-more", file="more.iso")
    assert str(refused.value).startswith("Images of project web: 3 of at most 3. This would be 1 too many.")


def test_the_size_is_limited_once_it_is_known(office: Office, web: Person) -> None:
    web("image.add", name="first", file="first.iso")
    settle(office, size=GIB // 2)
    web("image.add", name="second", file="second.iso")
    image = office.services.database.read(lambda s: s.query(Image).filter_by(name="second").one())
    office.services.database.write(lambda s: fit_image_bytes(s, image.id, GIB // 2))
    with pytest.raises(QuotaExceeded) as refused:
        office.services.database.write(lambda s: fit_image_bytes(s, image.id, GIB))
    assert str(refused.value).startswith(
        "Images of project web may have 1 GiB and have 512 MiB: this one would be 512 MiB too much."
    )
    first = office.services.database.read(lambda s: s.query(Image).filter_by(name="first").one())
    office.services.database.write(lambda s: fit_image_bytes(s, first.id, GIB))  # looked at again: counted once
    with pytest.raises(Conflict):
        office.services.database.write(lambda s: fit_image_bytes(s, 10**6, 1))


def test_the_group_sees_and_uses_all_its_images(office: Office, web: Person, shop: Person) -> None:
    """Those that VMs do not share were hidden from the group's other projects: the manual (9.5.2) means VMs."""
    other = office.project("other")
    web("image.add", name="common", file="common.iso")
    web("image.add", name="mine", file="mine.iso", shared=False)
    assert shop.names("image.list") == ["common", "mine"]
    assert shop("image.show", image="mine")["own"] is False
    assert other("image.list")["total"] == 0
    assert shop("image.edit", image="mine", description="of us all")["description"] == "of us all"
    with pytest.raises(PermissionDenied):
        office.sysadm("image.edit", image="common", description="x")
    with pytest.raises(NotFound):
        other("image.edit", image="mine", description="x")
    assert office.sysadm.names("image.list") == ["common", "mine"]


@pytest.mark.parametrize("device", ["cdrom", "disk"])
def test_what_vms_do_not_share_is_one_vms(office: Office, web: Person, shop: Person, device: str) -> None:
    office.sysadm("project.configure", project="shop", max_instances=1)
    web("image.add", name="mine", file="mine.iso", shared=False)
    settle(office)
    disks = [{"device": device, "image": "mine"}]
    assert web("instance.add", name="one", disks=disks)["unique"] is True
    web("vm.add", name="one-1", instance="one")
    with pytest.raises(InUse, match="so it can have one VM only"):
        web("vm.add", name="one-2", instance="one")
    with pytest.raises(InUse, match="mine is used by instance one; an image that VMs do not share"):
        web("instance.add", name="two", disks=disks)
    with pytest.raises(InUse, match="mine is used by another project; an image that VMs do not share"):
        shop("instance.add", name="two", disks=disks)
    # Any project of the group says so; what is used as one VM's alone may be shared from then on.
    shop("image.edit", image="mine", shared=True)
    assert web("instance.show", instance="one")["unique"] is False
    web("vm.add", name="one-2", instance="one")
    shop("instance.add", name="two", disks=disks)
    with pytest.raises(InUse, match=r"used by several instances or VMs already: one, one-1, one-2\.") as refused:
        web("image.edit", image="mine", shared=False)
    assert refused.value.field == "shared"
    assert web("image.show", image="mine")["shared"] is True


def test_only_the_project_that_registered_it_deletes_it(office: Office, web: Person, shop: Person) -> None:
    web("image.add", name="common", file="common.iso")
    with pytest.raises(Refused, match="Wait for its task"):
        web("image.delete", image="common")
    settle(office)
    with pytest.raises(Refused, match="belongs to project web"):
        shop("image.delete", image="common")
    web("image.delete", image="common")
    assert last_task(office).kind == "image.delete"
    assert web("image.show", image="common")["state"] == "deleting"


def test_an_image_that_an_instance_uses_stays_as_it_is(office: Office, web: Person) -> None:
    web("image.add", name="debian", file="debian.iso")
    settle(office)
    use(office, "debian")
    assert web("image.show", image="debian")["instances"] == ["web-1"]
    for values in ({"file": "other.iso"}, {"format": "qcow2"}, {"read_only": False}):
        with pytest.raises(InUse, match="used by instances: web-1"):
            web("image.edit", image="debian", **values)
    with pytest.raises(InUse, match="web-1"):
        web("image.delete", image="debian")
    row = web("image.edit", image="debian", name="Debian 12", architecture="i686", shared=False)
    assert (row["name"], row["architecture"], row["shared"]) == ("Debian 12", "i686", False)
    assert (row["file"], row["state"]) == ("debian.iso", "present")


def test_what_others_use_is_neither_deleted_nor_taken_from_them_and_not_named(
    office: Office, web: Person, shop: Person
) -> None:
    web("image.add", name="debian", file="debian.iso")
    settle(office)
    use(office, "debian", project="shop")
    assert web("image.show", image="debian")["instances"] == []
    changes: tuple[tuple[str, dict[str, Any]], ...] = (("image.delete", {}), ("image.edit", {"format": "qcow2"}))
    for operation, values in changes:
        with pytest.raises(InUse, match="instances of other projects") as refused:
            web(operation, image="debian", **values)
        assert "shop" not in refused.value.text()
    assert shop("image.show", image="debian")["instances"] == ["shop-1"]


def test_another_format_is_looked_at_before_anything_starts_from_it(office: Office, web: Person) -> None:
    web("image.add", name="disk", file="disk.img")
    settle(office)
    answer = web("image.edit", image="disk", format="qcow2", file="disk.qcow2")
    task = last_task(office)
    assert (task.kind, task.uuid) == ("image.check", answer["task"])
    before = {"file": "disk.img", "format": "raw", "state": "present", "digest": "", "received": 0}
    assert json.loads(task.payload) == {"before": before}
    assert (answer["state"], answer["format"], answer["file"]) == ("creating", "qcow2", "disk.qcow2")
    with pytest.raises(Refused, match="Wait for its task"):
        web("image.edit", image="disk", format="raw")
    count = office.services.database.read(lambda s: s.query(Task).count())
    assert "task" not in web("image.edit", image="disk", format="qcow2", description="x")
    assert office.services.database.read(lambda s: s.query(Task).count()) == count


def test_an_edit_keeps_names_and_files_apart(office: Office, web: Person) -> None:
    web("image.add", name="a", file="a.iso")
    web("image.add", name="b", file="b.iso")
    settle(office)
    with pytest.raises(AlreadyExists) as name:
        web("image.edit", image="a", name="b")
    with pytest.raises(AlreadyExists) as file:
        web("image.edit", image="a", file="b.iso")
    assert (name.value.field, file.value.field) == ("name", "file")
    stale = web("image.show", image="a")["version"]
    web("image.edit", image="a", description="x")
    with pytest.raises(Conflict):
        web("image.edit", image="a", description="y", version=stale)


def test_this_host_looks_first_and_the_same_one_again(office: Office, web: Person, cloud: StillCloud) -> None:
    first = next(iter(cloud.views))
    second = office.host("h2")
    cloud.me = cloud.views[second].uuid
    web("image.add", name="a", file="a.iso")
    assert last_task(office).host_id == second
    settle(office)
    cloud.me = cloud.views[first].uuid
    web("image.delete", image="a")
    assert last_task(office).host_id == second, "the file is where it was looked at"
    settle(office)
    cloud.change(first, state="down")
    web("image.add", name="b", file="b.iso")
    assert last_task(office).host_id == second


def test_without_a_host_nothing_is_registered(web: Person, cloud: StillCloud) -> None:
    for host in cloud.views:
        cloud.change(host, state="down")
    with pytest.raises(Unavailable, match="No host is up"):
        web("image.add", name="a", file="a.iso")
    assert web("image.list")["total"] == 0


def test_an_image_whose_host_is_removed_does_not_wait_for_it(office: Office, web: Person, cloud: StillCloud) -> None:
    web("image.add", name="iso", file="a.iso", format="iso")
    cloud.change(last_task(office).host_id, state="down")
    office.sysadm("host.delete", host="h1")
    assert web("image.show", image="iso")["state"] == "failed"
    office.host("h2")
    web("image.delete", image="iso")
    settle(office)
    assert web.names("image.list") == []


def test_images_are_found(office: Office, web: Person) -> None:
    web("image.add", name="a", file="a.iso", format="iso")
    web("image.add", name="b", file="b.qcow2", format="qcow2", shared=False, description="Zeta")
    assert web.names("image.list", filters={"format": "iso"}) == ["a"]
    assert web.names("image.list", filters={"group": "web-group"}) == ["a", "b"]
    assert web.names("image.list", filters={"shared": "no"}) == ["b"]
    assert office.sysadm.names("image.list", filters={"project": "web", "state": "creating"}) == ["a", "b"]
    assert web.names("image.list", search="zeta") == ["b"]
    for key in ("name", "file", "group", "project", "format", "architecture", "shared", "size", "state", "created"):
        assert len(web.names("image.list", sort=key, descending=True)) == 2


def test_the_first_run_helper_has_this_host_install_the_sample_image(office: Office, cloud: StillCloud) -> None:
    host = office.host("h1")
    cloud.me = cloud.views[host].uuid
    office.sysadm(
        "cloud.prepare",
        group="g",
        directory="/srv/dosvm-test/images",
        project="demo",
        admin="demo",
        new_password=PASSWORD,
        own_password=PASSWORD,
        host_group="all",
        pool="local",
        pool_path="/srv/dosvm-test/volumes",
        capacity=GIB,
        sample=True,
    )
    (row,) = office.person("demo")("image.list")["rows"]
    assert (row["name"], row["file"], row["format"], row["state"]) == ("sample", "sample.iso", "raw", "creating")
    assert (row["own"], row["shared"], row["read_only"]) == (True, True, True)
    task = office.services.database.read(lambda s: s.query(Task).filter_by(kind="image.install").one())
    assert (task.host_id, task.target, json.loads(task.payload)) == (host, row["uuid"], {"source": "sample"})


def test_an_upload_is_booked_before_it_is_there_and_gone_on_with_by_its_name(
    office: Office, web: Person, shop: Person, cloud: StillCloud
) -> None:
    cloud.me = next(iter(cloud.views.values())).uuid
    first = web("image.upload", name="debian", source=GIB - MIB, file="debian.iso", format="iso")
    assert web("image.list", filters={"usable": True})["total"] == 0
    assert shop("image.list")["total"] == 0, "half a file is nobody else's"
    (row,) = web("image.list")["rows"]
    assert (row["file"], row["size"], row["state"], row["digest"]) == ("debian.iso", GIB - MIB, "uploading", "")
    assert web("image.upload", name="debian", source=GIB - MIB, file="debian.iso", format="iso") == first
    with pytest.raises(AlreadyExists, match="begun with another file"):
        web("image.upload", name="debian", source=MIB, file="debian.iso", format="iso")
    with pytest.raises(AlreadyExists):
        shop("image.upload", name="debian", source=MIB)
    with pytest.raises(QuotaExceeded, match="1 MiB too much"):
        web("image.upload", name="more", source=2 * MIB)
    for source in (0, -1, 2**60):
        with pytest.raises(InvalidInput, match="empty, or larger"):
            web("image.upload", name="odd", source=source)
    with pytest.raises(Refused, match="being uploaded"):
        web("image.edit", image="debian", description="x")
    with pytest.raises(Refused, match="belongs to project web"):
        shop("image.delete", image="debian")
    assert "task" not in web("image.delete", image="debian")
    assert web("image.list", filters={"state": "uploading"})["total"] == 0
    web("image.upload", name="more", source=2 * MIB)


def test_the_end_of_an_upload_is_told_once_and_by_its_project_only(
    office: Office, web: Person, shop: Person, cloud: StillCloud
) -> None:
    cloud.me = next(iter(cloud.views.values())).uuid
    uuid = web("image.upload", name="debian", source=MIB)["uuid"]
    with pytest.raises(NotFound):
        office.services.duty(lambda call: finish(call, uuid, "0" * 64), shop.actor)
    with pytest.raises(InvalidInput):
        office.services.duty(lambda call: finish(call, uuid, "x"), web.actor)
    task = office.services.duty(lambda call: finish(call, uuid, "0" * 64), web.actor)["task"]
    assert office.services.duty(lambda call: finish(call, uuid, "0" * 64), web.actor)["task"] == task
    found = last_task(office)
    assert (found.kind, found.account, json.loads(found.payload)) == (
        "image.receive",
        "web-admin",
        {"digest": "0" * 64},
    )
    with pytest.raises(Refused, match="Wait for its task"):
        web("image.delete", image="debian")
