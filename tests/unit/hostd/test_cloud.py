"""Who is alive, judged by one's own clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.coordination.hosts import HostRow, Load
from core.errors import HostdUnavailable
from core.rules.parameters import Parameters
from hostd.cloud import LivingCloud
from hostd.runtime import Runtime
from tests.fakes.clock import StillClock

ROW = HostRow(
    id=1, uuid="me", name="a", address="10.0.0.1", port=5555, boot="b", heartbeat=1, heartbeat_interval=2,
    cores=2, max_vcpus=2,
    max_memory=1, accelerator="tcg", hypervisor_error="", load=Load(1.0, 2.0, 3.0, 4.0), groups=frozenset({7}),
)  # fmt: skip
EVERY = float(Parameters().heartbeat_interval)
OTHER = replace(ROW, id=2, uuid="other", name="b", address="10.0.0.2")


class Samples:
    """A collector with one sample of this host."""

    def host_load(self) -> None:
        return None

    def host_samples(self, since: float) -> list[dict[str, Any]]:
        return [{"at": 1.0}]

    def machine_samples(self, uuids: list[str], since: float) -> dict[str, list[dict[str, Any]]]:
        return {uuid: [{"at": 1.0}] for uuid in uuids}


class Net:
    """Other hosts: those in ``silent`` do not answer."""

    def __init__(self) -> None:
        self.silent: set[str] = set()

    def ask(self, address: tuple[str, int], call: Any, body: dict[str, Any], *, seconds: float = 1) -> Any:
        if address[0] in self.silent:
            raise HostdUnavailable(address[0])
        return {"samples": [{"at": 2.0}] if "machines" not in body else {m: [{"at": 2.0}] for m in body["machines"]}}

    def ask_all(self, questions: Any, *, seconds: float = 1) -> list[Any]:
        return [None if address[0] in self.silent else self.ask(address, c, b) for address, c, b in questions]


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def living(clock: StillClock, net: Net, runtime: Runtime) -> LivingCloud:
    return LivingCloud("me", clock, Samples(), net, runtime)  # type: ignore[arg-type]


def state(cloud: LivingCloud, host_id: int = 2) -> str:
    view = cloud.host(host_id)
    assert view is not None
    return view.state


def beat(cloud: LivingCloud, clock: StillClock, *rows: HostRow, seconds: float = EVERY) -> bool:
    clock.advance(seconds)
    return cloud.saw(list(rows))


def test_this_host_is_up_as_soon_as_it_is_registered(living: LivingCloud) -> None:
    living.saw([ROW])
    assert state(living, 1) == "up"


def test_another_is_unknown_until_its_counter_moves(living: LivingCloud, clock: StillClock) -> None:
    living.saw([ROW, OTHER])
    assert state(living) == "unknown"
    assert beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    assert state(living) == "up"


def test_it_is_down_when_its_counter_stands_still(living: LivingCloud, clock: StillClock) -> None:
    living.saw([ROW, OTHER])
    beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    for _ in range(int(Parameters().down_after / EVERY)):
        beat(living, clock, ROW, replace(OTHER, heartbeat=2))
        assert state(living) == "up"
    beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    assert state(living) == "down"


def test_a_host_that_was_dead_before_is_found_to_be_down(living: LivingCloud, clock: StillClock) -> None:
    living.saw([ROW, OTHER])
    for _ in range(6):
        beat(living, clock, ROW, OTHER)
    assert state(living) == "down"


def test_a_restart_of_the_counter_is_life(living: LivingCloud, clock: StillClock) -> None:
    living.saw([ROW, replace(OTHER, heartbeat=100)])
    beat(living, clock, ROW, replace(OTHER, heartbeat=3))
    assert state(living) == "up"


def test_wall_clocks_do_not_matter(living: LivingCloud, clock: StillClock) -> None:
    living.saw([ROW, OTHER])
    beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    clock.set_wall(clock.now().replace(year=2036))
    beat(living, clock, ROW, replace(OTHER, heartbeat=3))
    assert state(living) == "up"


def test_while_the_database_is_away_nobody_dies(living: LivingCloud, clock: StillClock) -> None:
    living.saw([ROW, OTHER])
    beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    clock.advance(600)
    assert state(living) == "up"
    living.saw([ROW, replace(OTHER, heartbeat=2)])
    assert state(living) == "up"
    for _ in range(5):
        beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    assert state(living) == "down"


def test_a_deleted_host_is_forgotten(living: LivingCloud, clock: StillClock) -> None:
    living.saw([ROW, OTHER])
    beat(living, clock, ROW)
    assert living.host(2) is None
    assert [view.uuid for view in living.hosts()] == ["me"]


def test_samples_come_from_here_and_there_and_silence_costs_nothing(living: LivingCloud, net: Net) -> None:
    living.saw([ROW, OTHER])
    assert living.host_samples("me", 0) == [{"at": 1.0}]
    assert living.host_samples("other", 0) == [{"at": 2.0}]
    assert living.machine_samples({"me": ["x"], "other": ["y"]}, 0) == {"x": [{"at": 1.0}], "y": [{"at": 2.0}]}
    net.silent.add("10.0.0.2")
    assert living.machine_samples({"me": ["x"], "other": ["y"]}, 0) == {"x": [{"at": 1.0}]}
    with pytest.raises(HostdUnavailable):
        living.host_samples("other", 0)
    with pytest.raises(HostdUnavailable):
        living.host_samples("nobody", 0)


class Hearts:
    """Some hosts with hearts of their own; each reads and writes one database at its beats, as hostd does."""

    def __init__(self, clock: StillClock, net: Net, count: int) -> None:
        self.clock = clock
        self.set = Parameters()
        self.rows = {n: replace(ROW, id=n, uuid=f"u{n}", name=f"h{n}") for n in range(1, count + 1)}
        self.runtimes = {n: Runtime() for n in self.rows}
        self.clouds = {n: LivingCloud(f"u{n}", clock, Samples(), net, self.runtimes[n]) for n in self.rows}  # type: ignore[arg-type]
        # Nobody beats in step with anybody.
        self.due = {n: clock.monotonic() + 0.3 * n for n in self.rows}
        self.dead: set[int] = set()

    def run(self, seconds: float) -> set[str]:
        """Let time pass; the hosts that somebody called down meanwhile."""
        down: set[str] = set()
        end = self.clock.monotonic() + seconds
        while (at := min(self.due.values())) < end:
            self.clock.advance(max(0.0, at - self.clock.monotonic()))
            for n in [n for n, due in self.due.items() if due <= at]:
                self.beat(n)
            down |= {
                view.name
                for watcher, cloud in self.clouds.items()
                if watcher not in self.dead
                for view in cloud.hosts()
                if view.state == "down"
            }
        self.clock.advance(max(0.0, end - self.clock.monotonic()))
        return down

    def beat(self, n: int) -> None:
        if n in self.dead:
            self.due[n] = float("inf")
            return
        runtime = self.runtimes[n]
        interval = runtime.now.heartbeat_interval
        row = self.rows[n]
        self.rows[n] = replace(row, heartbeat=row.heartbeat + 1, heartbeat_interval=interval)
        self.clouds[n].saw(list(self.rows.values()))
        # What is new is announced by another beat before it is lived by.
        self.due[n] = self.clock.monotonic() + (0.05 if runtime.take(self.set) else interval)


@pytest.mark.parametrize(("before", "after"), [(2, 300), (300, 2), (2, 7), (60, 2), (2, 60)])
@pytest.mark.parametrize("missed", [1, 3])
def test_nobody_looks_dead_while_hearts_change_their_pace(
    clock: StillClock, net: Net, before: int, after: int, missed: int
) -> None:
    hearts = Hearts(clock, net, 5)
    hearts.set = Parameters(version=1, heartbeat_interval=before, missed_heartbeats=missed)
    hearts.run(before * 10)
    hearts.set = Parameters(version=2, heartbeat_interval=after, missed_heartbeats=missed)
    assert hearts.run((before + after) * 10) == set()
    assert {runtime.now.version for runtime in hearts.runtimes.values()} == {2}


@pytest.mark.parametrize(("before", "after"), [(2, 60), (60, 2)])
def test_who_dies_while_hearts_change_their_pace_is_found(clock: StillClock, net: Net, before: int, after: int) -> None:
    hearts = Hearts(clock, net, 3)
    hearts.set = Parameters(version=1, heartbeat_interval=before)
    hearts.run(before * 10)
    hearts.set = Parameters(version=2, heartbeat_interval=after)
    hearts.dead.add(3)
    assert hearts.run(max(before, after) * 12) == {"h3"}


def test_fewer_beats_may_be_missed_from_now_on(living: LivingCloud, clock: StillClock, runtime: Runtime) -> None:
    runtime.take(Parameters(version=1, missed_heartbeats=1))
    living.saw([ROW, OTHER])
    beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    for _ in range(2):
        beat(living, clock, ROW, replace(OTHER, heartbeat=2))
        assert state(living) == "up"
    beat(living, clock, ROW, replace(OTHER, heartbeat=2))
    assert state(living) == "down"
