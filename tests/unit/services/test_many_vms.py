"""Lists of tens of thousands of VMs are read page by page along indexes, whoever looks."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from core.model import Instance, Machine, Project, Task
from tests.fakes import rack
from tests.fakes.cloud import StillCloud
from tests.fakes.office import Office, Person
from tests.scale.watch import Watch

VMS = 50_000
PROJECTS = 10
#: Statements that a page of the list may take, however many VMs there are: one asks how dense those that fit lie.
STATEMENTS = 6
#: Statements more for an order by what VMs belong to: one counts, each run of names is read by one or two.
BY_NAME = 4


@pytest.fixture
def many(office: Office) -> Person:
    """The admin of one of ten projects that have 50 000 VMs together, a tenth of them on host h1."""
    web = rack.web(office)
    host = rack.host_id(office, "h1")

    def fill(session: Session) -> None:
        session.execute(insert(Project), [{"name": f"p{n}"} for n in range(PROJECTS - 1)])
        projects = list(session.query(Project.id).order_by(Project.id))
        instances = []
        for (project,) in projects:
            instance = Instance(project_id=project, name="shop", spec="{}", vcpus=1, memory=2**26)
            session.add(instance)
            session.flush()
            instances.append(instance.id)
        for start in range(0, VMS, 5000):
            session.execute(
                insert(Machine),
                [
                    {
                        "name": f"vm-{(n * 7919) % VMS:05}",
                        "project_id": projects[n % PROJECTS][0],
                        "instance_id": instances[n % PROJECTS],
                        "power": "on" if n % 100 < 10 else "off",
                        "state": "running" if n % 100 < 10 else "off",
                        "host_id": host if n % 100 < 10 else None,
                        "accelerator": "",
                        "screen_address": "",
                        "start_error": "",
                    }
                    for n in range(start, start + 5000)
                ],
            )

    office.services.database.write(fill)
    # What the engines do by themselves after a while.
    with office.services.database.engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE" if office.services.database.is_sqlite else "ANALYZE TABLE machine")
    return web


def _sorts(plan: str) -> bool:
    return "TEMP B-TREE" in plan or "filesort" in plan


def test_among_fifty_thousand_vms(office: Office, many: Person, capsys: pytest.CaptureFixture[str]) -> None:
    """One test, because making so many takes its time."""
    _pages_come_along_indexes(office, many, capsys)
    _filters_search_and_the_last_page(office, many)
    _a_vm_is_placed(office, many)


def _pages_come_along_indexes(office: Office, many: Person, capsys: pytest.CaptureFixture[str]) -> None:
    database = office.services.database
    told = []
    for person, index in ((office.sysadm, "ix_machine_power_name"), (many, "ix_machine_project_power_name")):
        actor = person.actor
        for offset in (0, 1000):
            arguments = {"limit": 50, "offset": offset}
            office.services.call("vm.list", arguments, actor, "")
            with Watch(database) as watch:
                begin = time.perf_counter()
                answer = office.services.call("vm.list", arguments, actor, "")
                seconds = time.perf_counter() - begin
            told.append(f"{person.account} from {offset}: {seconds * 1000:.1f} ms, {len(watch.seen)} statements")
            assert answer["total"] == (VMS if person is office.sysadm else VMS // PROJECTS)
            names = [(row["power"] == "off", row["name"]) for row in answer["rows"]]
            assert names == sorted(names)
            assert len(names) == 50
            assert len(watch.seen) <= STATEMENTS
            plan = watch.plan(-2)
            assert index in plan, plan
            assert not _sorts(plan), plan
    with capsys.disabled():
        print(f"\n  vm.list of {VMS} on {database.engine.dialect.name}: " + "; ".join(told))


def _filters_search_and_the_last_page(office: Office, many: Person) -> None:
    actor = office.sysadm.actor
    for arguments, total in (
        ({"filters": {"host": "h1"}}, VMS // 10),
        ({"filters": {"power": "on", "state": "running"}}, VMS // 10),
        ({"filters": {"project": "web"}}, VMS // PROJECTS),
        ({"search": "VM-0000"}, 10),
        ({"sort": "name", "descending": True}, VMS),
        ({"offset": VMS - 5}, VMS),
        ({"sort": "host"}, VMS),
        ({"offset": VMS}, VMS),
    ):
        with Watch(office.services.database) as watch:
            answer = office.services.call("vm.list", {"limit": 20, **arguments}, actor, "")
        assert answer["total"] == total, arguments
        assert len(watch.seen) <= STATEMENTS + (BY_NAME if arguments.get("sort") == "host" else 0), arguments
        assert len(answer["rows"]) <= 20, arguments
    assert many("vm.list", limit=1)["total"] == VMS // PROJECTS


def _a_vm_is_placed(office: Office, many: Person) -> None:
    office.sysadm("host.edit", host="h1", max_vcpus=100_000)
    office.sysadm("project.configure", project="web", max_vcpus=100_000, max_memory=2**50)
    rack.instance(many, "new", memory=2**24)
    office.services.database.write(lambda s: s.execute(text("UPDATE host SET max_memory = 1152921504606846976")))
    many("vm.add", name="new-1", instance="new")
    actor = many.actor
    with Watch(office.services.database) as watch:
        office.services.call("vm.start", {"vm": "new-1"}, actor, "key")
    assert not list(watch.excesses({"machine"}, chosen=True))


def test_load_is_asked_of_hosts_that_are_up_for_what_runs(
    office: Office, cloud: StillCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = rack.web(office)
    rack.instance(web)
    for number in range(3):
        web("vm.add", name=f"shop-{number}", instance="shop", start=number < 2)
    rack.work(office)
    busy = rack.machine(office, "shop-0").uuid
    cloud.machine_history = {busy: [{"at": 1.0, "cpu_percent": 5.0}, {"at": 2.0, "cpu_percent": 42.5}]}
    asked: list[dict[str, list[str]]] = []
    usual = cloud.machine_samples

    def samples(machines: dict[str, list[str]], since: float) -> dict[str, list[dict[str, Any]]]:
        asked.append(machines)
        return usual(machines, since)

    monkeypatch.setattr(cloud, "machine_samples", samples)
    rows = {row["name"]: row["cpu_percent"] for row in web("vm.list")["rows"]}
    assert rows == {"shop-0": 42.5, "shop-1": None, "shop-2": None}
    assert [len(uuids) for uuids in asked[0].values()] == [2]
    assert web("vm.samples", vm="shop-0")["samples"][-1]["cpu_percent"] == 42.5
    assert web("vm.samples", vm="shop-2")["samples"] == []
    asked.clear()
    cloud.change(rack.host_id(office, "h1"), state="down")
    assert {row["cpu_percent"] for row in web("vm.list")["rows"]} == {None}
    assert asked == []


def test_tasks_are_the_projects_own(office: Office) -> None:
    web = rack.web(office)
    shop = office.project("shop")
    rack.instance(web)
    task = web("vm.add", name="shop-1", instance="shop", start=True)["task"]
    row = web("task.show", task=task.upper())
    assert (row["name"], row["kind"], row["host"], row["error"]) == ("shop-1", "machine.start", "h1", "")
    assert shop("task.list")["rows"] == []
    with pytest.raises(Exception, match="There is no task"):
        shop("task.show", task=task)
    assert office.sysadm("task.list", filters={"target": "shop-1"})["total"] == 1
    assert web("task.list", filters={"target": rack.machine(office, "shop-1").uuid})["total"] == 1
    assert web("task.list", filters={"state": "done", "kind": "machine.start"})["total"] == 0
    wire = '{"code": "engine", "message": "No such file."}'
    office.services.database.write(lambda s: s.query(Task).filter_by(uuid=task).update({"error": wire}))
    assert web("task.show", task=task)["error"]["message"] == "No such file."
