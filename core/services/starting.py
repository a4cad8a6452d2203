"""A VM is powered on: placed on a host that may and can run it, within what its project may run (manual 11.4.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    CompoundSelect,
    Row,
    ScalarSelect,
    Update,
    bindparam,
    exists,
    func,
    null,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.orm import aliased

from core.coordination.charges import charge_to_run
from core.coordination.states import NO_RUN
from core.coordination.tasks import Order, worked_on
from core.errors import DosvmError, Refused, overtaken
from core.i18n import N_
from core.model import (
    Host,
    Instance,
    Machine,
    Pool,
    Power,
    Project,
    State,
    Volume,
    host_group_of_project,
    host_in_group,
    instance_volume,
)
from core.planning.placement import HostState, Obstacle, Placement, Request, nearest_first, obstacle_of, place
from core.rules.names import is_uuid
from core.rules.sizes import format_size
from core.services.lookup import find, not_one
from core.services.operation import Call, Outcome
from core.services.orders import order_all
from core.services.quota import fit_memory, fit_vcpus
from core.services.usage import running

#: States of a VM that nothing is left of on any host: it may be started on another one.
NOWHERE = (State.OFF.value, State.FAILED.value)

#: How often who was overtaken looks again.
_TRIES = 5
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


def power_on(
    call: Call,
    references: Sequence[str],
    project_id: int,
    *,
    wanted: Host | None = None,
    if_waiting: bool = False,
) -> list[Outcome]:
    """Place VMs on hosts and order their starts there.

    What decides is looked at first. Then the project and the hosts that were chosen are charged, and the VMs are
    switched on under the condition that nothing of it has changed and that there still is room within the limits of
    both: however many are started at once, no limit is passed. Whoever was overtaken looks again.

    Args:
        call: the operation's call.
        references: the VMs.
        project_id: their project.
        wanted: the host that was asked for.
        if_waiting: only those that still wait for the end of a host's maintenance.

    Returns:
        Of each ``task``, ``uuid``, ``name`` and ``host``, or why it is not started: it is on, its instance is disabled,
        no host can run it, the project may not run as much, or somebody else was faster each time.
    """
    ends: dict[int, Outcome] = {}
    left = dict(enumerate(references))
    for _ in range(_TRIES):
        chosen: list[_Chosen] = []
        for number, outcome in _decide(call, left, project_id, wanted, if_waiting=if_waiting):
            if isinstance(outcome, _Chosen):
                chosen.append(outcome)
            else:
                ends[number] = Outcome(error=outcome)
        if chosen:
            charge_to_run(call.session, project_id, {one.host.id for one in chosen})
            ends |= _order(call, _switch_on(call, chosen, project_id))
        left = {number: reference for number, reference in left.items() if number not in ends}
        if not left:
            break
    return [ends.get(number) or Outcome(error=overtaken()) for number in range(len(references))]


class _Chosen(NamedTuple):
    """A VM that may be started, and where."""

    number: int
    vm: Row[Any]
    host: HostState


def _order(call: Call, switched: Sequence[_Chosen]) -> dict[int, Outcome]:
    """Order the starts of VMs that are switched on."""
    if not switched:
        return {}
    call.changed("vm", "host")
    orders = [
        Order("machine.start", one.vm.uuid, one.vm.name, one.vm.project_id, one.host.id, {"epoch": one.vm.epoch + 1})
        for one in switched
    ]
    return {
        one.number: Outcome(
            {**answer, "host": one.host.name},
            target=one.vm.name,
            detail={"object": one.vm.uuid, "host": one.host.name, "epoch": one.vm.epoch + 1},
        )
        for one, answer in zip(switched, order_all(call, orders), strict=True)
    }


def _decide(
    call: Call, references: Mapping[int, str], project_id: int, wanted: Host | None, *, if_waiting: bool
) -> Iterator[tuple[int, _Chosen | DosvmError]]:
    """What can be done with each VM, when those before it are started."""
    vms, places = _look(call, references.values(), project_id)
    groups = _groups(places)
    hosts = _hosts(call, places)
    vcpus, memory = 0, 0
    met: set[int] = set()
    for number, reference in references.items():
        found = vms.get(_key(reference))
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
        yield number, _Chosen(number, found, host)


def _promising(host: HostState, vm: Row[Any], times: int) -> HostState:
    return replace(
        host, used_vcpus=host.used_vcpus + times * vm.vcpus, used_memory=host.used_memory + times * vm.memory
    )


def _key(reference: str) -> str:
    return reference.lower() if is_uuid(reference) else reference


def _look(
    call: Call, references: Iterable[str], project_id: int
) -> tuple[dict[str, Row[Any] | DosvmError], Sequence[Row[Any]]]:
    """The VMs that are meant, by reference, and a row per host and group that their project may use."""
    vms: dict[str, Row[Any] | DosvmError] = {}
    places: list[Row[Any]] = []
    keys: dict[bool, set[str]] = {True: set(), False: set()}
    paths: dict[str, str] = {}
    for reference in references:
        if "/" not in reference:
            keys[is_uuid(reference)].add(_key(reference))
            continue
        try:
            paths[reference] = find(call, Machine, reference, field="vm").uuid
            keys[True].add(paths[reference])
        except DosvmError as error:
            vms[reference] = error
    for by_uuid, wanted in keys.items():
        if not wanted:
            continue
        rows = call.session.execute(_surroundings(by_uuid=by_uuid), {"own_project": project_id, "vms": list(wanted)})
        places = []
        for row in rows:
            if row.id is None:
                places.append(row)
            else:
                vms[row.uuid if by_uuid else row.name] = row
    vms |= {reference: vms[uuid] for reference, uuid in paths.items() if uuid in vms}
    return vms, places


@cache
def _surroundings(*, by_uuid: bool) -> CompoundSelect[Any]:
    """VMs, what they need, what their project may use and uses; and a row per host and group it may use.

    Made once: putting it together costs many times what the database needs to answer it.
    """
    vm, place = _vm_columns(), _place_columns()
    which = Machine.uuid if by_uuid else Machine.name
    vms = (
        select(*(column.label(name) for name, column in vm.items()), *(null().label(name) for name in place))
        .join(Instance, Instance.id == Machine.instance_id)
        .join(Project, Project.id == Machine.project_id)
        .where(
            Machine.project_id == bindparam("own_project"),
            which.in_(bindparam("vms", expanding=True)),
        )
    )
    promised = _promises()
    groups = host_group_of_project.alias("groups")
    places = (
        select(
            *(null().label(name) for name in vm),
            *(column.label(name) for name, column in _place_columns(groups, promised).items()),
        )
        .select_from(groups)
        .outerjoin(host_in_group, host_in_group.c.group_id == groups.c.group_id)
        .outerjoin(Host, Host.id == host_in_group.c.host_id)
        .outerjoin(promised, promised.c.host_id == Host.id)
        .where(groups.c.project_id == bindparam("own_project"))
    )
    return union_all(vms, places)


def _vm_columns() -> dict[str, Any]:
    own: Any = bindparam("own_project")
    return {
        "id": Machine.id,
        "uuid": Machine.uuid,
        "name": Machine.name,
        "project_id": Machine.project_id,
        "epoch": Machine.epoch,
        "power": Machine.power,
        "state": Machine.state,
        "placed": Machine.host_id,
        "drained": Machine.drained_id,
        "instance_id": Instance.id,
        "instance_version": Instance.version,
        "instance": Instance.name,
        "enabled": Instance.enabled,
        "vcpus": Instance.vcpus,
        "memory": Instance.memory,
        "bound_host": Instance.host_id,
        "bound_group": Instance.host_group_id,
        "accelerator": func.json_extract(Instance.spec, "$.accelerator"),
        "project": Project.name,
        "max_vcpus": Project.max_vcpus,
        "max_memory": Project.max_memory,
        "used_vcpus": running(Instance.vcpus, own),
        "used_memory": running(Instance.memory, own),
        "busy": worked_on(Machine),
        "first_disk_host": _disk_host(func.min),
        "last_disk_host": _disk_host(func.max),
    }


def _place_columns(groups: Any = None, promised: Any = None) -> dict[str, Any]:
    return {
        "group_id": groups.c.group_id if groups is not None else None,
        "host_id": Host.id,
        "host": Host.name,
        "drain": Host.drain,
        "host_accelerator": Host.accelerator,
        "host_vcpus": Host.max_vcpus,
        "host_memory": Host.max_memory,
        "promised_vcpus": promised.c.vcpus if promised is not None else None,
        "promised_memory": promised.c.memory if promised is not None else None,
    }


def _promises() -> Any:
    """What each host has promised: to VMs that are on there, and to those that are being migrated to it."""

    def to(column: str) -> Any:
        on, shape = aliased(Machine), aliased(Instance)
        host = getattr(on, column)
        return (
            select(host.label("host_id"), shape.vcpus, shape.memory)
            .join(shape, shape.id == on.instance_id)
            .where(on.power == Power.ON.value, host.is_not(None))
        )

    every = union_all(to("host_id"), to("moving_id")).subquery()
    return (
        select(every.c.host_id, func.sum(every.c.vcpus).label("vcpus"), func.sum(every.c.memory).label("memory"))
        .group_by(every.c.host_id)
        .subquery()
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


def _refuse_start(vm: Row[Any], *, twice: bool) -> None:
    if not vm.enabled:
        raise Refused(
            N_("The instance {instance} of VM {name} is disabled."),
            remedy=N_("Enable the instance first."),
            field="vm",
            name=vm.name,
            instance=vm.instance,
        )
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
        project_id: _look(call, [row.uuid for row in found if row.project_id == project_id], project_id)
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
        for host in _hosts(call, places).values():
            vcpus, memory = taken.get(host.id, (0, 0))
            used_vcpus, used_memory = host.used_vcpus + vcpus, host.used_memory + memory
            drained = host.drained or host.id == leaving
            hosts.append(replace(host, used_vcpus=used_vcpus, used_memory=used_memory, drained=drained))
        placement = place(hosts, _request(vm, _groups(places), None))
        chosen = placement.host
        if chosen is None:
            others = [host for host in hosts if host.id != leaving] or hosts
            plan.append(Move(vm, None, _nowhere(vm, others, placement)))
            continue
        vcpus, memory = taken.get(chosen.id, (0, 0))
        taken[chosen.id] = vcpus + vm.vcpus, memory + vm.memory
        plan.append(Move(vm, chosen))
    return plan


def _groups(places: Sequence[Row[Any]]) -> frozenset[int]:
    """The host groups that the project may use."""
    return frozenset(place.group_id for place in places if place.group_id is not None)


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


def _hosts(call: Call, places: Sequence[Row[Any]]) -> dict[int, HostState]:
    """The hosts that the project may use: limits and promises from the database, life from the living cloud."""
    groups: dict[int, set[int]] = {}
    for row in places:
        if row.host_id is not None:
            groups.setdefault(row.host_id, set()).add(row.group_id)
    found = {}
    for row in {row.host_id: row for row in places if row.host_id is not None}.values():
        view = call.cloud.host(row.host_id)
        found[row.host_id] = HostState(
            id=row.host_id,
            name=row.host,
            up=view is not None and view.state == "up",
            hypervisor_error=view.hypervisor_error if view is not None else "",
            accelerator=row.host_accelerator,
            max_vcpus=row.host_vcpus,
            max_memory=row.host_memory,
            used_vcpus=int(row.promised_vcpus or 0),
            used_memory=int(row.promised_memory or 0),
            load=view.cpu_percent if view is not None else 0.0,
            groups=frozenset(groups[row.host_id]),
            drained=bool(row.drain),
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


def _switch_on(call: Call, chosen: Sequence[_Chosen], project_id: int) -> list[_Chosen]:
    """Place VMs under new epochs, one statement per host; returns those for which nobody was faster."""
    alone = call.session.get_bind().dialect.name == "sqlite"
    switched: list[_Chosen] = []
    for host_id in sorted({one.host.id for one in chosen}):
        here = [one for one in chosen if one.host.id == host_id]
        known = {
            "vms": [one.vm.id for one in here],
            "placements": [(one.vm.id, one.vm.epoch, one.vm.power, one.vm.drained or 0) for one in here],
            "vm_host": host_id,
        }
        if not alone:
            known |= {
                "shapes": list({(one.vm.instance_id, one.vm.instance_version) for one in here}),
                "more_vcpus": sum(one.vm.vcpus for one in here),
                "more_memory": sum(one.vm.memory for one in here),
                "own_project": project_id,
            }
        done = call.session.execute(_switch(alone=alone), known)
        if done.rowcount == len(here):  # type: ignore[attr-defined]
            switched += here
        elif done.rowcount:  # type: ignore[attr-defined]
            placed = select(Machine.id, Machine.epoch).where(
                Machine.id.in_([one.vm.id for one in here]), Machine.power == Power.ON.value, Machine.host_id == host_id
            )
            now = {row.id: row.epoch for row in call.session.execute(placed)}
            switched += [one for one in here if now.get(one.vm.id) == one.vm.epoch + 1]
    return switched


@cache
def _switch(*, alone: bool) -> Update:
    """The statement that switches VMs on; ``alone`` when nobody can have changed anything since it was looked at."""
    machine = Machine.__table__.c
    statement = (
        update(Machine.__table__)  # type: ignore[arg-type]
        .where(
            machine.id.in_(bindparam("vms", expanding=True)),
            # Somebody may have said meanwhile that it shall stay off when maintenance ends.
            tuple_(machine.id, machine.epoch, machine.power, func.coalesce(machine.drained_id, 0)).in_(
                bindparam("placements", expanding=True)
            ),
        )
        .values(
            power=Power.ON.value,
            state=State.STARTING.value,
            host_id=bindparam("vm_host"),
            epoch=machine.epoch + 1,
            start_error="",
            drained_id=None,
            moving_id=None,
            **NO_RUN,
        )
    )
    if alone:
        return statement
    host, project, shape = Host.__table__.c, Project.__table__.c, Instance.__table__.c
    limits = []
    for what in ("vcpus", "memory"):
        more: Any = bindparam(f"more_{what}")
        of_host = select(host[f"max_{what}"]).where(host.id == bindparam("vm_host"))
        of_project = select(project[f"max_{what}"]).where(
            project.id == bindparam("own_project"), project.deleted.is_(None)
        )
        limits += [
            _others(what, "host_id", "vm_host") + _others(what, "moving_id", "vm_host") + more
            <= of_host.scalar_subquery(),
            _others(what, "project_id", "own_project") + more <= of_project.scalar_subquery(),
        ]
    unchanged = select(shape.id).where(
        tuple_(shape.id, shape.version).in_(bindparam("shapes", expanding=True)), shape.enabled
    )
    # Its maintenance may have begun after it was chosen.
    takes = exists().where(host.id == bindparam("vm_host"), host.drain == "")
    return statement.where(machine.instance_id.in_(unchanged), takes, *limits)


def _others(what: str, column: str, key: str) -> ScalarSelect[Any]:
    """What the VMs that are on, but for ``vms``, have of a host's or a project's VCPUs or memory."""
    on, shape = Machine.__table__.alias(), Instance.__table__.alias()
    return (
        select(func.coalesce(func.sum(shape.c[what]), 0))
        .select_from(on)
        .join(shape, shape.c.id == on.c.instance_id)
        .where(
            on.c[column] == bindparam(key),
            on.c.power == Power.ON.value,
            on.c.id.not_in(bindparam("vms", expanding=True)),
        )
        .scalar_subquery()
    )


def reserve(call: Call, move: Move) -> bool:
    """Keep room on the host of a move for a VM that runs elsewhere and is to migrate there; whether that could be done.

    The host was charged.
    """
    vm, host = move.vm, move.host
    assert host is not None
    known = {
        "vms": [vm.id],
        "vm_epoch": vm.epoch,
        "vm_from": vm.placed,
        "vm_host": host.id,
        "most_vcpus": host.max_vcpus - vm.vcpus,
        "most_memory": host.max_memory - vm.memory,
    }
    done = call.session.execute(_reserve(), known)
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


@cache
def _reserve() -> Update:
    machine, host = Machine.__table__.c, Host.__table__.c
    room = [
        _others(what, "host_id", "vm_host") + _others(what, "moving_id", "vm_host") <= bindparam(f"most_{what}")
        for what in ("vcpus", "memory")
    ]
    return (
        update(Machine.__table__)  # type: ignore[arg-type]
        .where(
            machine.id.in_(bindparam("vms", expanding=True)),
            machine.epoch == bindparam("vm_epoch"),
            machine.host_id == bindparam("vm_from"),
            machine.power == Power.ON.value,
            machine.moving_id.is_(None),
            # Its maintenance may have begun after it was chosen.
            exists().where(host.id == bindparam("vm_host"), host.drain == ""),
            *room,
        )
        .values(moving_id=bindparam("vm_host"))
    )
