"""Snapshots of volumes: what rests on what, who goes on with them, and what they forbid."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.coordination import storage
from core.errors import InUse, NotFound, QuotaExceeded, Refused
from core.model import Instance, Machine, Project, Secret, Task, TaskState, Volume
from core.services import snapshots
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with a pool, and the volume ``base`` in it."""
    admin = rack.web(office)
    rack.disk(office, admin, "base")
    return admin


def snap(office: Office, person: Person, volume: str, name: str, **more: Any) -> None:
    """A snapshot that its host has made."""
    person("volume.snapshot", volume=volume, name=name, **more)
    rack.settle(office)


def shown(person: Person, volume: str) -> list[str]:
    """The tree as people see it."""
    return [row["tree"] for row in person("snapshot.list", filters={"volume": volume})["rows"]]


def spec(office: Office, name: str) -> str:
    """The stored configuration of an instance."""
    return office.services.database.read(lambda s: s.scalars(select(Instance.spec).where(Instance.name == name)).one())


def test_a_snapshot_is_a_volume_that_rests_on_another(office: Office, web: Person) -> None:
    web("volume.snapshot", volume="local/base", name="one", display_name="第一个", description="before the update")
    row = web("volume.show", volume="local/one")
    assert (row["backing"], row["format"], row["state"]) == ("local/base", "qcow2", "creating")
    assert (row["capacity"], row["display_name"], row["description"]) == (GIB, "第一个", "before the update")
    assert web("volume.show", volume="local/base")["snapshots"] == 1
    order = office.services.database.read(lambda s: storage.load_volume(s, row["uuid"]))
    assert order is not None
    assert [file.name for file in order.backing] == ["local/base"]


def test_a_tree_is_drawn_from_its_root(office: Office, web: Person) -> None:
    for below, name in (("base", "b"), ("base", "a"), ("a", "a2"), ("a", "a1"), ("b", "b1")):
        snap(office, web, f"local/{below}", name)
    drawn = ["base", "├─ a", "│  ├─ a1", "│  └─ a2", "└─ b", "   └─ b1"]
    for volume in ("local/base", "local/a2", "local/b1"):
        assert shown(web, volume) == drawn
    assert web("snapshot.show", snapshot="local/a1")["chain"] == ["local/a", "local/base"]
    assert [row["name"] for row in web("snapshot.list", sort="name")["rows"]] == ["a", "a1", "a2", "b", "b1"]
    assert shown(web, "local/nothing") == []


def test_names_far_down_a_tree_stay_in_their_column(office: Office, web: Person) -> None:
    below = "base"
    for number in range(1, 15):
        snap(office, web, f"local/{below}", f"s{number}")
        below = f"s{number}"
    drawn = shown(web, "local/base")
    assert drawn[4:6] == ["         └─ s4", "┄5┄ s5"]
    assert drawn[14] == "┄14┄ s14"


def test_what_is_merged_or_not_accepted_is_said_to_be(office: Office, web: Person) -> None:
    snap(office, web, "local/base", "one")
    office.services.database.write(
        lambda s: s.execute(update(Volume).where(Volume.name == "one").values(state="merging"))
    )
    with pytest.raises(Refused, match=r"Volume one is being merged\. Wait for its task to end, or cancel that\."):
        web("volume.snapshot", volume="local/one", name="two")
    office.services.database.write(
        lambda s: s.execute(update(Volume).where(Volume.name == "one").values(state="foreign"))
    )
    with pytest.raises(Refused, match=r"Nobody has said the format of volume one\."):
        web("volume.snapshot", volume="local/one", name="two")


def test_what_would_break_a_snapshot_is_refused_with_its_name(office: Office, web: Person) -> None:
    snap(office, web, "local/base", "one")
    for attempt in (
        lambda: web("volume.delete", volume="local/base"),
        lambda: web("volume.grow", volume="local/base", capacity=2 * GIB),
        lambda: rack.instance(web, "shop", disks=[{"volume": "local/base"}]),
    ):
        with pytest.raises(InUse) as refused:
            attempt()
        assert "one" in refused.value.text()
    rack.instance(web, "reader", disks=[{"volume": "local/base", "read_only": True, "bus": "virtio"}])
    rack.instance(web, "shop", disks=[{"volume": "local/one"}])


def test_an_instance_that_writes_goes_on_with_the_snapshot_when_told_so(office: Office, web: Person) -> None:
    rack.instance(web, "shop", disks=[{"volume": "local/base"}])
    with pytest.raises(InUse) as refused:
        web("volume.snapshot", volume="local/base", name="one")
    assert "shop" in refused.value.text()
    web("volume.snapshot", volume="local/base", name="one", switch=True)
    assert web("instance.show", instance="shop")["disks"][0]["volume"] == "local/one"
    assert web("volume.show", volume="local/one")["instances"] == ["shop"]
    assert web("volume.show", volume="local/base")["instances"] == []


