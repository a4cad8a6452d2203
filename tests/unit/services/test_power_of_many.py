"""Many VMs by one call: each answered in its place, within the limits, logged by itself, and happening once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from core.errors import InvalidInput
from core.model import Instance, Machine
from core.rules.many import AT_ONCE
from tests.fakes import rack
from tests.fakes.office import Office, Person
from tests.unit.services.test_limits_race import at_once
from tests.unit.services.test_power import statements


def many(office: Office, web: Person, count: int, instance: str = "shop") -> list[str]:
    """The names of so many VMs that are off."""
    names = [f"{instance}-{number}" for number in range(count)]

    def add(session: Any) -> None:
        found = session.scalars(select(Instance).where(Instance.name == instance)).one()
        session.add_all(Machine(name=name, instance_id=found.id, project_id=found.project_id) for name in names)

    office.services.database.write(add)
    return names


def reasons(answer: dict[str, Any]) -> list[str]:
    """What became of each: empty when it was done, else why not."""
    return [one["error"]["message"] if "error" in one else "" for one in answer["each"]]


def test_each_is_answered_in_its_place(office: Office) -> None:
    web = rack.web(office)
    rack.instance(web)
    rack.instance(web, "closed")
    a, b, c = many(office, web, 3)
    closed = many(office, web, 1, "closed")
    web("instance.disable", instance="closed")
    web("vm.start", vm=b)
    rack.work(office)
    uuid = web("vm.show", vm=a)["uuid"]
    answer = web("vm.start", vm=[c, "nobody", b, *closed, uuid.upper(), c, f"web/{a}"])
    assert reasons(answer) == [
        "",
        "There is no {kind} {name}.",
        "VM {name} is on already.",
        "The instance {instance} of VM {name} is disabled.",
        "",
        "VM {name} is being started already.",
        "VM {name} is being started already.",
    ]
    assert [answer["each"][n]["name"] for n in (0, 4)] == [c, a]
    assert answer["each"][0]["host"] == "h1"
    assert rack.work(office) == ["machine.start"] * 2
    assert {row["state"] for row in web("vm.list", filters={"instance": "shop"})["rows"]} == {"running"}


def test_the_other_verbs_take_many_too(office: Office) -> None:
    web = rack.web(office)
    rack.instance(web)
    a, b, c = many(office, web, 3)
    web("vm.start", vm=[a, b])
    rack.work(office)
    for verb in ("suspend", "resume", "reset", "reboot"):
        answer = web(f"vm.{verb}", vm=[a, c, b])
        wanted = "VM {name} is not suspended." if verb == "resume" else "VM {name} does not run."
        assert reasons(answer) == ["", wanted, ""]
        assert rack.work(office) == [f"machine.{verb}"] * 2
    answer = web("vm.stop", vm=[a, c, b, a], force=True)
    assert reasons(answer) == ["", "VM {name} is off already.", "", "VM {name} is named twice."]
    assert rack.work(office) == ["machine.stop"] * 2
    assert {row["power"] for row in web("vm.list")["rows"]} == {"off"}


def test_quota_and_room_are_those_of_all_together(office: Office) -> None:
    web = rack.web(office, hosts=2, max_vcpus=12)
    rack.instance(web, vcpus=2)
    for host in ("h1", "h2"):
        office.sysadm("host.edit", host=host, max_vcpus=5)
    names = many(office, web, 6)
    answer = web("vm.start", vm=names)
    assert [one.get("host") for one in answer["each"]] == ["h1", "h2", "h1", "h2", None, None]
    assert set(reasons(answer)[4:]) == {"No host can run VM {name} now."}
    office.sysadm("host.edit", host="h1", max_vcpus=50)
    answer = web("vm.start", vm=names)
    assert reasons(answer)[:4] == ["VM {name} is being started already."] * 4
    assert reasons(answer)[4:] == ["", ""]
    many(office, web, 1, instance=rack.instance(web, "more")["name"])
    refused = web("vm.start", vm=["more-0", "more-0"])
    assert all(reason.startswith("Project {name} may run {limit} VCPUs") for reason in reasons(refused))
    assert web("usage.show")["used_vcpus"] == 12


def test_asked_twice_under_one_key_it_happens_once_and_each_is_in_the_log(office: Office) -> None:
    web = rack.web(office)
    rack.instance(web)
    names = many(office, web, 3)
    first = web("vm.start", vm=["nobody", *names], request="the-same")
    assert web("vm.start", vm=["nobody", *names], request="the-same") == first
    assert {rack.machine(office, name).epoch for name in names} == {1}
    rows = office.sysadm("log.list", filters={"account": "web-admin"}, search="shop-")["rows"]
    assert sorted(row["name"] for row in rows if row["operation"] == "vm.start") == names
    assert len({row["uuid"] for row in rows}) == len(rows)


def test_nothing_done_nothing_logged(office: Office) -> None:
    web = rack.web(office)
    before = office.sysadm("log.list")["total"]
    assert reasons(web("vm.stop", vm=["a", "b"])) == ["There is no {kind} {name}."] * 2
    assert office.sysadm("log.list")["total"] == before


@pytest.mark.parametrize("wrong", [[], ["x"] * (AT_ONCE + 1), [7], 7, None])
def test_one_call_is_about_some(office: Office, wrong: Any) -> None:
    web = rack.web(office)
    with pytest.raises(InvalidInput):
        web("vm.start", vm=wrong)


@pytest.mark.parametrize(("verb", "most"), [("start", 7), ("stop", 4)])
def test_a_hundred_need_as_few_statements_as_one(office: Office, verb: str, most: int) -> None:
    web = rack.web(office, hosts=2, max_vcpus=1000)
    rack.instance(web)
    names = many(office, web, AT_ONCE)
    if verb == "stop":
        web("vm.start", vm=names)
    actor = web.actor
    with statements(office) as seen:
        answer = office.services.call(f"vm.{verb}", {"vm": names}, actor, "key")
    assert set(reasons(answer)) == {""}
    assert len(seen) <= most, "\n".join(seen)


def test_many_at_once_from_several_sides_start_each_vm_once(office: Office) -> None:
    """The same VMs from everywhere, with quota for some: no limit is passed, and no VM gets two placements."""
    web = rack.web(office, hosts=2, max_vcpus=15)
    rack.instance(web)
    names = many(office, web, 20)
    answers: list[dict[str, Any]] = []

    def ask(turned: int) -> Callable[[], Any]:
        return lambda: answers.append(web("vm.start", vm=names[turned:] + names[:turned]))

    assert at_once([ask(0), ask(5), ask(10), ask(15)]) == [None] * 4
    started = [one["name"] for answer in answers for one in answer["each"] if "task" in one]
    assert len(started) == len(set(started)) == web("usage.show")["used_vcpus"] == 15
    assert {rack.machine(office, name).epoch for name in started} == {1}
    counts = [len(rack.work(office, host)) for host in ("h1", "h2") for _ in range(3)]
    assert sum(counts) == 15


class _Goes:
    """Whoever begins with tasks; knows how often many were being entered."""

    def __init__(self) -> None:
        self.now = self.times = 0

    def promise(self, _host_id: int, _target: str) -> str:
        assert self.now == self.times
        return ""

    def begin(self, _tasks: object) -> None:
        """Nothing is promised."""

    def release(self, _promises: int, *, unsure: bool) -> None:
        """Nothing was."""

    @contextlib.contextmanager
    def entering(self) -> Iterator[None]:
        self.times += 1
        self.now += 1
        yield
        self.now -= 1


def test_who_begins_with_tasks_knows_while_many_are_entered(office: Office) -> None:
    web, goes = rack.web(office), _Goes()
    rack.instance(web)
    a, b, c = many(office, web, 3)
    office.services.begins_by(goes)
    web("vm.start", vm=a)
    assert goes.times == 0
    web("vm.start", vm=[b, c])
    assert (goes.times, goes.now) == (1, 0)
    web("vm.stop", vm=[a, b, c], force=True)
    assert (goes.times, goes.now) == (2, 0)
