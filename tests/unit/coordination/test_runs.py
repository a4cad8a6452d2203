"""The runs of VMs in the database: counted once, summed for projects, kept when VMs and hosts go."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from core.coordination import hosts, runs
from core.coordination.hosts import Load
from core.coordination.runs import Run
from core.model import Host, Instance, Machine, MachineRun, Project
from core.planning.run_time import RunTime
from core.rules.parameters import Parameters
from tests.unit.coordination.conftest import Ground

STARTED = datetime(2026, 11, 25, 12)  # noqa: DTZ001  (naive UTC, as the database keeps it)
IDLE = Load(0.0, 0.0, 0.0, 0.0)


def furnish(ground: Ground, *, vcpus: int = 4) -> tuple[str, int, str]:
    """A project with a VM; the VM's UUID, the project's id, and the host's UUID."""
    project = ground.add(Project(name="web"))
    instance = ground.add(Instance(name="shop", project_id=project.id, spec="{}", vcpus=vcpus))
    vm = ground.add(Machine(name="shop-1", project_id=project.id, instance_id=instance.id, host_id=ground.host))
    host = ground.read(lambda session: session.scalar(select(Host.uuid).where(Host.id == ground.host)))
    assert host is not None
    return vm.uuid, project.id, host


def run_of(machine: str, begin: int = 1000, **time: Any) -> Run:
    return Run(machine, "boot-1", 77, STARTED, RunTime(begin, **time))


def total(ground: Ground, project: int) -> int:
    return int(ground.read(lambda session: session.scalar(select(runs.OF_PROJECT).where(Project.id == project))) or 0)


def beat(ground: Ground, clock_ms: int) -> None:
    ground.write(hosts.beat, ground.host, "", IDLE, Parameters(), clock_ms)


def test_a_run_counts_its_vcpus_until_the_last_heartbeat_and_then_until_its_end(ground: Ground) -> None:
    vm, project, host = furnish(ground)
    run = run_of(vm)
    ground.write(runs.save, host, [run])
    assert total(ground, project) == 0
    beat(ground, 11_000)
    assert total(ground, project) == ground.read(runs.of_machine, vm) == 4 * 10_000
    ground.write(runs.save, host, [replace(run, time=run.time.pause(12_000))])
    beat(ground, 21_000)
    assert total(ground, project) == 4 * 11_000
    over = replace(run, time=run.time.pause(12_000).resume(31_000).finish(32_000), ended=STARTED)
    ground.write(runs.save, host, [over])
    beat(ground, 99_000)
    assert total(ground, project) == 4 * 12_000


def test_what_is_written_again_counts_once(ground: Ground) -> None:
    vm, project, host = furnish(ground)
    over = replace(run_of(vm), time=RunTime(1000).finish(3000), ended=STARTED)
    for _ in range(3):
        ground.write(runs.save, host, [over, over])
    assert total(ground, project) == 4 * 2000
    assert ground.read(lambda s: s.scalar(select(func.count()).select_from(MachineRun))) == 1


def test_the_projects_sum_stays_when_the_vm_and_the_host_are_gone(ground: Ground) -> None:
    vm, project, host = furnish(ground)
    ground.write(runs.save, host, [replace(run_of(vm), time=RunTime(1000).finish(3000), ended=STARTED)])
    ground.write(runs.save, host, [Run(vm, "boot-1", 78, STARTED, RunTime(5000))])
    beat(ground, 6000)

    def forget(session: Any) -> None:
        runs.close_all(session, host, STARTED)
        session.execute(delete(Machine))
        session.execute(delete(Instance))
        session.execute(delete(Host).where(Host.id == ground.host))

    ground.write(forget)
    assert total(ground, project) == 4 * 3000


def test_of_many_runs_a_few_are_kept_and_their_sum_stays(ground: Ground) -> None:
    vm, project, host = furnish(ground)
    for number in range(40):
        time = RunTime(number * 1000).finish(number * 1000 + 700)
        ended = STARTED + timedelta(seconds=number)
        ground.write(runs.save, host, [Run(vm, "boot-1", number + 1, STARTED, time, ended)])
        assert total(ground, project) == 4 * 700 * (number + 1)
        ground.write(runs.save, host, [Run(vm, "boot-1", number + 1, STARTED, time, ended)])
    assert ground.read(runs.of_machine, vm) == total(ground, project) == 4 * 700 * 40
    assert ground.write(runs.prune, host) == 32
    kept = ground.read(lambda s: s.scalars(select(MachineRun.pid)).all())
    assert sorted(kept) == list(range(33, 41)), "the last ones"
    assert ground.read(runs.of_machine, vm) == total(ground, project) == 4 * 700 * 40


def test_a_host_that_starts_anew_finds_its_runs_and_when_they_were_certain(ground: Ground) -> None:
    vm, _project, host = furnish(ground)
    run = run_of(vm)
    ground.write(runs.save, host, [replace(run, time=run.time.pause(2000))])
    beat(ground, 9000)
    found = ground.read(runs.stock, host)
    assert found.clock_ms == 9000
    assert found.runs == (Run(vm, "boot-1", 77, STARTED, RunTime(1000, paused_from=2000, certain=9000), entered=True),)
    other = ground.read(lambda s: s.scalar(select(Host.uuid).where(Host.id == ground.other_host)))
    assert ground.read(runs.stock, other).runs == ()


def test_a_vm_that_nobody_knows_is_passed_over(ground: Ground) -> None:
    _vm, project, host = furnish(ground)
    ground.write(runs.save, host, [run_of("no-such-vm")])
    assert total(ground, project) == 0


def test_a_run_that_was_passed_over_counts_when_its_vm_is_known_at_its_end(ground: Ground) -> None:
    vm, project, host = furnish(ground)
    run = replace(run_of(vm), entered=True)
    ground.write(runs.save, host, [run])
    assert total(ground, project) == 0, "it was never entered"
    ground.write(runs.save, host, [replace(run, time=run.time.finish(3000), ended=STARTED)])
    assert total(ground, project) == 4 * 2000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    begin=st.integers(0, 10**12),
    paused=st.integers(0, 10**6),
    paused_from=st.none() | st.integers(0, 10**6),
    clock=st.integers(0, 10**12 + 10**8),
)
def test_the_database_reckons_as_the_arithmetic_does(
    ground: Ground, begin: int, paused: int, paused_from: int | None, clock: int
) -> None:
    """Sums over thousands of runs are the database's work; that it sums the same is shown here."""
    since = None if paused_from is None else begin + paused + paused_from

    def work(session: Any) -> int:
        session.execute(delete(MachineRun))
        session.execute(delete(Project))
        project = Project(name="web")
        session.add(project)
        session.flush()
        session.execute(update(Host).where(Host.id == ground.host).values(clock_ms=clock))
        session.add(
            MachineRun(
                machine="m", project_id=project.id, host_id=ground.host, boot="b", pid=1, vcpus=3, from_ms=begin,
                paused_ms=paused, paused_from_ms=since, started=STARTED,
            )
        )  # fmt: skip
        session.flush()
        return runs.of_machine(session, "m")

    assert ground.database.write(work) == 3 * RunTime(begin, paused, since).ran(clock)