def test_if_the_snapshot_cannot_be_made_the_instance_has_its_volume_again(office: Office, web: Person) -> None:
    rack.instance(web, "shop", disks=[{"volume": "local/base"}])
    before = spec(office, "shop")
    cannot_make(office, web("volume.snapshot", volume="local/base", name="one", switch=True))
    assert spec(office, "shop") == before
    assert web("volume.show", volume="local/base")["instances"] == ["shop"]
    assert "one" not in web.names("volume.list")


def cannot_make(office: Office, answer: dict[str, Any]) -> None:
    """What its host writes when a snapshot could not be made."""

    def work(session: Session) -> None:
        payload = session.scalars(select(Task.payload).where(Task.uuid == answer["task"])).one()
        storage.undo_volume(session, answer["uuid"], json.loads(payload or "{}").get("switched", ()))

    office.services.database.write(work)


def test_who_took_the_snapshot_up_meanwhile_does_not_get_what_others_rest_on(office: Office, web: Person) -> None:
    snap(office, web, "local/base", "other")
    answer = web("volume.snapshot", volume="local/base", name="one")
    rack.instance(web, "shop", disks=[{"volume": "local/one"}])
    before = spec(office, "shop")
    cannot_make(office, answer)
    assert spec(office, "shop") == before
    assert web("volume.show", volume="local/base")["instances"] == []
    assert web("volume.show", volume="local/one")["state"] == "failed"


def test_only_who_was_switched_is_switched_back(office: Office, web: Person) -> None:
    rack.instance(web, "shop", disks=[{"volume": "local/base"}])
    answer = web("volume.snapshot", volume="local/base", name="one", switch=True)
    web("instance.edit", instance="shop", disks=[])
    rack.instance(web, "late", disks=[{"volume": "local/one"}])
    cannot_make(office, answer)
    assert web("volume.show", volume="local/base")["instances"] == []
    one = web("volume.show", volume="local/one")
    assert (one["state"], one["instances"]) == ("failed", ["late"])


def test_a_volume_that_somebody_else_uses_by_now_is_not_handed_back(office: Office, web: Person) -> None:
    rack.instance(web, "shop", disks=[{"volume": "local/base"}])
    answer = web("volume.snapshot", volume="local/base", name="one", switch=True)
    rack.instance(web, "reader", disks=[{"volume": "local/base", "read_only": True, "bus": "virtio"}])
    cannot_make(office, answer)
    assert web("volume.show", volume="local/base")["instances"] == ["reader"]
    one = web("volume.show", volume="local/one")
    assert (one["state"], one["instances"]) == ("failed", ["shop"])


def test_no_snapshot_while_a_vm_writes(office: Office, web: Person) -> None:
    rack.instance(web, "shop", disks=[{"volume": "local/base"}])
    web("vm.add", name="shop-1", instance="shop")
    office.services.database.write(lambda s: s.execute(update(Machine).values(power="on", state="running")))
    with pytest.raises(InUse) as refused:
        web("volume.snapshot", volume="local/base", name="one", switch=True)
    assert "shop-1" in refused.value.text()


def test_the_quota_of_snapshots_holds_and_is_counted(office: Office, web: Person) -> None:
    office.sysadm("project.configure", project="web", max_snapshots=1)
    snap(office, web, "local/base", "one")
    assert web("usage.show")["used_snapshots"] == 1
    with pytest.raises(QuotaExceeded) as refused:
        web("volume.snapshot", volume="local/base", name="two")
    assert "1 too many" in refused.value.text()
    with pytest.raises(QuotaExceeded):
        office.sysadm("volume.snapshot", volume="local/base", name="two")


def test_a_snapshot_that_does_not_fit_is_not_told_to_be_smaller(office: Office, web: Person) -> None:
    """Its size is that of what it rests on, and so is its pool: "Make the volume smaller ... or use another pool"."""
    size = web("volume.show", volume="local/base")["capacity"]
    office.sysadm("project.configure", project="web", max_disk=size)
    with pytest.raises(QuotaExceeded) as refused:
        web("volume.snapshot", volume="local/base", name="one")
    assert "counts with all that its disk can hold" in refused.value.text()
    assert "smaller" not in refused.value.text()
    assert refused.value.field == "volume", "its form has no field for the capacity"


def test_a_shared_base_is_stood_on_by_each_project_and_seen_by_all(office: Office, web: Person) -> None:
    office.sysadm("volume.add", name="golden", pool="local", capacity=GIB)
    rack.settle(office)
    mail = office.project("mail", max_disk=8 * GIB, max_snapshots=5)
    office.sysadm("project.configure", project="mail", pools=["local"])
    snap(office, web, "local/golden", "ours")
    snap(office, mail, "local/golden", "theirs")
    assert shown(web, "local/golden") == ["golden", "└─ ours"]
    assert shown(office.sysadm, "local/golden") == ["golden", "├─ ours", "└─ theirs"]
    with pytest.raises(NotFound):
        web("volume.snapshot", volume="local/theirs", name="thief")
    with pytest.raises(InUse) as refused:
        office.sysadm("volume.delete", volume="local/golden")
    assert "(2)" in refused.value.text()


