"""Where VMs are placed: never where they may not or cannot run, and on the least loaded host of the rest."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.planning.placement import HostState, Obstacle, Request, nearest_first, obstacle_of, place

GIB = 1024**3


def host(number: int, **values: object) -> HostState:
    usual: dict[str, object] = {
        "id": number,
        "name": f"h{number}",
        "up": True,
        "hypervisor_error": "",
        "accelerator": "tcg",
        "max_vcpus": 8,
        "max_memory": 8 * GIB,
        "groups": frozenset({1}),
    }
    return HostState(**{**usual, **values})  # type: ignore[arg-type]


def request(**values: object) -> Request:
    return Request(**{"vcpus": 1, "memory": GIB, "groups": frozenset({1}), **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "asked", "obstacle"),
    [
        (host(1, groups=frozenset({2})), request(), Obstacle.FOREIGN),
        (host(1, groups=frozenset()), request(), Obstacle.FOREIGN),
        (host(1), request(groups=frozenset()), Obstacle.FOREIGN),
        (host(1), request(host=2), Obstacle.UNBOUND),
        (host(1), request(group=2), Obstacle.UNBOUND),
        (host(1), request(disks=frozenset({2})), Obstacle.DISK_ELSEWHERE),
        (host(1), request(disks=frozenset({1, 2})), Obstacle.DISK_ELSEWHERE),
        (host(1), request(only=2), Obstacle.UNWANTED),
        (host(1, drained=True), request(), Obstacle.MAINTENANCE),
        (host(1, drained=True, up=False), request(), Obstacle.MAINTENANCE),
        (host(1, up=False), request(), Obstacle.DOWN),
        (host(1, hypervisor_error="gone"), request(), Obstacle.HYPERVISOR),
        (host(1), request(accelerator="kvm"), Obstacle.NO_KVM),
        (host(1, used_vcpus=8), request(), Obstacle.VCPUS),
        (host(1, max_vcpus=0), request(), Obstacle.VCPUS),
        (host(1, used_memory=7 * GIB + 1), request(), Obstacle.MEMORY),
        (host(1, used_memory=7 * GIB, used_vcpus=7), request(), None),
        (host(1, accelerator="kvm"), request(accelerator="kvm"), None),
        (host(1, accelerator="kvm"), request(accelerator="tcg"), None),
        (host(1), request(host=1, disks=frozenset({1}), only=1), None),
        (host(1, groups=frozenset({1, 5})), request(group=5), None),
    ],
)
def test_what_keeps_a_host_from_running_a_vm(one: HostState, asked: Request, obstacle: Obstacle | None) -> None:
    assert obstacle_of(one, asked) is obstacle


def test_home_wins_if_it_can_run_it() -> None:
    hosts = [host(1, used_vcpus=4), host(2)]
    assert place(hosts, request()).host == hosts[1]
    assert place(hosts, request(home=1)).host == hosts[0]
    full = [host(1, used_vcpus=8), host(2)]
    assert place(full, request(home=1)).host == full[1]


def test_the_least_loaded_wins() -> None:
    hosts = [host(1, used_vcpus=4), host(2, used_memory=6 * GIB), host(3, used_vcpus=2, used_memory=GIB)]
    chosen = place(hosts, request()).host
    assert chosen is not None
    assert chosen.name == "h3"


def test_of_equals_the_idle_one_then_the_first_by_name() -> None:
    assert place([host(1, load=50.0), host(2, load=10.0)], request()).host == host(2, load=10.0)
    assert place([host(2), host(1)], request()).host == host(1)


def test_the_nearest_host_is_told_of_first() -> None:
    hosts = [host(1, up=False), host(2, used_memory=8 * GIB), host(3, groups=frozenset())]
    assert nearest_first(hosts, place(hosts, request()))[0] == (hosts[1], Obstacle.MEMORY)
    assert nearest_first([], place([], request())) == []


IDS = st.integers(1, 4)
HOSTS = st.lists(
    st.builds(
        HostState,
        id=st.integers(1, 50),
        name=st.sampled_from(["a", "b", "c"]),
        up=st.booleans(),
        hypervisor_error=st.sampled_from(["", "", "gone"]),
        accelerator=st.sampled_from(["kvm", "tcg", ""]),
        max_vcpus=st.integers(0, 64),
        max_memory=st.integers(0, 64),
        used_vcpus=st.integers(0, 64),
        used_memory=st.integers(0, 64),
        load=st.floats(0, 100),
        groups=st.frozensets(IDS, max_size=3),
    ),
    unique_by=lambda one: one.id,
    max_size=12,
)
REQUESTS = st.builds(
    Request,
    vcpus=st.integers(1, 16),
    memory=st.integers(1, 16),
    groups=st.frozensets(IDS),
    accelerator=st.sampled_from(["auto", "kvm", "tcg"]),
    host=st.none() | st.integers(1, 50),
    group=st.none() | IDS,
    disks=st.frozensets(st.integers(1, 50), max_size=2),
    only=st.none() | st.integers(1, 50),
)
LOOSE = st.builds(Request, vcpus=st.integers(1, 4), memory=st.integers(1, 4), groups=st.just(frozenset({1, 2, 3, 4})))


@given(HOSTS, REQUESTS | LOOSE, st.randoms(use_true_random=False))
def test_a_choice_is_allowed_best_and_the_same_in_any_order(
    hosts: list[HostState], asked: Request, chance: random.Random
) -> None:
    placement = place(hosts, asked)
    able = [one for one in hosts if obstacle_of(one, asked) is None]
    assert set(placement.obstacles) == {one.id for one in hosts} - {one.id for one in able}
    if placement.host is None:
        assert able == []
        assert {host.id for host, _why in nearest_first(hosts, placement)} == {host.id for host in hosts}
    else:
        chosen = placement.host
        assert chosen in able
        assert chosen.used_vcpus + asked.vcpus <= chosen.max_vcpus
        assert chosen.used_memory + asked.memory <= chosen.max_memory

        def share(one: HostState) -> float:
            return max(
                (one.used_vcpus + asked.vcpus) / one.max_vcpus, (one.used_memory + asked.memory) / one.max_memory
            )

        assert share(chosen) <= min(map(share, able)) + 0.011
    shuffled = list(hosts)
    chance.shuffle(shuffled)
    assert place(shuffled, asked).host == placement.host


def test_a_host_that_could_not_reach_a_disk_is_taken_last_but_taken() -> None:
    hosts = [host(1), host(2, used_vcpus=5), host(3, used_vcpus=6)]
    chosen = place(hosts, request(wary=frozenset({1}), home=1)).host
    assert chosen is not None
    assert chosen.id == 2
    alone = place(hosts[:1], request(wary=frozenset({1}))).host
    assert alone is not None
    assert alone.id == 1
