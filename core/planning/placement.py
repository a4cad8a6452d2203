"""Where a VM shall run: a pure choice from what is known of the hosts (manual 11.4.5).

The least loaded of the hosts that may and can run it is taken: the one on which the larger of the shares of
VCPUs and of memory that are promised, this VM included, stays smallest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum


class Obstacle(IntEnum):
    """Why a host cannot run a VM, from the farthest to the nearest to being able to; the first that holds counts."""

    FOREIGN = 1
    """It is in none of the host groups that the project may use."""
    UNBOUND = 2
    """The instance is bound to another host, or to a host group without it."""
    DISK_ELSEWHERE = 3
    """A disk of the VM is on another host."""
    UNWANTED = 4
    """The VM may still run on another host, or another host was asked for."""
    MAINTENANCE = 5
    """It is kept empty for maintenance."""
    DOWN = 6
    """It is not known to be up."""
    HYPERVISOR = 7
    """Its libvirtd does not answer."""
    NO_KVM = 8
    """KVM is asked for, and it has none."""
    VCPUS = 9
    """Its VMs have as many VCPUs as they may have."""
    MEMORY = 10
    """Its VMs have as much memory as they may have."""


@dataclass(frozen=True)
class HostState:
    """A host and what it has promised to VMs other than this one; bytes, and percent of its processors (``load``)."""

    id: int
    name: str
    up: bool
    hypervisor_error: str
    accelerator: str
    max_vcpus: int
    max_memory: int
    used_vcpus: int = 0
    used_memory: int = 0
    load: float = 0.0
    groups: frozenset[int] = frozenset()
    drained: bool = False


@dataclass(frozen=True)
class Request:
    """What is to be placed, and where it may be; memory is bytes.

    Attributes:
        vcpus: its VCPUs.
        memory: its memory.
        groups: the host groups that its project may use.
        accelerator: ``kvm`` when nothing else will do.
        host: the host its instance is bound to.
        group: the host group its instance is bound to.
        disks: the hosts its disks are bound to; with more than one no host can run it.
        only: the host that was asked for, or that it cannot leave now.
        home: the host that it goes back to if that can run it.
        wary: the hosts that could not reach one of its disks when they were last asked to; others are better.
    """

    vcpus: int
    memory: int
    groups: frozenset[int]
    accelerator: str = "auto"
    host: int | None = None
    group: int | None = None
    disks: frozenset[int] = frozenset()
    only: int | None = None
    home: int | None = None
    wary: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Placement:
    """The host that was chosen, or None and what stands against each."""

    host: HostState | None
    obstacles: dict[int, Obstacle] = field(default_factory=dict)


def place(hosts: Iterable[HostState], request: Request) -> Placement:
    """Choose a host; the same question always has the same answer.

    Args:
        hosts: all there are, in any order.
        request: what is to be placed.
    """
    able: list[HostState] = []
    obstacles: dict[int, Obstacle] = {}
    for host in hosts:
        obstacle = obstacle_of(host, request)
        if obstacle is None:
            able.append(host)
        else:
            obstacles[host.id] = obstacle
    return Placement(min(able, key=lambda host: _rank(host, request)) if able else None, obstacles)


def obstacle_of(host: HostState, request: Request) -> Obstacle | None:
    """The first thing that keeps a host from running a VM, or None."""
    if not host.groups & request.groups:
        return Obstacle.FOREIGN
    if request.host not in (None, host.id) or (request.group is not None and request.group not in host.groups):
        return Obstacle.UNBOUND
    if request.disks - {host.id}:
        return Obstacle.DISK_ELSEWHERE
    if request.only not in (None, host.id):
        return Obstacle.UNWANTED
    if host.drained:
        return Obstacle.MAINTENANCE
    if not host.up:
        return Obstacle.DOWN
    if host.hypervisor_error:
        return Obstacle.HYPERVISOR
    if request.accelerator == "kvm" and host.accelerator != "kvm":
        return Obstacle.NO_KVM
    if host.used_vcpus + request.vcpus > host.max_vcpus:
        return Obstacle.VCPUS
    if host.used_memory + request.memory > host.max_memory:
        return Obstacle.MEMORY
    return None


def nearest_first(hosts: Iterable[HostState], placement: Placement) -> list[tuple[HostState, Obstacle]]:
    """The hosts that cannot run it, and what stands against each; those that come nearest to it first."""
    known = [(host, placement.obstacles[host.id]) for host in hosts if host.id in placement.obstacles]
    return sorted(known, key=lambda pair: (-pair[1], pair[0].name, pair[0].id))


def _rank(host: HostState, request: Request) -> tuple[bool, bool, float, float, str, int]:
    vcpus = (host.used_vcpus + request.vcpus) / host.max_vcpus
    memory = (host.used_memory + request.memory) / host.max_memory
    # A hundredth more or less promised says less than what its processors really do.
    share = round(max(vcpus, memory), 2)
    return host.id in request.wary, host.id != request.home, share, host.load, host.name, host.id
