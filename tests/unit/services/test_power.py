"""VMs powered on where there is room and within what the project may run; off, reset, suspended and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select, update

from core.errors import Conflict, DosvmError, InUse, NotFound, QuotaExceeded, Refused, from_wire
from core.i18n import set_language
from core.model import Host, Image, Machine, ProjectGroup, State, Task, pool_of_project, project_in_group
from tests.fakes import rack
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office, Person
from tests.fakes.rack import MIB
from tests.unit.services.test_limits_race import at_once

#: Statements from the request to start a VM to the end of its task, without BEGIN, COMMIT and authentication.
#: The operation's: the look, the switch, the task, the log. The host's: claim, load, end, record. MariaDB needs
#: a booking more, because writers do not wait for each other there, and has end and record in one.
STATEMENTS = 8


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with host h1, an instance ``shop`` and its VM ``shop-1``."""
    admin = rack.web(office)
    rack.instance(admin, graphics=[{"type": "vnc"}])
    admin("vm.add", name="shop-1", instance="shop")
    return admin


def show(person: Person, vm: str = "shop-1") -> dict[str, Any]:
    return person("vm.show", vm=vm)


def set_state(office: Office, name: str, **values: Any) -> None:
    office.services.database.write(lambda s: s.execute(update(Machine).where(Machine.name == name).values(**values)))


def test_a_vm_is_started_and_stopped(office: Office, web: Person) -> None:
    done = web("vm.start", vm="shop-1")
    assert (done["name"], done["host"]) == ("shop-1", "h1")
    row = show(web)
    assert (row["power"], row["state"], row["host"], row["screen"]) == ("on", "starting", "h1", "")
    task = web("task.show", task=done["task"])
    assert (task["kind"], task["state"], task["target"], task["host"]) == ("machine.start", "queued", row["uuid"], "h1")
    assert rack.work(office) == ["machine.start"]
    row = show(web)
    assert (row["state"], row["screen"], row["accelerator"]) == ("running", "192.0.2.1:5900", "tcg")
    assert web("task.show", task=done["task"])["state"] == "done"
    done = web("vm.stop", vm="shop-1", force=True)
    assert show(web)["power"] == "off"
    rack.work(office)
    row = show(web)
    assert (row["state"], row["host"], row["screen"], row["uptime"]) == ("off", "", "", None)
    payloads = office.services.database.read(lambda s: s.scalars(select(Task.payload).order_by(Task.id)).all())
    assert [json.loads(text) for text in payloads[-2:]] == [{"epoch": 1}, {"force": True, "epoch": 1}]


def test_each_start_is_a_new_placement(office: Office, web: Person) -> None:
    for epoch in (1, 2):
        web("vm.start", vm="shop-1")
        assert rack.machine(office, "shop-1").epoch == epoch
        rack.work(office)
        web("vm.stop", vm="shop-1")
        rack.work(office)


def test_uptime_grows(office: Office, web: Person) -> None:
    web("vm.start", vm="shop-1")
    rack.work(office)
    office.services.clock.sleep(90)
    assert show(web)["uptime"] == 90


@pytest.mark.parametrize("state", ["running", "paused", "stopping"])
def test_what_is_on_is_not_started_again(office: Office, web: Person, state: str) -> None:
    web("vm.start", vm="shop-1")
    rack.work(office)
    set_state(office, "shop-1", state=state)
    with pytest.raises(Refused, match="on already"):
        web("vm.start", vm="shop-1")


def test_a_start_under_way_is_not_started_again(web: Person) -> None:
    web("vm.start", vm="shop-1")
    with pytest.raises(Refused, match="being started"):
        web("vm.start", vm="shop-1")


def test_a_start_that_failed_is_told_and_may_be_repeated(office: Office, web: Person) -> None:
    web("vm.start", vm="shop-1")
    rack.work(office, running=False)
    row = show(web)
    assert (row["power"], row["state"], row["start_error"]["message"]) == ("on", "failed", "No such file.")
    web("vm.start", vm="shop-1")
    assert show(web)["start_error"] == ""
    rack.work(office)
    assert show(web)["state"] == "running"


