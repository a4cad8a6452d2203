"""Who is alive, judged by one's own clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.coordination.hosts import HostRow, Load
from core.errors import HostdUnavailable
from hostd import intervals
from hostd.cloud import LivingCloud
from tests.fakes.clock import StillClock

ROW = HostRow(
    id=1, uuid="me", name="a", address="10.0.0.1", port=5555, boot="b", heartbeat=1, cores=2, max_vcpus=2,
    max_memory=1, accelerator="tcg", hypervisor_error="", load=Load(1.0, 2.0, 3.0, 4.0), groups=frozenset({7}),
)  # fmt: skip
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
def living(clock: StillClock, net: Net) -> LivingCloud:
    return LivingCloud("me", clock, Samples(), net)  # type: ignore[arg-type]


def state(cloud: LivingCloud, host_id: int = 2) -> str:
    view = cloud.host(host_id)
    assert view is not None
    return view.state


def beat(cloud: LivingCloud, clock: StillClock, *rows: HostRow, seconds: float = intervals.HEARTBEAT) -> bool:
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
    for _ in range(int(intervals.DOWN_AFTER / intervals.HEARTBEAT)):
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