def test_a_merge_holds_its_source_and_everything_below_until_it_ends(office: Office, web: Person) -> None:
    snap(office, web, "local/base", "one")
    with pytest.raises(Refused):
        web("volume.merge", volume="local/base", name="whole")
    answer = web("volume.merge", volume="local/one", name="whole")
    assert web("volume.show", volume="local/one")["state"] == "merging"
    for attempt in (
        lambda: web("volume.delete", volume="local/one"),
        lambda: web("volume.grow", volume="local/one", capacity=2 * GIB),
        lambda: web("volume.merge", volume="local/one", name="twice"),
        lambda: web("volume.snapshot", volume="local/one", name="two"),
        lambda: rack.instance(web, "shop", disks=[{"volume": "local/one"}]),
    ):
        with pytest.raises((Refused, InUse)):
            attempt()
    source = web("volume.show", volume="local/one")["uuid"]
    office.services.database.write(lambda s: storage.record_merged(s, answer["uuid"], source, allocation=7))
    office.services.database.write(lambda s: s.execute(update(Task).values(state=TaskState.DONE.value)))
    whole = web("volume.show", volume="local/whole")
    assert (whole["state"], whole["backing"], whole["allocation"]) == ("present", "", 7)
    assert web("volume.show", volume="local/one")["state"] == "present"
    web("volume.delete", volume="local/one")


def test_a_merge_is_broken_off_by_cancelling_its_task(office: Office, web: Person) -> None:
    snap(office, web, "local/base", "one")
    task = web("volume.merge", volume="local/one", name="whole")["task"]
    web("task.cancel", task=task)
    wanted = office.services.database.read(lambda s: s.scalars(select(Task).where(Task.uuid == task)).one())
    assert wanted.cancelled
    assert wanted.state == TaskState.QUEUED.value, "its host undoes what there is and ends it"


def test_a_merge_of_which_no_task_is_left_holds_nothing_once_what_it_made_is_deleted(
    office: Office, web: Person
) -> None:
    snap(office, web, "local/base", "one")
    web("volume.merge", volume="local/one", name="whole")
    with pytest.raises(Refused):
        web("volume.delete", volume="local/whole")
    office.services.database.write(lambda s: s.execute(update(Task).values(state=TaskState.FAILED.value)))
    web("volume.delete", volume="local/whole")
    assert web("volume.show", volume="local/one")["state"] == "present"


def test_a_vm_whose_name_one_may_not_see_writes_all_the_same(office: Office, web: Person) -> None:
    office.sysadm("volume.add", name="golden", pool="local", capacity=GIB)
    rack.settle(office)
    mail = office.project("mail", max_disk=8 * GIB)
    rack.instance(web, "shop", disks=[{"volume": "local/base"}])
    web("vm.add", name="shop-1", instance="shop")
    office.services.database.write(lambda s: s.execute(update(Machine).values(power="on", state="running")))
    theirs = select(Project.id).where(Project.name == "mail").scalar_subquery()
    office.services.database.write(lambda s: s.execute(update(Machine).values(project_id=theirs)))
    with pytest.raises(InUse) as refused:
        web("volume.grow", volume="local/base", capacity=2 * GIB)
    assert "shop-1" not in refused.value.text()
    assert mail.names("vm.list") == ["shop-1"]


def test_chains_do_not_grow_without_end(office: Office, web: Person) -> None:
    office.sysadm("project.configure", project="web", max_snapshots=100, max_disk=200 * GIB)
    office.sysadm("pool.add", name="big", type="dir", host="h1", path="/srv/big", capacity=200 * GIB, projects=["web"])
    rack.settle(office)
    rack.disk(office, web, "root", pool="big")
    below = "root"
    for number in range(31):
        snap(office, web, f"big/{below}", f"s{number}")
        below = f"s{number}"
    with pytest.raises(Refused) as refused:
        web("volume.snapshot", volume=f"big/{below}", name="more")
    assert "31" in refused.value.text()
    count = office.services.database.read(lambda s: s.query(Volume).filter(Volume.root_id.is_not(None)).count())
    assert count == 31


@pytest.mark.parametrize(("most", "encrypted"), [("MAX_DEPTH", False), ("MAX_ENCRYPTED", True)])
def test_snapshots_are_not_stacked_without_end(
    office: Office, web: Person, monkeypatch: pytest.MonkeyPatch, most: str, encrypted: bool
) -> None:
    monkeypatch.setattr(snapshots, most, 3)
    if encrypted:
        values = {"kind": "volume", "usage": "disks", "display_name": "k", "value": "a-long-passphrase"}
        office.sysadm("secret.add", name="key", **values)
        key = select(Secret.id).where(Secret.name == "key").scalar_subquery()
        office.services.database.write(lambda s: s.execute(update(Volume).values(secret_id=key)))
    snap(office, web, "local/base", "one")
    snap(office, web, "local/one", "two")
    with pytest.raises(Refused, match="rests on 2 others"):
        web("volume.snapshot", volume="local/two", name="three")
    snap(office, web, "local/one", "beside")
