"""The reconciler between the database and what runs: nothing is started in two places, no news is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from core.clock import SystemClock
from core.errors import EngineError, Refused
from hostd.bus import Bus
from hostd.handling import Effect, Record
from hostd.hypervisor.domains import Domain
from hostd.machines import Machines
from hostd.reconciler import Reconciler
from hostd.runtime import Runtime
from hostd.targets import Targets
from tests.fakes import rack
from tests.fakes.office import Office, Person
from tests.waiting import until

Start = Callable[[str, int | None], Effect]


class Bench:
    """A reconciler of host h1, where no domain runs; starting is what the test says."""

    def __init__(self, office: Office, start: Start) -> None:
        number = rack.host_id(office, "h1")
        database, clock = office.services.database, SystemClock()
        still: Any = SimpleNamespace(
            up=True,
            all=list,
            find=lambda _uuid: None,
            listen=lambda _hook: None,
            running=lambda *_seen: None,
            unanswered=lambda _uuid: False,
            certain=lambda _uuid, _wait: True,
        )
        self.machines = Machines(
            database,
            clock,
            lambda: number,
            still,
            still,
            still,
            office.services.vault,
            still,
            still,
            still,
        )
        self.machines.start = lambda uuid, epoch, _closing=None: start(uuid, epoch)  # type: ignore[method-assign]
        self.targets = Targets()
        self.reconciler = Reconciler(
            database,
            clock,
            lambda: number,
            still,
            still,
            still,
            self.machines,
            still,
            still,
            self.targets,
            Bus(),
            Runtime(),
            threads=2,
        )


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with two hosts, whose VM shop-1 did not start on h1."""
    admin = rack.web(office, hosts=2)
    rack.instance(admin)
    admin("vm.add", name="shop-1", instance="shop")
    admin("vm.start", vm="shop-1", host="h1")
    rack.work(office, running=False)
    assert admin("vm.show", vm="shop-1")["state"] == "failed"
    return admin


def test_what_is_being_started_again_is_not_placed_elsewhere(office: Office, web: Person) -> None:
    """A host tries by itself what failed before: while it does, nobody may start the VM on another one."""
    begun, go = threading.Event(), threading.Event()

    def slow(_uuid: str, _epoch: int | None) -> Effect:
        begun.set()
        go.wait(5)
        raise EngineError("no")

    bench = Bench(office, slow)
    work = threading.Thread(target=bench.reconciler._start, args=(rack.machine(office, "shop-1").uuid,))
    work.start()
    assert begun.wait(5)
    try:
        with pytest.raises(Refused, match="may still run on another host"):
            web("vm.start", vm="shop-1", host="h2")
    finally:
        go.set()
        work.join()
    assert web("vm.show", vm="shop-1")["state"] == "failed"
    assert web("vm.start", vm="shop-1", host="h2")["host"] == "h2"


def test_what_was_placed_elsewhere_meanwhile_is_not_started(office: Office, web: Person) -> None:
    bench = Bench(office, lambda _uuid, _epoch: pytest.fail("started"))
    web("vm.start", vm="shop-1", host="h2")
    bench.reconciler._start(rack.machine(office, "shop-1").uuid)
    assert web("vm.show", vm="shop-1")["state"] == "starting"


def test_a_start_that_fails_says_nothing_of_a_later_one(office: Office, web: Person) -> None:
    machine = rack.machine(office, "shop-1")
    bench = Bench(office, lambda _uuid, _epoch: pytest.fail("started"))
    failed = bench.machines.start_failed(machine.uuid, machine.epoch, EngineError("no"))
    web("vm.start", vm="shop-1", host="h1")
    office.services.database.write(failed)
    row = web("vm.show", vm="shop-1")
    assert (row["state"], row["start_error"]) == ("starting", "")


def test_news_that_come_while_work_ends_are_looked_at(office: Office, web: Person) -> None:
    bench = Bench(office, lambda _uuid, _epoch: pytest.fail("started"))
    uuid, done = rack.machine(office, "shop-1").uuid, threading.Event()

    def news(_uuid: str) -> None:
        # Somebody looks between the release and the end of the work.
        bench.reconciler._submit(uuid, "observe", lambda _uuid: None)
        done.set()

    bench.targets.on_release(news)
    bench.reconciler._submit(uuid, "observe", lambda _uuid: None)
    assert done.wait(5)
    until(lambda: uuid in bench.reconciler._dirty, what="the news are lost")


def test_what_a_task_has_just_written_is_not_compared_once_more(office: Office, web: Person) -> None:
    """The end of its own work brings news; they cost a statement only when something else has happened."""
    bench = Bench(office, lambda _uuid, _epoch: pytest.fail("started"))
    uuid, epoch = rack.machine(office, "shop-1").uuid, 3
    running = Domain(uuid, "dosvm-1", 7, "running", epoch)

    def after(state: str, domain: Domain | None) -> bool:
        bench.reconciler.recorded(Record(uuid, 1, epoch, {"state": state}))
        known = bench.reconciler._is_recorded(uuid, domain)
        assert not bench.reconciler._is_recorded(uuid, domain), "it answers one piece of news"
        return known

    assert after("running", running)
    assert after("off", None)
    assert not after("running", None)
    assert not after("off", running)
    assert not after("paused", running)
    assert not after("running", Domain(uuid, "dosvm-1", 8, "running", epoch + 1))


def test_a_vm_that_ends_right_after_its_start_is_seen(office: Office, web: Person) -> None:
    bench = Bench(office, lambda _uuid, _epoch: pytest.fail("started"))
    web("vm.start", vm="shop-1", host="h1")
    rack.work(office)
    machine = rack.machine(office, "shop-1")
    assert machine.state == "running"
    bench.reconciler.recorded(Record(machine.uuid, 1, machine.epoch, {"state": "running"}))
    started = threading.Event()
    bench.reconciler._start = lambda _uuid: started.set()  # type: ignore[method-assign, assignment]
    bench.reconciler._compare({machine.uuid})
    assert started.wait(5), "no domain runs: it is started again"