def test_a_disabled_instance_is_not_started(web: Person) -> None:
    web("instance.disable", instance="shop")
    with pytest.raises(Refused, match="disabled"):
        web("vm.start", vm="shop-1")


def test_what_instances_use_is_not_taken_from_their_project_and_nothing_starts_on_it(
    office: Office, web: Person
) -> None:
    """A unit belongs to no project: who has the pool uses it, and so the pool is not taken away under a VM."""
    office.sysadm("volume.add", name="unit", pool="local", capacity=GIB)
    rack.settle(office)
    rack.instance(web, "mail", disks=[{"volume": "local/unit"}])
    web("vm.add", name="mail-1", instance="mail")
    with pytest.raises(
        InUse, match=r"Instances of project web use volumes in the pool: mail \(local/unit\)\."
    ) as error:
        office.sysadm("project.configure", project="web", remove_pools=["local"])
    assert error.value.field == "pools"
    # What was written past the rule does not start either, nor is there a new VM of it.
    given = office.services.database.read(lambda s: s.execute(select(pool_of_project)).all())
    office.services.database.write(lambda s: s.execute(delete(pool_of_project)))
    for operation, arguments in (
        ("vm.start", {"vm": "mail-1"}),
        ("vm.add", {"name": "mail-2", "instance": "mail"}),
        ("vm.add", {"name": "mail-2", "instance": "mail", "start": True}),
    ):
        with pytest.raises(Refused, match="a disk in storage pool local, which project web has no more"):
            web(operation, **arguments)
    assert "task" in web("vm.start", vm="shop-1"), "an instance without disks needs no pool"
    assert web.names("vm.list") == ["shop-1", "mail-1"]
    office.services.database.write(lambda s: s.execute(insert(pool_of_project), [row._asdict() for row in given]))
    assert "task" in web("vm.start", vm="mail-1")
    web("vm.stop", vm="mail-1", force=True)
    rack.work(office)
    set_state(office, "mail-1", state="off")
    web("instance.edit", instance="mail", disks=[])
    office.sysadm("project.configure", project="web", remove_pools=["local"])


def test_a_project_whose_instances_use_images_of_a_group_stays_in_it(office: Office, web: Person) -> None:
    office.project("shop")
    office.sysadm("project-group.add-project", project_group="shop-group", project="web")
    shop = office.person("shop-admin")
    shop("image.add", name="dos", file="dos.iso", shared=True)
    office.services.database.write(lambda s: s.execute(update(Image).values(state="present")))
    rack.instance(web, "mail", disks=[{"image": "dos", "device": "cdrom"}])
    web("vm.add", name="mail-1", instance="mail")
    with pytest.raises(InUse, match=r"Instances of project web use images of the group: mail \(dos\)\."):
        office.sysadm("project-group.remove-project", project_group="shop-group", project="web")
    group = select(ProjectGroup.id).where(ProjectGroup.name == "shop-group").scalar_subquery()
    office.services.database.write(
        lambda s: s.execute(delete(project_in_group).where(project_in_group.c.group_id == group))
    )
    with pytest.raises(Refused, match="uses image dos of a project group that project web is not in"):
        web("vm.start", vm="mail-1")


def test_quotas_say_by_how_much(office: Office) -> None:
    web = rack.web(office, max_vcpus=4, max_memory=1024 * MIB)
    rack.instance(web, "wide", vcpus=3)
    rack.instance(web, "fat", memory=1000 * MIB)
    for name, of in (("wide-1", "wide"), ("wide-2", "wide"), ("fat-1", "fat")):
        web("vm.add", name=name, instance=of)
    web("vm.start", vm="wide-1")
    with pytest.raises(QuotaExceeded, match="may run 4 VCPUs and runs 3: this would be 2 too many"):
        web("vm.start", vm="wide-2")
    with pytest.raises(QuotaExceeded, match="may run 1 GiB of memory and runs 64 MiB: this would be 40 MiB too much"):
        web("vm.start", vm="fat-1")
    rack.work(office)
    web("vm.stop", vm="wide-1")
    web("vm.start", vm="wide-2")
    assert web("usage.show")["used_vcpus"] == 3


