"""A host is emptied for maintenance and brought back: what moves, what waits, and what nobody starts meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination.migration import give_up, hand_over
from core.errors import Conflict, InUse, InvalidInput, Refused, sentence
from core.model import Host, Machine, Task, TaskState
from hostd.maintenance import Maintenance
from tests.fakes import rack
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office, Person
from tests.unit.services.test_limits_race import at_once


@pytest.fixture
def web(office: Office) -> Person:
    """Project ``web`` on h1 and h2: ``free-1`` runs on h1, and ``tied-1``, whose disk is there."""
    admin = rack.web(office, hosts=2)
    rack.instance(admin, "free")
    disk = rack.disk(office, admin, "disk-1")
    rack.instance(admin, "tied", disks=[{"volume": disk, "bus": "virtio"}])
    for name in ("free", "tied"):
        admin("vm.add", name=f"{name}-1", instance=name)
        admin("vm.start", vm=f"{name}-1", host="h1")
    rack.work(office, "h1")
    return admin


@pytest.fixture
def duty(office: Office, clock: Clock) -> Maintenance:
    """What every hostd does for VMs that wait."""
    return Maintenance(office.services, clock)


def host(office: Office, name: str = "h1") -> dict[str, Any]:
    return office.sysadm("host.show", host=name)


def vm(person: Person, name: str) -> tuple[str, str, str, str]:
    row = person("vm.show", vm=name)
    return row["power"], row["state"], row["host"], row["waits_for"]


def is_up(office: Office, name: str, state: str) -> None:
    cloud = office.services.cloud
    assert isinstance(cloud, StillCloud)
    cloud.change(rack.host_id(office, name), state=state)


def test_the_plan_names_what_moves_and_what_cannot_and_changes_nothing(office: Office, web: Person) -> None:
    plan = office.sysadm("host.drain-plan", host="h1")
    assert [(one["name"], one["host"]) for one in plan["move"]] == [("free-1", "h2")]
    assert [one["name"] for one in plan["stay"]] == ["tied-1"]
    text = [sentence(line) for line in plan["lines"]]
    assert text == [
        "VMs that can move, if they are stopped (1): free-1 → h2.",
        "VMs that cannot move and are stopped in any case (1): tied-1.",
        "tied-1: A disk of VM tied-1 is not on host h2.",
        "free-1: libvirtd of host h2 takes no VMs from other hosts (`dosvm cert libvirt`).",
    ]
    assert host(office)["state"] == "up"
    assert vm(web, "free-1") == ("on", "running", "h1", "")
    assert [sentence(line) for line in office.sysadm("host.drain-plan", host="h2")["lines"]] == ["No VM runs on it."]


def test_the_plan_of_the_only_host_says_that_there_is_no_other(office: Office) -> None:
    admin = rack.web(office)
    rack.instance(admin, "free")
    admin("vm.add", name="free-1", instance="free")
    admin("vm.start", vm="free-1")
    rack.work(office, "h1")
    plan = office.sysadm("host.drain-plan", host="h1")
    assert [sentence(line) for line in plan["lines"]] == [
        "VMs that cannot move and are stopped in any case (1): free-1.",
        "free-1: There is no other host that VM free-1 may run on.",
    ]


def test_the_plan_fills_other_hosts_only_as_far_as_they_go(office: Office, web: Person) -> None:
    office.sysadm("host.edit", host="h2", max_vcpus=1)
    web("vm.add", name="free-2", instance="free")
    web("vm.start", vm="free-2", host="h1")
    rack.work(office, "h1")
    plan = office.sysadm("host.drain-plan", host="h1")
    assert [(one["name"], one["host"]) for one in plan["move"]] == [("free-1", "h2")]
    assert [one["name"] for one in plan["stay"]] == ["free-2", "tied-1"]
    assert "runs 1 of 1 VCPUs" in sentence(plan["lines"][2])


def test_emptied_by_moving_and_brought_back(office: Office, web: Person, duty: Maintenance) -> None:
    done = office.sysadm("host.drain", host="h1", policy="move")
    assert len(done["tasks"]) == 2
    row = host(office)
    assert (row["state"], row["drain"], row["vms"], row["waiting"]) == ("draining", "move", 0, 2)
    duty.look()
    assert vm(web, "free-1") == ("off", "running", "h1", "h1"), "it may still run here: it starts nowhere yet"
    rack.work(office, "h1")
    assert host(office)["state"] == "drained"
    duty.look()
    assert vm(web, "free-1") == ("on", "starting", "h2", "")
    assert rack.work(office, "h2") == ["machine.start"]
    # What cannot move says why, and waits.
    assert vm(web, "tied-1") == ("off", "off", "", "h1")
    assert web("vm.show", vm="tied-1")["start_error"]
    row = host(office)
    assert (row["state"], row["waiting"]) == ("drained", 1)

    assert office.sysadm("host.undrain", host="h1")["vms"] == 1
    assert host(office)["state"] == "up"
    office.services.clock.sleep(10)
    duty.look()
    assert rack.work(office, "h1") == ["machine.start"]
    assert vm(web, "tied-1") == ("on", "running", "h1", "")
    assert web("vm.show", vm="tied-1")["start_error"] == ""
    assert vm(web, "free-1") == ("on", "running", "h2", ""), "what moved stays where it is"


def test_emptied_by_stopping_waits_for_its_host(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    duty.look()
    assert vm(web, "free-1") == ("off", "off", "", "h1")
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert {vm(web, name)[0] for name in ("free-1", "tied-1")} == {"on"}


def test_what_shall_stay_off_stays_off(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    # One is said to stay off by its own admin, the other by who brings the host back.
    assert "task" not in web("vm.stop", vm="free-1")
    with pytest.raises(Refused, match="off already"):
        web("vm.stop", vm="free-1")
    assert host(office)["waiting"] == 1
    office.sysadm("host.undrain", host="h1", start=False)
    duty.look()
    assert vm(web, "free-1") == vm(web, "tied-1") == ("off", "off", "", "")


def test_an_admin_may_start_elsewhere_what_was_stopped(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    with pytest.raises(Refused, match="Host h1 is in maintenance"):
        web("vm.start", vm="free-1", host="h1")
    with pytest.raises(Refused, match="in maintenance"):
        web("vm.start", vm="tied-1")
    assert web("vm.start", vm="free-1")["host"] == "h2"
    rack.work(office, "h2")
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert vm(web, "free-1") == ("on", "running", "h2", "")


def test_a_changed_policy_moves_what_was_stopped(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    with pytest.raises(Refused, match="already"):
        office.sysadm("host.drain", host="h1", policy="stop")
    assert office.sysadm("host.drain", host="h1", policy="move")["tasks"] == []
    duty.look()
    assert vm(web, "free-1")[:3] == ("on", "starting", "h2")


def test_brought_back_before_it_is_empty_everything_runs_again(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    office.sysadm("host.undrain", host="h1")
    duty.look()
    rack.work(office, "h1")
    duty.look()
    assert {vm(web, name)[0] for name in ("free-1", "tied-1")} == {"on"}


def test_a_host_that_is_down_is_waited_for(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    is_up(office, "h1", "down")
    assert host(office)["state"] == "down"
    with pytest.raises(InUse, match="free-1"):
        office.sysadm("host.delete", host="h1")
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert vm(web, "free-1")[:3] == ("on", "starting", "h2"), "it is bound to nothing on its host"
    assert vm(web, "tied-1") == ("off", "off", "", "h1")
    is_up(office, "h1", "up")
    duty.look()
    assert vm(web, "tied-1")[0] == "on"


def test_many_hostds_start_it_once(office: Office, web: Person, clock: Clock) -> None:
    office.sysadm("host.drain", host="h1", policy="move")
    rack.work(office, "h1")
    for one in [Maintenance(office.services, clock) for _ in range(3)]:
        one.look()
    queued = office.services.database.read(
        lambda s: s.scalars(select(Task.kind).where(Task.state == TaskState.QUEUED.value)).all()
    )
    assert queued == ["machine.start"]


def test_a_quota_that_others_used_up_meanwhile_holds(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    office.sysadm("project.configure", project="web", max_vcpus=1)
    office.sysadm("host.undrain", host="h1")
    duty.look()
    powers = {name: vm(web, name)[0] for name in ("free-1", "tied-1")}
    assert sorted(powers.values()) == ["off", "on"]
    (left,) = (name for name, power in powers.items() if power == "off")
    assert "VCPUs" in web("vm.show", vm=left)["start_error"]["message"]
    office.sysadm("project.configure", project="web", max_vcpus=2)
    office.services.clock.sleep(10)
    duty.look()
    assert vm(web, left)[0] == "on"


def test_a_vm_whose_start_failed_is_held_too(office: Office, web: Person, duty: Maintenance) -> None:
    office.services.database.write(
        lambda s: s.execute(update(Machine).where(Machine.name == "tied-1").values(state="failed"))
    )
    assert len(office.sysadm("host.drain", host="h1", policy="stop")["tasks"]) == 1
    rack.work(office, "h1")
    assert host(office)["state"] == "drained"
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert vm(web, "tied-1")[0] == "on"


def test_a_deleted_project_does_not_come_back_with_the_host(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    office.sysadm("project.delete", project="web", everything=True)
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert {rack.machine(office, name).power for name in ("free-1", "tied-1")} == {"off"}


def test_hosts_in_maintenance_are_found_by_their_state(office: Office, web: Person) -> None:
    def shown(state: str) -> list[str]:
        return office.sysadm.names("host.list", filters={"state": state})

    assert (shown("up"), shown("draining"), shown("drained")) == (["h1", "h2"], [], [])
    office.sysadm("host.drain", host="h1", policy="move")
    assert (shown("up"), shown("draining"), shown("drained")) == (["h2"], ["h1"], [])
    rack.work(office, "h1")
    assert (shown("up"), shown("draining"), shown("drained")) == (["h2"], [], ["h1"])
    assert office.sysadm.names("host.list", sort="state") == ["h1", "h2"]


def test_what_makes_no_sense_is_refused(office: Office, web: Person) -> None:
    with pytest.raises(InvalidInput, match="move, stop"):
        office.sysadm("host.drain", host="h1", policy="burn")
    with pytest.raises(Refused, match="not in maintenance"):
        office.sysadm("host.undrain", host="h1")


def test_new_vms_keep_away(office: Office, web: Person) -> None:
    office.sysadm("host.drain", host="h2", policy="move")
    rack.instance(web, "big", memory=GIB)
    web("vm.add", name="big-1", instance="big")
    assert web("vm.start", vm="big-1")["host"] == "h1"


def test_what_was_stopped_goes_home_although_another_host_has_more_room(
    office: Office, web: Person, duty: Maintenance
) -> None:
    office.host("h3", cores=64, memory=512 * GIB)
    office.sysadm("host-group.add", name="more", hosts=["h3"], projects=["web"])
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert vm(web, "free-1") == ("on", "starting", "h1", "")


def test_a_vm_that_waited_for_long_starts_at_once_when_its_host_is_back(
    office: Office, web: Person, duty: Maintenance
) -> None:
    office.sysadm("host.drain", host="h1", policy="move")
    rack.work(office, "h1")
    for _ in range(20):
        duty.look()
        office.services.clock.sleep(400)
    duty.look()
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert vm(web, "tied-1")[0] == "on"


def test_a_disabled_instance_stays_off_when_the_host_is_back(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    rack.work(office, "h1")
    web("instance.disable", instance="free")
    office.sysadm("host.undrain", host="h1")
    duty.look()
    web("instance.enable", instance="free")
    duty.look()
    assert vm(web, "free-1") == ("off", "off", "", "")
    assert vm(web, "tied-1")[0] == "on"


def test_emptied_twice_everything_waits_for_the_second_end(office: Office, web: Person, duty: Maintenance) -> None:
    office.sysadm("host.drain", host="h1", policy="stop")
    office.sysadm("host.undrain", host="h1")
    office.sysadm("host.drain", host="h1", policy="stop")
    assert rack.work(office, "h1") == ["machine.stop", "machine.stop"], "each is stopped once"
    duty.look()
    assert {vm(web, name) for name in ("free-1", "tied-1")} == {("off", "off", "", "h1")}
    office.sysadm("host.undrain", host="h1")
    duty.look()
    assert sorted(rack.work(office, "h1")) == ["machine.start", "machine.start"]


def test_whoever_says_off_at_the_moment_of_the_return_is_obeyed(office: Office, web: Person, clock: Clock) -> None:
    web("vm.stop", vm="tied-1")
    for _turn in range(8):
        office.sysadm("host.drain", host="h1", policy="stop")
        while rack.work(office, "h1"):
            pass
        office.sysadm("host.undrain", host="h1")
        assert vm(web, "free-1") == ("off", "off", "", "h1")
        looks = [Maintenance(office.services, clock).look for _ in range(2)]
        ends = at_once([lambda: web("vm.stop", vm="free-1"), *looks])
        assert ends[1:] == [None, None]
        if ends[0] is None:
            assert vm(web, "free-1")[::3] == ("off", "")
            while rack.work(office, "h1"):
                pass
            web("vm.start", vm="free-1", host="h1")
        else:
            assert isinstance(ends[0], Conflict)
            assert vm(web, "free-1")[::2] == ("on", "h1")
        while rack.work(office, "h1"):
            pass


def test_a_vm_that_is_started_while_its_host_is_emptied_is_not_left_on_it(office: Office, web: Person) -> None:
    number = rack.host_id(office, "h1")
    for turn in range(8):
        rack.instance(web, f"shop{turn}")
        web("vm.add", name=f"shop{turn}-1", instance=f"shop{turn}")
        ends = at_once(
            [
                lambda turn=turn: web("vm.start", vm=f"shop{turn}-1", host="h1"),  # type: ignore[misc]
                lambda: office.sysadm("host.drain", host="h1", policy="stop"),
            ]
        )
        assert ends[1] is None, ends[1]
        assert ends[0] is None or isinstance(ends[0], Refused | Conflict), ends[0]
        on = office.services.database.read(
            lambda s: s.scalars(select(Machine.name).where(Machine.host_id == number, Machine.power == "on")).all()
        )
        assert on == []
        office.sysadm("host.undrain", host="h1")


@pytest.fixture
def open_web(office: Office, web: Person) -> Person:
    """As ``web``; libvirtd of h2 takes VMs from other hosts."""
    office.services.database.write(
        lambda s: s.execute(update(Host).where(Host.name == "h2").values(migration_url="qemu+tls://h2/system"))
    )
    return web


def moving(office: Office, name: str) -> tuple[str, int | None, int | None]:
    row = rack.machine(office, name)
    return row.power, row.host_id, row.moving_id


def tasks_of(office: Office, name: str) -> list[tuple[str, str]]:
    rows = office.sysadm("task.list", filters={"target": name, "state": "queued"}, sort="created")["rows"]
    return [(row["kind"], row["host"]) for row in rows]


def test_what_runs_is_migrated_and_keeps_room_on_its_way(office: Office, open_web: Person, duty: Maintenance) -> None:
    h1, h2 = rack.host_id(office, "h1"), rack.host_id(office, "h2")
    plan = office.sysadm("host.drain-plan", host="h1")
    assert plan["migrate"] == [{"name": "free-1", "host": "h2"}]
    assert sentence(plan["lines"][0]) == "VMs that can be migrated as they run (1): free-1 → h2."
    office.sysadm("host.edit", host="h2", max_vcpus=1)
    office.sysadm("host.drain", host="h1", policy="migrate")
    assert moving(office, "free-1") == ("on", h1, h2)
    assert tasks_of(office, "free-1") == [("machine.receive", "h2")]
    assert vm(open_web, "tied-1") == ("off", "running", "h1", "h1")
    duty.look()
    assert moving(office, "free-1") == ("on", h1, h2), "it is under way: nobody stops it"
    open_web("vm.add", name="free-2", instance="free")
    with pytest.raises(Refused, match="runs 1 of 1 VCPUs"):
        open_web("vm.start", vm="free-2", host="h2")
    for verb in ("reboot", "reset", "suspend"):
        with pytest.raises(Refused, match="is being migrated"):
            open_web(f"vm.{verb}", vm="free-1")
    # Brought back, it stays; powered off, it goes nowhere.
    office.sysadm("host.undrain", host="h1")
    assert moving(office, "free-1") == ("on", h1, None)


def test_handed_over_once(office: Office, open_web: Person) -> None:
    h1, h2 = rack.host_id(office, "h1"), rack.host_id(office, "h2")
    office.sysadm("host.drain", host="h1", policy="migrate")
    before = rack.machine(office, "free-1")

    def give() -> None:
        if not office.services.database.write(lambda s: hand_over(s, before.uuid, h1, before.epoch, h2)):
            raise Conflict("too late")

    ends = at_once([give] * 4)
    assert ends.count(None) == 1
    after = rack.machine(office, "free-1")
    assert (after.host_id, after.epoch, after.moving_id, after.started) == (h2, before.epoch + 1, None, before.started)
    assert host(office, "h1")["vms"] == 0


def test_powered_off_on_its_way_it_goes_nowhere(office: Office, open_web: Person) -> None:
    office.sysadm("host.drain", host="h1", policy="migrate")
    open_web("vm.stop", vm="free-1")
    assert moving(office, "free-1") == ("off", rack.host_id(office, "h1"), None)


def test_what_could_not_be_migrated_is_moved(office: Office, open_web: Person, duty: Maintenance) -> None:
    h1 = rack.host_id(office, "h1")
    office.sysadm("host.drain", host="h1", policy="migrate")
    rack.work(office, "h1")
    row = rack.machine(office, "free-1")

    def fail(session: Session) -> None:
        session.execute(update(Task).where(Task.kind == "machine.receive").values(state=TaskState.FAILED.value))
        assert give_up(session, row.uuid, h1, row.epoch)

    duty.look()
    assert vm(open_web, "free-1") == ("on", "running", "h1", "")
    office.services.database.write(fail)
    duty.look()
    assert vm(open_web, "free-1") == ("off", "running", "h1", "h1")
    assert rack.work(office, "h1") == ["machine.stop"]
    duty.look()
    assert vm(open_web, "free-1") == ("on", "starting", "h2", "")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"accelerator": "kvm"}, "Host h2 has another accelerator."),
        ({"migration_url": ""}, "libvirtd of host h2 takes no VMs from other hosts"),
        ({"accelerator": "kvm", "cpu_model": "other"}, "another"),
    ],
)
def test_hosts_that_differ_take_no_vm_that_runs(
    office: Office, open_web: Person, values: dict[str, Any], reason: str
) -> None:
    office.services.database.write(lambda s: s.execute(update(Host).where(Host.name == "h2").values(**values)))
    plan = office.sysadm("host.drain-plan", host="h1")
    assert plan["migrate"] == []
    assert reason in " ".join(sentence(line) for line in plan["lines"])


def test_a_host_that_is_given_up_takes_nobody_along_that_was_to_come(
    office: Office, open_web: Person, duty: Maintenance
) -> None:
    office.sysadm("host.drain", host="h1", policy="migrate")
    cloud = office.services.cloud
    assert isinstance(cloud, StillCloud)
    cloud.change(rack.host_id(office, "h2"), state="down", age=700.0)
    office.sysadm("host.abandon", host="h2")
    assert moving(office, "free-1")[2] is None
    assert office.sysadm.names("host.list") == ["h1"]


def test_what_happens_to_vms_is_news_of_maintenance_only_while_there_is_one(
    office: Office, web: Person, duty: Maintenance
) -> None:
    """Every start and stop is news of its host: none of them costs a look while nobody empties a host."""
    news = frozenset({"vm", "host"})
    assert duty.concerns(news), "an earlier run may have died in the middle"
    duty.look()
    assert not duty.concerns(news)
    assert duty.concerns(frozenset({"maintenance"}))
    office.sysadm("host.drain", host="h1", policy="stop")
    duty.look()
    assert duty.concerns(news)
    rack.work(office, "h1")
    office.sysadm("host.undrain", host="h1")
    duty.look()
    rack.work(office, "h1")
    duty.look()
    assert not duty.concerns(news)
