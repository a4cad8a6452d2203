"""A VM is powered on: placed on a host that may and can run it, within what its project may run (manual 11.4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import Row, ScalarSelect, Update, bindparam, exists, func, select, update
from sqlalchemy.orm import aliased

from core.coordination.charges import charge
from core.errors import Conflict, DosvmError, Refused
from core.i18n import N_
from core.model import (
    Host,
    Instance,
    Machine,
    Pool,
    Power,
    Project,
    State,
    Task,
    TaskState,
    Volume,
    host_group_of_project,
    host_in_group,
    instance_volume,
)
from core.planning.placement import HostState, Obstacle, Placement, Request, nearest_first, obstacle_of, place
from core.rules.sizes import format_size
from core.services.lookup import meant, not_one
from core.services.operation import Answer, Call
from core.services.orders import order
from core.services.quota import fit_memory, fit_vcpus
from core.services.usage import USED

_OPEN = (TaskState.QUEUED.value, TaskState.RUNNING.value)
#: States of a VM that nothing is left of on any host: it may be started on another one.
NOWHERE = (State.OFF.value, State.FAILED.value)

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


def power_on(call: Call, vm: str, project_id: int, *, wanted: Host | None = None, if_waiting: bool = False) -> Answer:
    """Place a VM on a host and order its start there.

    Everything that decides is read after the project was charged, and written only if the chosen host, charged
    too, still has room: however many VMs are started at once, no limit is passed.

    Args:
        call: the operation's call.
        vm: the VM.
        project_id: its project.
        wanted: the host that was asked for.
        if_waiting: only if it still waits for the end of a host's maintenance.

    Returns:
        ``task``, ``uuid``, ``name`` and ``host``.

    Raises:
        Refused: it is on, its instance is disabled, or no host can run it.
        QuotaExceeded: the project may not run as much.
        Conflict: somebody else was faster.
    """
    charge(call.session, Project, project_id)
    around = _surroundings().where(*meant(call, Machine, vm))
    rows = call.session.execute(around).all()
    machines = {row.Machine.id for row in rows}
    if len(machines) != 1:
        raise not_one(Machine, vm, len(machines), field="vm")
    row = rows[0]
    machine: Machine = row.Machine
    if if_waiting and (machine.drained_id is None or machine.power == Power.ON.value):
        raise overtaken()
    _refuse_start(row)
    more = (0, 0) if machine.power == Power.ON.value else (row.vcpus, row.memory)
    fit_vcpus(row.project, row.max_vcpus, int(row.used_vcpus), more[0])
    fit_memory(row.project, row.max_memory, int(row.used_memory), more[1])
    chosen = _choose(call, rows, wanted)
    charge(call.session, Host, chosen.id)
    _switch_on(call, row, chosen)
    call.note(machine.name, object=machine.uuid, host=chosen.name, epoch=machine.epoch + 1)
    call.changed("vm", "host")
    payload = {"epoch": machine.epoch + 1}
    done = order(call, "machine.start", machine, chosen.id, project_id=machine.project_id, payload=payload)
    return {**done, "host": chosen.name}


@cache
def _surroundings() -> Any:
    """A VM, what it needs, what its project may use and uses; one row per host and group it may run in.

    Made once: putting it together costs many times what the database needs to answer it.
    """
    running, shape = aliased(Machine), aliased(Instance)
    promised = (
        select(
            running.host_id.label("host_id"),
            func.sum(shape.vcpus).label("vcpus"),
            func.sum(shape.memory).label("memory"),
        )
        .join(shape, shape.id == running.instance_id)
        .where(running.power == Power.ON.value)
        .group_by(running.host_id)
        .subquery()
    )
    groups = host_group_of_project.alias()
    return (
        select(
            Machine,
            Instance.name.label("instance"),
            Instance.enabled,
            Instance.vcpus,
            Instance.memory,
            Instance.host_id.label("bound_host"),
            Instance.host_group_id.label("bound_group"),
            func.json_extract(Instance.spec, "$.accelerator").label("accelerator"),
            Project.name.label("project"),
            Project.max_vcpus,
            Project.max_memory,
            USED["vcpus"].label("used_vcpus"),
            USED["memory"].label("used_memory"),
            exists().where(Task.target == Machine.uuid, Task.state.in_(_OPEN)).correlate(Machine).label("busy"),
            _disk_host(func.min).label("first_disk_host"),
            _disk_host(func.max).label("last_disk_host"),
            Host.id.label("host_id"),
            Host.name.label("host"),
            Host.drain,
            Host.accelerator.label("host_accelerator"),
            Host.max_vcpus.label("host_vcpus"),
            Host.max_memory.label("host_memory"),
            groups.c.group_id,
            promised.c.vcpus.label("promised_vcpus"),
            promised.c.memory.label("promised_memory"),
        )
        .join(Instance, Instance.id == Machine.instance_id)
        .join(Project, Project.id == Machine.project_id)
        .outerjoin(groups, groups.c.project_id == Machine.project_id)
        .outerjoin(host_in_group, host_in_group.c.group_id == groups.c.group_id)
        .outerjoin(Host, Host.id == host_in_group.c.host_id)
        .outerjoin(promised, promised.c.host_id == Host.id)
        .execution_options(populate_existing=True)
    )


def _disk_host(which: Any) -> ScalarSelect[Any]:
    return (
        select(which(Pool.host_id))
        .select_from(instance_volume)
        .join(Volume, Volume.id == instance_volume.c.volume_id)
        .join(Pool, Pool.id == Volume.pool_id)
        .where(instance_volume.c.instance_id == Instance.id)
        .correlate(Instance)
        .scalar_subquery()
    )


def _refuse_start(row: Row[Any]) -> None:
    machine: Machine = row.Machine
    if not row.enabled:
        raise Refused(
            N_("The instance {instance} of VM {name} is disabled."),
            remedy=N_("Enable the instance first."),
            field="vm",
            name=machine.name,
            instance=row.instance,
        )
    if machine.power != Power.ON.value:
        return
    if machine.state not in (*NOWHERE, State.UNKNOWN.value, State.STARTING.value):
        raise Refused(N_("VM {name} is on already."), field="vm", name=machine.name)
    if row.busy:
        raise Refused(
            N_("VM {name} is being started already."),
            remedy=N_("Wait for its task to end."),
            field="vm",
            name=machine.name,
        )


def elsewhere(call: Call, machine_ids: Sequence[int], leaving: int) -> list[tuple[str, str | DosvmError]]:
    """Where VMs would be started if they left the host they are on, one after the other; nothing is changed.

    Args:
        call: the operation's call.
        machine_ids: the VMs.
        leaving: the host that they leave.

    Returns:
        The name of each VM, in the order of the names, and the name of its host; or why no other can run it.
    """
    vms: dict[int, list[Row[Any]]] = {}
    found = _surroundings().where(Machine.id.in_(machine_ids)).order_by(Machine.name, Machine.id)
    for row in call.session.execute(found).all():
        vms.setdefault(row.Machine.id, []).append(row)
    taken: dict[int, tuple[int, int]] = {}
    plan: list[tuple[str, str | DosvmError]] = []
    for rows in vms.values():
        hosts = []
        for host in _hosts(call, rows):
            vcpus, memory = taken.get(host.id, (0, 0))
            used_vcpus, used_memory = host.used_vcpus + vcpus, host.used_memory + memory
            drained = host.drained or host.id == leaving
            hosts.append(replace(host, used_vcpus=used_vcpus, used_memory=used_memory, drained=drained))
        row, placement = rows[0], place(hosts, _request(rows, None))
        chosen = placement.host
        if chosen is None:
            others = [host for host in hosts if host.id != leaving] or hosts
            plan.append((row.Machine.name, _nowhere(row, others, placement)))
            continue
        vcpus, memory = taken.get(chosen.id, (0, 0))
        taken[chosen.id] = vcpus + row.vcpus, memory + row.memory
        plan.append((row.Machine.name, chosen.name))
    return plan


def _request(rows: Sequence[Row[Any]], only: int | None) -> Request:
    row = rows[0]
    return Request(
        vcpus=row.vcpus,
        memory=row.memory,
        groups=frozenset(found.group_id for found in rows if found.group_id is not None),
        accelerator=str(row.accelerator or "").strip('"'),
        host=row.bound_host,
        group=row.bound_group,
        disks=frozenset({row.first_disk_host, row.last_disk_host} - {None}),
        only=only,
        home=row.Machine.drained_id,
    )


def _choose(call: Call, rows: Sequence[Row[Any]], wanted: Host | None) -> HostState:
    row = rows[0]
    machine: Machine = row.Machine
    hosts = _hosts(call, rows)
    stays = machine.host_id if machine.state not in NOWHERE else None
    request = _request(rows, stays if stays is not None else (wanted.id if wanted is not None else None))
    if wanted is not None:
        one = next((host for host in hosts if host.id == wanted.id), _foreign(wanted))
        obstacle = obstacle_of(one, request)
        if obstacle is not None:
            raise _refusal(obstacle, row, one, field="host")
        return one
    placement = place(hosts, request)
    if placement.host is None:
        raise _nowhere(row, hosts, placement)
    return placement.host


def _hosts(call: Call, rows: Sequence[Row[Any]]) -> list[HostState]:
    """The hosts that the project may use: limits and promises from the database, life from the living cloud."""
    machine: Machine = rows[0].Machine
    groups: dict[int, set[int]] = {}
    for row in rows:
        if row.host_id is not None:
            groups.setdefault(row.host_id, set()).add(row.group_id)
    found = []
    for row in {row.host_id: row for row in rows if row.host_id is not None}.values():
        view = call.cloud.host(row.host_id)
        own = machine.power == Power.ON.value and machine.host_id == row.host_id
        found.append(
            HostState(
                id=row.host_id,
                name=row.host,
                up=view is not None and view.state == "up",
                hypervisor_error=view.hypervisor_error if view is not None else "",
                accelerator=row.host_accelerator,
                max_vcpus=row.host_vcpus,
                max_memory=row.host_memory,
                used_vcpus=int(row.promised_vcpus or 0) - (row.vcpus if own else 0),
                used_memory=int(row.promised_memory or 0) - (row.memory if own else 0),
                load=view.cpu_percent if view is not None else 0.0,
                groups=frozenset(groups[row.host_id]),
                drained=bool(row.drain),
            )
        )
    return found


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
    return Refused(_SENTENCES[obstacle], field=field, **_parameters(row, host))


def _parameters(row: Row[Any], host: HostState) -> dict[str, Any]:
    return {
        "name": row.Machine.name,
        "project": row.project,
        "host": host.name,
        "vcpus": row.vcpus,
        "used_vcpus": host.used_vcpus,
        "max_vcpus": host.max_vcpus,
        "memory": format_size(row.memory),
        "used_memory": format_size(host.used_memory),
        "max_memory": format_size(host.max_memory),
    }


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
    return Refused(
        N_("No host can run VM {name} now."), remedy="{reasons}", field="vm", name=row.Machine.name, reasons=reasons
    )


def _switch_on(call: Call, row: Row[Any], host: HostState) -> None:
    """Place the VM under a new epoch, if nobody changed it and the host has room at this very moment."""
    machine: Machine = row.Machine
    known = {
        "vm_id": machine.id,
        "vm_epoch": machine.epoch,
        "vm_power": machine.power,
        "vm_drained": machine.drained_id or 0,
        "vm_host": host.id,
        "most_vcpus": host.max_vcpus - row.vcpus,
        "most_memory": host.max_memory - row.memory,
    }
    done = call.session.execute(_switch(), known)
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise overtaken()


@cache
def _switch() -> Update:
    machine = Machine.__table__.c
    return (
        update(Machine.__table__)  # type: ignore[arg-type]
        .where(
            machine.id == bindparam("vm_id"),
            machine.epoch == bindparam("vm_epoch"),
            machine.power == bindparam("vm_power"),
            # Somebody may have said meanwhile that it shall stay off when maintenance ends.
            func.coalesce(machine.drained_id, 0) == bindparam("vm_drained"),
            _promised(Instance.vcpus) <= bindparam("most_vcpus"),
            _promised(Instance.memory) <= bindparam("most_memory"),
            # Its maintenance may have begun after it was chosen.
            exists().where(Host.id == bindparam("vm_host"), Host.drain == ""),
        )
        .values(
            power=Power.ON.value,
            state=State.STARTING.value,
            host_id=bindparam("vm_host"),
            epoch=machine.epoch + 1,
            accelerator="",
            vnc_port=None,
            spice_port=None,
            screen_address="",
            start_error="",
            started=None,
            drained_id=None,
        )
    )


def overtaken() -> Conflict:
    """What to raise when another transaction was faster."""
    return Conflict(N_("Somebody else changed the same thing at this moment."), remedy=N_("Look again and repeat it."))


def _promised(column: Any) -> ScalarSelect[Any]:
    """What the host ``vm_host`` has promised to VMs other than ``vm_id``."""
    running = aliased(Machine)
    return (
        select(func.coalesce(func.sum(column), 0))
        .select_from(running)
        .join(Instance, Instance.id == running.instance_id)
        .where(
            running.host_id == bindparam("vm_host"),
            running.power == Power.ON.value,
            running.id != bindparam("vm_id"),
        )
        .scalar_subquery()
    )