def test_a_failed_start_counts_once_when_repeated(office: Office) -> None:
    web = rack.web(office, max_vcpus=2)
    rack.instance(web, vcpus=2)
    web("vm.add", name="shop-1", instance="shop", start=True)
    rack.work(office, running=False)
    web("vm.start", vm="shop-1")
    assert web("usage.show")["used_vcpus"] == 2


def test_the_host_with_the_most_room(office: Office) -> None:
    web = rack.web(office, hosts=3)
    rack.instance(web, vcpus=4)
    hosts = []
    for number in range(6):
        web("vm.add", name=f"shop-{number}", instance="shop")
        hosts.append(web("vm.start", vm=f"shop-{number}")["host"])
    assert hosts == ["h1", "h2", "h3"] * 2


def test_a_host_may_be_named(office: Office) -> None:
    web = rack.web(office, hosts=2)
    office.host("stranger")
    rack.instance(web)
    web("vm.add", name="shop-1", instance="shop")
    with pytest.raises(Refused, match="stranger is in no host group of project web"):
        web("vm.start", vm="shop-1", host="stranger")
    with pytest.raises(NotFound):
        web("vm.start", vm="shop-1", host="nobody")
    assert web("vm.start", vm="shop-1", host="h2")["host"] == "h2"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"state": "down"}, "h1 is not known to be up"),
        ({"state": "unknown"}, "h1 is not known to be up"),
        ({"hypervisor_error": "gone"}, "libvirtd does not answer on host h1"),
    ],
)
def test_what_stands_against_the_only_host_is_said(
    office: Office, web: Person, cloud: StillCloud, change: dict[str, Any], sentence: str
) -> None:
    cloud.change(rack.host_id(office, "h1"), **change)
    with pytest.raises(Refused, match=sentence):
        web("vm.start", vm="shop-1")
    assert show(web)["power"] == "off"


def test_a_host_without_libvirtd_is_no_host_that_is_up_and_nobody_knows_what_its_vms_do(
    office: Office, web: Person, cloud: StillCloud
) -> None:
    """The host was "up" without any mark, and its VMs "running", whatever had become of them."""
    web("vm.start", vm="shop-1")
    rack.work(office)
    assert show(web)["state"] == "running"
    (host,) = cloud.views
    cloud.me = cloud.views[host].uuid
    assert web("cloud.here") == {"host": "h1", "hypervisor_error": ""}
    cloud.change(host, hypervisor_error="Connection refused")
    assert web("cloud.here") == {"host": "h1", "hypervisor_error": "Connection refused"}
    row = show(web)
    assert (row["state"], row["host_error"], row["cpu_percent"]) == ("unknown", "Connection refused", None)
    assert web("vm.list", filters={"state": "unknown"})["total"] == 1
    assert web("vm.list", filters={"state": "running"})["total"] == 0
    assert [row["state"] for row in office.sysadm("host.list", sort="state")["rows"]] == ["impaired"]
    assert office.sysadm("host.list", filters={"state": "up"})["total"] == 0
    assert office.sysadm("host.list", filters={"state": "impaired"})["total"] == 1
    web("vm.add", name="other-1", instance="shop")
    with pytest.raises(Refused, match=r"does not answer on host h1\. Who manages the host starts it there: `systemctl"):
        web("vm.start", vm="other-1")
    cloud.change(host, hypervisor_error="")
    assert (show(web)["state"], show(web)["host_error"]) == ("running", "")


def test_of_several_hosts_each_is_told_of_the_nearest_first(office: Office, cloud: StillCloud) -> None:
    web = rack.web(office, hosts=2, max_memory=100 * GIB)
    cloud.change(rack.host_id(office, "h1"), state="down")
    rack.instance(web, memory=80 * GIB)
    web("vm.add", name="shop-1", instance="shop")
    with pytest.raises(Refused) as caught:
        web("vm.start", vm="shop-1")
    assert caught.value.text() == (
        "No host can run VM shop-1 now. Host h2 runs 0 B of 63.5 GiB of memory; VM shop-1 needs 80 GiB."
        " Host h1 is not known to be up."
    )
    # What a console shows came over the wire, and is put into its own language.
    set_language("zh_CN")
    assert from_wire(json.loads(json.dumps(caught.value.to_wire()))).text() == (
        "现在没有宿主机可以运行虚拟机 shop-1。"
        "宿主机 h2 已使用内存 0 B/63.5 GiB；虚拟机 shop-1 需要 80 GiB。不能确定宿主机 h1 正在运行。"
    )


