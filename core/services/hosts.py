"""Hosts: registered by their own hostd, here only seen, limited and forgotten (manual 6.2.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from core.coordination.states import NOWHERE
from core.errors import InUse, InvalidInput, Refused
from core.i18n import N_
from core.model import (
    Host,
    HostGroup,
    Instance,
    Machine,
    Pool,
    Power,
    host_group_of_project,
    host_in_group,
)
from core.rules import names
from core.rules.sizes import MIB, format_size
from core.services.cloud import HostView
from core.services.editing import edit, unused
from core.services.fields import in_range, ruled
from core.services.host_loss import strike
from core.services.listing import Query, answer, iso, listing
from core.services.lookup import find
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.relations import some

#: What a host keeps for itself, in bytes (manual 6.2.2.4).
RESERVED = 512 * MIB
#: Most VCPUs a host may be given to run; more than any machine runs sensibly.
MAX_VCPUS = 100_000

_VMS = (
    select(func.count())
    .select_from(Machine)
    .where(Machine.host_id == Host.id, Machine.power == Power.ON.value)
    .correlate(Host)
    .scalar_subquery()
)
#: VMs that are there, or may still be; and those that wait for the end of its maintenance.
_LEFT = (
    select(func.count())
    .select_from(Machine)
    .where(Machine.host_id == Host.id, or_(Machine.power == Power.ON.value, Machine.state.not_in(NOWHERE)))
    .correlate(Host)
    .scalar_subquery()
)
_WAITING = (
    select(func.count()).select_from(Machine).where(Machine.drained_id == Host.id).correlate(Host).scalar_subquery()
)
_COUNTS = (_VMS.label("vms"), _LEFT.label("left"), _WAITING.label("waiting"))


def _statement(call: Call) -> Select[Any]:
    statement = select(Host, *_COUNTS)
    if call.actor.is_sysadm:
        return statement
    usable = (
        select(host_in_group.c.host_id)
        .join(host_group_of_project, host_group_of_project.c.group_id == host_in_group.c.group_id)
        .where(host_group_of_project.c.project_id == call.actor.project_id)
    )
    return statement.where(Host.id.in_(usable))


def _row(found: Any, view: HostView | None) -> dict[str, Any]:
    """A host's row: what it is from the database, how it is from the living cloud where that knows it."""
    host: Host = found.Host
    live: HostView | Host = view or host
    state = view.state if view else "unknown"
    if state == "up" and host.drain:
        state = "draining" if found.left else "drained"
    elif state == "up" and view is not None and view.hypervisor_error:
        state = "impaired"
    return {
        "uuid": host.uuid,
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "state": state,
        "drain": host.drain,
        "waiting": found.waiting,
        "age": round(view.age, 1) if view else None,
        "cores": host.cores,
        "memory": host.memory,
        "max_vcpus": host.max_vcpus,
        "max_memory": host.max_memory,
        "cpu_percent": round(live.cpu_percent, 1),
        "memory_percent": round(live.memory_percent, 1),
        "disk_percent": round(live.disk_percent, 1),
        "network_rate": round(live.network_rate, 1),
        "accelerator": host.accelerator,
        "accelerator_reason": host.accelerator_reason,
        "libvirt_version": host.libvirt_version,
        "qemu_version": host.qemu_version,
        "kernel": host.kernel,
        "cpu_model": host.cpu_model,
        "architecture": host.architecture,
        "vms": found.vms,
        "hypervisor_error": view.hypervisor_error if view else host.hypervisor_error,
        "port_error": json.loads(host.port_error) if host.port_error else None,
        "temporary_error": json.loads(host.temporary_error) if host.temporary_error else None,
        "created": iso(host.created),
        "version": host.version,
    }


def _shown_as(views: Iterable[HostView], state: str) -> ColumnElement[bool]:
    """The hosts that show a state: those that are up tell besides of maintenance, and of a libvirtd that fails."""
    broken = Host.id.in_([view.id for view in views if view.hypervisor_error])
    kinds = {
        "up": and_(Host.drain == "", ~broken),
        "impaired": and_(Host.drain == "", broken),
        "draining": and_(Host.drain != "", _LEFT > 0),
        "drained": and_(Host.drain != "", _LEFT == 0),
    }
    return and_(_in_state(views, "up"), kinds[state]) if state in kinds else _in_state(views, state)


def _in_state(views: Iterable[HostView], state: str) -> ColumnElement[bool]:
    known = {view.id: view.state for view in views}
    if state == "unknown":
        return Host.id.not_in([i for i, seen in known.items() if seen != "unknown"])
    return Host.id.in_([i for i, seen in known.items() if seen == state])


