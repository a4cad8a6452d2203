"""Decides whether VMs may be started, and on which host: one that may and can run them (manual 11.4.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Row, select

from core.coordination.states import NOWHERE
from core.errors import DosvmError, Refused, overtaken
from core.i18n import N_
from core.model import Host, Machine, Power, State
from core.planning.placement import HostState, Obstacle, Placement, Request, nearest_first, obstacle_of, place
from core.rules.sizes import format_size
from core.services.lookup import not_one
from core.services.operation import Call
from core.services.quota import fit_memory, fit_vcpus
from core.services.surroundings import groups_of, hosts_of, key_of, look, refuse_lost

#: Of so many hosts a refusal says why each cannot run the VM.
_MOST_TOLD = 5
#: What stands against a host, said of it.
_SENTENCES = {
    Obstacle.FOREIGN: N_("Host {host} is in no host group of project {project}."),
    Obstacle.UNBOUND: N_("The instance of VM {name} is bound to other hosts than {host}."),
    Obstacle.DISK_ELSEWHERE: N_("A disk of VM {name} is not on host {host}."),
    Obstacle.UNWANTED: N_("VM {name} may still run on another host than {host}."),
    Obstacle.MAINTENANCE: N_("Host {host} is in maintenance and takes no VMs."),
    Obstacle.DOWN: N_("Host {host} is not known to be up."),
    Obstacle.HYPERVISOR: N_("libvirtd does not answer on host {host}."),
    Obstacle.NO_KVM: N_("VM {name} asks for KVM, which host {host} does not have."),
    Obstacle.VCPUS: N_("Host {host} runs {used_vcpus} of {max_vcpus} VCPUs; VM {name} needs {vcpus}."),
    Obstacle.MEMORY: N_("Host {host} runs {used_memory} of {max_memory} of memory; VM {name} needs {memory}."),
}
#: What can be done against it.
_REMEDIES = {
    Obstacle.DOWN: N_("Bring it back: `dosvm doctor` says there what is missing."),
    Obstacle.HYPERVISOR: N_("Who manages the host starts it there: `systemctl restart libvirtd`."),
}


class Chosen(NamedTuple):
    """A VM that may be started, and where."""

    number: int
    vm: Row[Any]
    host: HostState


def decide(
    call: Call, references: Mapping[int, str], project_id: int, wanted: Host | None, *, if_waiting: bool
) -> Iterator[tuple[int, Chosen | DosvmError]]:
    """What can be done with each VM, when those before it are started."""
    vms, places = look(call, references.values(), project_id)
    groups = groups_of(places)
    hosts = hosts_of(call, places)
    vcpus, memory = 0, 0
    met: set[int] = set()
    for number, reference in references.items():
        found = vms.get(key_of(reference))
        try:
            if isinstance(found, DosvmError):
                raise found
            if found is None:
                raise not_one(Machine, reference, 0, field="vm")
            if if_waiting and (found.drained is None or found.power == Power.ON.value):
                raise overtaken()
            _refuse_start(found, twice=found.id in met)
            more = (0, 0) if found.power == Power.ON.value else (found.vcpus, found.memory)
            fit_vcpus(found.project, found.max_vcpus, int(found.used_vcpus) + vcpus, more[0])
            fit_memory(found.project, found.max_memory, int(found.used_memory) + memory, more[1])
            host = _choose(found, groups, hosts, wanted)
        except DosvmError as error:
            yield number, error
            continue
        met.add(found.id)
        vcpus, memory = vcpus + more[0], memory + more[1]
        if found.power == Power.ON.value and found.placed in hosts:
            # It counts already where it was placed before.
            hosts[found.placed] = _promising(hosts[found.placed], found, -1)
        hosts[host.id] = _promising(hosts.get(host.id, host), found, 1)
        yield number, Chosen(number, found, host)


def _promising(host: HostState, vm: Row[Any], times: int) -> HostState:
    return replace(
        host, used_vcpus=host.used_vcpus + times * vm.vcpus, used_memory=host.used_memory + times * vm.memory
    )


def _refuse_start(vm: Row[Any], *, twice: bool) -> None:
    if not vm.enabled:
        raise Refused(
            N_("The instance {instance} of VM {name} is disabled."),
            remedy=N_("Enable the instance first."),
            field="vm",
            name=vm.name,
            instance=vm.instance,
        )
    refuse_lost(vm.instance, vm.project, vm.lost_pool, vm.lost_image, field="vm")
    on = vm.power == Power.ON.value
    if on and vm.state not in (*NOWHERE, State.UNKNOWN.value, State.STARTING.value):
        raise Refused(N_("VM {name} is on already."), field="vm", name=vm.name)
    if twice or (on and vm.busy):
        raise Refused(
            N_("VM {name} is being started already."),
            remedy=N_("Wait for its task to end."),
            field="vm",
            name=vm.name,
        )


@dataclass(frozen=True)
class Move:
    """Where a VM would be started if it left its host, or why no other host can run it.

    Attributes:
        vm: what is known of it: ``id``, ``uuid``, ``name``, ``project_id``, ``epoch``, ``placed`` (its host),
            ``instance_id``, ``vcpus``, ``memory``, ``busy`` (it has a task).
        host: where to; None when no other host can run it.
        error: why.
    """

    vm: Row[Any]
    host: HostState | None
    error: DosvmError | None = None


def elsewhere(call: Call, machine_ids: Sequence[int], leaving: int) -> list[Move]:
    """Where VMs would be started if they left the host they are on, one after the other; nothing is changed.

    Args:
        call: the operation's call.
        machine_ids: the VMs.
        leaving: the host that they leave.

    Returns:
        What becomes of each, in the order of the names.
    """
    which = select(Machine.uuid, Machine.project_id).where(Machine.id.in_(machine_ids))
    found = call.session.execute(which.order_by(Machine.name, Machine.id)).all()
    looked = {
        project_id: look(call, [row.uuid for row in found if row.project_id == project_id], project_id)
        for project_id in {row.project_id for row in found}
    }
    taken: dict[int, tuple[int, int]] = {}
    plan: list[Move] = []
    for uuid, project_id in found:
        vms, places = looked[project_id]
        vm = vms.get(uuid)
        if vm is None or isinstance(vm, DosvmError):
            continue  # deleted at this moment
        hosts = []
        for host in hosts_of(call, places).values():
            vcpus, memory = taken.get(host.id, (0, 0))
            used_vcpus, used_memory = host.used_vcpus + vcpus, host.used_memory + memory
            drained = host.drained or host.id == leaving
            hosts.append(replace(host, used_vcpus=used_vcpus, used_memory=used_memory, drained=drained))
        placement = place(hosts, _request(vm, groups_of(places), None))
        chosen = placement.host
        if chosen is None:
            others = [host for host in hosts if host.id != leaving]
            alone = bool(hosts) and not others
            plan.append(Move(vm, None, _no_other(vm) if alone else _nowhere(vm, others, placement)))
            continue
        vcpus, memory = taken.get(chosen.id, (0, 0))
        taken[chosen.id] = vcpus + vm.vcpus, memory + vm.memory
        plan.append(Move(vm, chosen))
    return plan


def _request(vm: Row[Any], groups: frozenset[int], only: int | None) -> Request:
    return Request(
        vcpus=vm.vcpus,
        memory=vm.memory,
        groups=groups,
        accelerator=str(vm.accelerator or "").strip('"'),
        host=vm.bound_host,
        group=vm.bound_group,
        disks=frozenset({vm.first_disk_host, vm.last_disk_host} - {None}),
        only=only,
        home=vm.drained,
        wary=frozenset(int(host) for host in str(vm.unreached_from or "").split(",") if host),
    )


def _choose(vm: Row[Any], groups: frozenset[int], hosts: Mapping[int, HostState], wanted: Host | None) -> HostState:
    stays = vm.placed if vm.state not in NOWHERE else None
    request = _request(vm, groups, stays if stays is not None else (wanted.id if wanted is not None else None))
    if vm.power == Power.ON.value and vm.placed in hosts:
        hosts = {**hosts, vm.placed: _promising(hosts[vm.placed], vm, -1)}
    if wanted is not None:
        one = hosts.get(wanted.id) or _foreign(wanted)
        obstacle = obstacle_of(one, request)
        if obstacle is not None:
            raise _refusal(obstacle, vm, one, field="host")
        return one
    placement = place(hosts.values(), request)
    if placement.host is None:
        raise _nowhere(vm, list(hosts.values()), placement)
    return placement.host


def _foreign(host: Host) -> HostState:
    return HostState(
        id=host.id,
        name=host.name,
        up=False,
        hypervisor_error="",
        accelerator=host.accelerator,
        max_vcpus=host.max_vcpus,
        max_memory=host.max_memory,
    )


def _refusal(obstacle: Obstacle, row: Row[Any], host: HostState, *, field: str) -> DosvmError:
    return Refused(_SENTENCES[obstacle], remedy=_REMEDIES.get(obstacle, ""), field=field, **_parameters(row, host))


def _parameters(row: Row[Any], host: HostState) -> dict[str, Any]:
    return {
        "name": row.name,
        "project": row.project,
        "host": host.name,
        "vcpus": row.vcpus,
        "used_vcpus": host.used_vcpus,
        "max_vcpus": host.max_vcpus,
        "memory": format_size(row.memory),
        "used_memory": format_size(host.used_memory),
        "max_memory": format_size(host.max_memory),
    }


def _no_other(row: Row[Any]) -> DosvmError:
    """Of a VM whose project may use the one host alone that it would leave."""
    return Refused(N_("There is no other host that VM {name} may run on."), field="vm", name=row.name)


def _nowhere(row: Row[Any], hosts: list[HostState], placement: Placement) -> DosvmError:
    """Why no host can run it, told of each, nearest to it first; of many hosts told of some."""
    ranked = nearest_first(hosts, placement)
    if not ranked:
        return Refused(
            N_("Project {project} may use no host."),
            remedy=N_("Ask the system administrator for a host group with hosts."),
            field="vm",
            project=row.project,
        )
    if len(ranked) == 1:
        host, obstacle = ranked[0]
        return _refusal(obstacle, row, host, field="vm")
    reasons: list[dict[str, Any]] = [
        {"message": _SENTENCES[obstacle], "parameters": _parameters(row, host)}
        for host, obstacle in ranked[:_MOST_TOLD]
    ]
    if len(ranked) > _MOST_TOLD:
        more = len(ranked) - _MOST_TOLD
        reasons.append({"message": N_("Nor can {count} more hosts."), "parameters": {"count": more}})
    return Refused(N_("No host can run VM {name} now."), remedy="{reasons}", field="vm", name=row.name, reasons=reasons)