def test_of_many_hosts_some_are_told_of(office: Office, cloud: StillCloud) -> None:
    web = rack.web(office, hosts=8)
    for number in range(1, 9):
        cloud.change(rack.host_id(office, f"h{number}"), state="down")
    rack.instance(web)
    web("vm.add", name="shop-1", instance="shop")
    with pytest.raises(Refused) as caught:
        web("vm.start", vm="shop-1")
    sentences = [f"Host h{number} is not known to be up." for number in range(1, 6)]
    assert caught.value.text() == " ".join(("No host can run VM shop-1 now.", *sentences, "Nor can 3 more hosts."))


def test_a_project_without_hosts_is_told_so(office: Office, web: Person) -> None:
    office.sysadm("project.configure", project="web", host_groups=[])
    with pytest.raises(Refused, match="Project web may use no host"):
        web("vm.start", vm="shop-1")


def test_it_runs_where_its_disk_is(office: Office) -> None:
    web = rack.web(office, hosts=3)
    rack.instance(web, disks=[{"volume": rack.disk(office, web, "d1")}])
    web("vm.add", name="shop-1", instance="shop")
    with pytest.raises(Refused, match="A disk of VM shop-1 is not on host h2"):
        web("vm.start", vm="shop-1", host="h2")
    assert web("vm.start", vm="shop-1")["host"] == "h1"


@pytest.mark.parametrize("binding", [{"host": "h2"}, {"host_group": "second"}])
def test_it_runs_where_it_is_bound_to(office: Office, binding: dict[str, str]) -> None:
    web = rack.web(office, hosts=3)
    office.sysadm("host-group.add", name="second", hosts=["h2"], projects=["web"])
    rack.instance(web, **binding)
    web("vm.add", name="shop-1", instance="shop")
    with pytest.raises(Refused, match="bound to other hosts than h1"):
        web("vm.start", vm="shop-1", host="h1")
    assert web("vm.start", vm="shop-1")["host"] == "h2"


def test_kvm_when_it_is_asked_for(office: Office) -> None:
    web = rack.web(office, hosts=2)
    rack.instance(web, accelerator="kvm")
    web("vm.add", name="shop-1", instance="shop")
    with pytest.raises(Refused, match="asks for KVM"):
        web("vm.start", vm="shop-1")
    office.services.database.write(lambda s: s.execute(update(Host).where(Host.name == "h2").values(accelerator="kvm")))
    assert web("vm.start", vm="shop-1")["host"] == "h2"


def test_it_does_not_leave_a_host_on_which_it_may_run(office: Office, cloud: StillCloud) -> None:
    web = rack.web(office, hosts=2)
    rack.instance(web)
    web("vm.add", name="shop-1", instance="shop", start=True)
    rack.work(office, "h1")
    web("vm.stop", vm="shop-1")
    cloud.change(rack.host_id(office, "h1"), state="down")
    with pytest.raises(Refused, match="h1 is not known to be up"):
        web("vm.start", vm="shop-1")
    with pytest.raises(Refused, match="may still run on another host than h2"):
        web("vm.start", vm="shop-1", host="h2")


def test_a_vm_that_is_off_is_not_stopped(web: Person) -> None:
    with pytest.raises(Refused, match="off already"):
        web("vm.stop", vm="shop-1")


def test_a_stop_under_way_may_be_forced(office: Office, web: Person) -> None:
    web("vm.start", vm="shop-1")
    rack.work(office)
    web("vm.stop", vm="shop-1")
    set_state(office, "shop-1", state=State.STOPPING.value)
    assert "task" in web("vm.stop", vm="shop-1", force=True)