@operation("host.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All hosts; for a project admin those the project may use."""
    views = {view.id: view for view in call.cloud.hosts()}
    rows, total = listing(
        call,
        _statement(call),
        query,
        columns={
            "name": Host.name,
            "address": Host.address,
            "state": case(
                (_in_state(views.values(), "down"), 0),
                (_shown_as(views.values(), "impaired"), 1),
                (_in_state(views.values(), "unknown"), 2),
                (Host.drain != "", 3),
                else_=4,
            ),
            "cores": Host.cores,
            "memory": Host.memory,
            "max_vcpus": Host.max_vcpus,
            "max_memory": Host.max_memory,
            "cpu_percent": Host.cpu_percent,
            "memory_percent": Host.memory_percent,
            "disk_percent": Host.disk_percent,
            "network_rate": Host.network_rate,
            "accelerator": Host.accelerator,
            "vms": _VMS,
            "port": Host.port,
            "drain": Host.drain,
            "accelerator_reason": Host.accelerator_reason,
            "libvirt_version": Host.libvirt_version,
            "qemu_version": Host.qemu_version,
            "kernel": Host.kernel,
            "cpu_model": Host.cpu_model,
            "architecture": Host.architecture,
            "created": Host.created,
        },
        tie=Host.id,
        search=[Host.name, Host.address],
        filters={
            "state": lambda value: _shown_as(views.values(), value),
            "group": lambda value: Host.id.in_(_members(value)),
            "accelerator": lambda value: Host.accelerator == value,
        },
    )
    return answer([_row(found, views.get(found.Host.id)) for found in rows], total)


def _members(group: Any) -> Select[Any]:
    return (
        select(host_in_group.c.host_id)
        .join(HostGroup, HostGroup.id == host_in_group.c.group_id)
        .where((HostGroup.name == group) | (HostGroup.uuid == group))
    )


def _show(call: Call, host: Host) -> Answer:
    found = call.session.execute(select(Host, *_COUNTS).where(Host.id == host.id)).one()
    return _row(found, call.cloud.host(host.id))


@operation("host.show", roles=EVERYBODY)
def show(call: Call, *, host: str) -> Answer:
    """One host; for a project admin one the project may use."""
    return _show(call, find(call, Host, host, field="host", statement=_statement(call)))


@operation("host.edit", roles=SYSTEM_ADMIN, action=N_("Edit"), target="host")
def edit_(
    call: Call,
    *,
    host: str,
    name: str | None = None,
    max_vcpus: int | None = None,
    max_memory: int | None = None,
    version: int | None = None,
) -> Answer:
    """Change a host's name, and how many VCPUs and bytes of memory its VMs may have together."""
    found = find(call, Host, host, field="host")
    ruled("name", names.identifier, name)
    if name is not None and name != found.name:
        unused(call, Host.name == name, name)
    in_range("max_vcpus", max_vcpus, 1, MAX_VCPUS)
    most = max(0, found.memory - RESERVED)
    if max_memory is not None and not 0 <= max_memory <= most:
        raise InvalidInput(
            N_("At most {most}: the host has {memory} and keeps {reserved} for itself."),
            field="max_memory",
            most=format_size(most),
            memory=format_size(found.memory),
            reserved=format_size(RESERVED),
        )
    call.note(found.name)
    edit(call, found, version, {"name": name, "max_vcpus": max_vcpus, "max_memory": max_memory})
    call.changed("host")
    return _show(call, found)


@operation("host.delete", roles=SYSTEM_ADMIN, action=N_("Delete"), target="host")
def delete_(call: Call, *, host: str) -> Answer:
    """Forget a host that is down, to which nothing is bound and on which nothing runs."""
    found = find(call, Host, host, field="host")
    view = call.cloud.host(found.id)
    if view is None or view.state != "down":
        raise Refused(
            N_("Host {name} is not known to be down."),
            remedy=N_("Only a host that is down can be deleted: stop its hostd and wait a minute."),
            field="host",
            name=found.name,
        )
    uses = (
        (
            N_("VMs: {names}."),
            select(Machine.name).where(
                or_(and_(Machine.host_id == found.id, Machine.power == Power.ON.value), Machine.drained_id == found.id)
            ),
        ),
        (N_("Storage pools: {names}."), select(Pool.name).where(Pool.host_id == found.id)),
        (N_("Instances: {names}."), select(Instance.name).where(Instance.host_id == found.id)),
    )
    reasons: list[dict[str, Any]] = []
    for message, statement in uses:
        rows = sorted(call.session.scalars(statement.limit(6)).all())
        if rows:
            reasons.append({"message": message, "parameters": {"names": some(rows)}})
    if reasons:
        raise InUse(
            N_("Host {name} is still in use. {reasons}"),
            remedy=N_("Move or delete them first; a host that never returns is given up: `dosvm host abandon`."),
            field="host",
            name=found.name,
            reasons=reasons,
        )
    strike(call, found)
    call.note(found.name, object=found.uuid)
    return {}


@operation("host.samples", roles=SYSTEM_ADMIN)
def samples(call: Call, *, host: str, since: float = 0.0) -> Answer:
    """A host's recent load, oldest first, newer than ``since`` (Unix seconds)."""
    found = find(call, Host, host, field="host")
    # The host is asked over the network: end the transaction before the wait.
    call.session.rollback()
    return {"samples": call.cloud.host_samples(found.uuid, since)}