@pytest.mark.parametrize("verb", ["reboot", "reset", "suspend"])
def test_what_needs_a_running_vm(office: Office, web: Person, verb: str) -> None:
    with pytest.raises(Refused, match="does not run"):
        web(f"vm.{verb}", vm="shop-1")
    web("vm.start", vm="shop-1")
    rack.work(office)
    task = web(f"vm.{verb}", vm="shop-1")["task"]
    assert web("task.show", task=task)["kind"] == f"machine.{verb}"


def test_suspended_and_resumed(office: Office, web: Person) -> None:
    web("vm.start", vm="shop-1")
    rack.work(office)
    with pytest.raises(Refused, match="not suspended"):
        web("vm.resume", vm="shop-1")
    web("vm.suspend", vm="shop-1")
    rack.work(office)
    assert show(web)["state"] == "paused"
    with pytest.raises(Refused):
        web("vm.reset", vm="shop-1")
    web("vm.resume", vm="shop-1")
    rack.work(office)
    assert show(web)["state"] == "running"


def test_nothing_is_told_to_a_host_that_is_down(office: Office, web: Person, cloud: StillCloud) -> None:
    web("vm.start", vm="shop-1")
    rack.work(office)
    cloud.change(rack.host_id(office, "h1"), state="down")
    with pytest.raises(Refused, match="Host h1 is down"):
        web("vm.reset", vm="shop-1")


def test_a_start_asked_twice_under_one_key_happens_once(office: Office, web: Person) -> None:
    first = web("vm.start", vm="shop-1", request="the-same")
    assert web("vm.start", vm="shop-1", request="the-same") == first
    assert rack.machine(office, "shop-1").epoch == 1


@contextmanager
def statements(office: Office) -> Iterator[list[str]]:
    """The statements that are run inside, but those that begin transactions."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(" ".join(statement.split()))

    engine = office.services.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_few_statements_from_request_to_running(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[Any] = []
    monkeypatch.setattr(office.services, "_after_commit", lambda rings, _topics: rung.append(rings))
    web = rack.web(office, hosts=3)
    disks = [{"volume": rack.disk(office, web, f"d{number}"), "bus": "virtio"} for number in range(3)]
    rack.instance(web, disks=disks, graphics=[{"type": "vnc"}])
    web("vm.add", name="shop-1", instance="shop")
    actor = web.actor
    with statements(office) as seen:
        office.services.call("vm.start", {"vm": "shop-1"}, actor, "key")
        # As hostd does: the tasks that this host was told of are taken without looking for them first.
        engine = office.services.database.engine.dialect.name
        (offered,) = rung[-1].values()
        rack.work(office, offered=offered if engine != "sqlite" else ())
    needed = [statement for statement in seen if not statement.startswith("SELECT host.id")]  # hostd knows its id
    assert show(web)["state"] == "running"
    assert len(needed) == STATEMENTS, "\n".join(needed)


def _starts(people: dict[str, Person], number: int) -> list[Callable[[], Any]]:
    return [
        lambda p=person, vm=f"{name}-{n}": p("vm.start", vm=vm)  # type: ignore[misc]
        for n in range(number)
        for name, person in people.items()
    ]


def _refusals(ends: list[DosvmError | None]) -> set[type[DosvmError]]:
    return {type(end) for end in ends if end is not None}


def test_many_starts_at_once_stay_within_the_quota(office: Office) -> None:
    web = rack.web(office, max_vcpus=5)
    rack.instance(web)
    for number in range(8):
        web("vm.add", name=f"web-{number}", instance="shop")
    ends = at_once(_starts({"web": web}, 8))
    assert _refusals(ends) == {QuotaExceeded}
    assert ends.count(None) == 5
    assert web("usage.show")["used_vcpus"] == 5


def test_many_projects_at_once_stay_within_a_hosts_limits(office: Office) -> None:
    office.host("h1", cores=4)
    office.sysadm("host.edit", host="h1", max_vcpus=5)
    people = {name: office.project(name) for name in ("red", "green", "blue", "grey")}
    office.sysadm("host-group.add", name="all", hosts=["h1"], projects=list(people))
    for name, person in people.items():
        rack.instance(person)
        for number in range(3):
            person("vm.add", name=f"{name}-{number}", instance="shop")
    ends = at_once(_starts(people, 3))
    assert _refusals(ends) <= {Refused, Conflict}
    assert 1 <= ends.count(None) <= 5
    on = office.services.database.read(lambda s: s.scalars(select(Machine.id).where(Machine.power == "on")).all())
    assert len(on) == ends.count(None)

    def left() -> tuple[Person, str]:
        """One of those whose start was refused, and a VM of theirs that is off."""
        off = (person("vm.list", filters={"power": "off"})["rows"] for person in people.values())
        return next((person, rows[0]["name"]) for person, rows in zip(people.values(), off, strict=True) if rows)

    for _ in range(5 - len(on)):  # whoever was overtaken may ask again
        person, vm = left()
        person("vm.start", vm=vm)
    person, vm = left()
    with pytest.raises(Refused, match="runs 5 of 5 VCPUs"):
        person("vm.start", vm=vm)


def test_one_vm_started_by_many_at_once_starts_once(office: Office, web: Person) -> None:
    ends = at_once([lambda: web("vm.start", vm="shop-1")] * 6)
    assert ends.count(None) == 1
    assert _refusals(ends) <= {Refused, Conflict}
    assert rack.machine(office, "shop-1").epoch == 1
    assert len(web("task.list", filters={"kind": "machine.start"})["rows"]) == 1


def test_deleted_only_when_off(office: Office, web: Person) -> None:
    web("vm.start", vm="shop-1")
    with pytest.raises(Refused):
        web("vm.delete", vm="shop-1")
    rack.work(office)
    with pytest.raises(Refused, match="not off"):
        web("vm.delete", vm="shop-1")
    web("vm.stop", vm="shop-1", force=True)
    rack.work(office)
    web("vm.delete", vm="shop-1")
    assert web.names("vm.list") == []
    web("instance.delete", instance="shop")


def test_disabling_forces_vms_off(office: Office) -> None:
    web = rack.web(office)
    rack.instance(web)
    for number in range(3):
        web("vm.add", name=f"shop-{number}", instance="shop", start=number < 2)
    rack.work(office)
    answer = web("instance.disable", instance="shop")
    assert len(answer["tasks"]) == 2
    assert not answer["enabled"]
    assert {row["power"] for row in web("vm.list")["rows"]} == {"off"}
    assert all(row["disabled"] for row in web("vm.list")["rows"])
    assert rack.work(office) == ["machine.stop"] * 2
    with pytest.raises(Refused, match="disabled"):
        web("vm.add", name="shop-9", instance="shop")
    web("instance.enable", instance="shop")
    web("vm.start", vm="shop-0")


def test_an_edit_of_the_machine_waits_until_it_is_off(office: Office, web: Person) -> None:
    web("vm.start", vm="shop-1")
    with pytest.raises(InUse, match="VMs of instance shop are on: shop-1"):
        web("instance.edit", instance="shop", vcpus=2)
    web("instance.edit", instance="shop", display_name="Shop", vcpus=1)
    rack.work(office)
    web("vm.stop", vm="shop-1", force=True)
    rack.work(office)
    assert web("instance.edit", instance="shop", vcpus=2)["vcpus"] == 2


def test_the_system_administrator_finds_vms_by_instance_and_sees_where_they_are_reached(
    office: Office, web: Person
) -> None:
    web("vm.start", vm="shop-1")
    rack.work(office)
    rack.instance(web, "store")
    web("vm.add", name="other", instance="store")
    row = office.sysadm("vm.list", search="SHOP")["rows"][0]
    assert (row["name"], row["run_host"], row["port"], row["disabled"]) == ("shop-1", "192.0.2.1", 5900, False)
    assert office.sysadm.names("vm.list", search="tore") == ["other"], "by its instance"
    row = office.sysadm("vm.show", vm="web/other")
    assert (row["run_host"], row["port"]) == ("", None), "what does not run is nowhere"
    web("instance.disable", instance="store")
    assert office.sysadm.names("vm.list", filters={"disabled": True}) == ["other"]
    assert office.sysadm.names("vm.list", filters={"disabled": False}) == ["shop-1"]
