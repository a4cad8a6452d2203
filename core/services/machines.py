"""VMs: made from instances, listed, deleted when off (manual 11.4.4, 7.2.1.4); see ``power`` and ``starting``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select
from sqlalchemy.orm import aliased

from core.coordination import runs
from core.coordination.charges import charge
from core.coordination.states import NOWHERE
from core.errors import InUse, Refused
from core.i18n import N_
from core.model import Host, Instance, Machine, Power, Project, State, Volume, instance_volume
from core.rules import names
from core.services.editing import unused
from core.services.fields import ruled
from core.services.listing import Falling, Query, answer, called, contains, flag, iso, listing
from core.services.lookup import find, meant, visible
from core.services.operation import EVERYBODY, PROJECT_ADMIN, Answer, Call, operation
from core.services.orders import idle
from core.services.paging import Named
from core.services.starting import power_on
from core.services.surroundings import lost_image, lost_pool, refuse_lost
from core.services.volume_users import volumes_of

#: Addresses to listen on that mean all of the host's.
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (compared with, not listened on)
#: What is shown as the state of a VM that storage made stand still.
HALTED = "halted"
#: How old the load of a VM in a list may be, in seconds.
_FRESH = 15.0

#: The host whose maintenance switched a VM off.
_DRAINED = aliased(Host)
#: The host to which it is being migrated.
_TARGET = aliased(Host)
#: VMs that are on a host, or may still be.
_PLACED = or_(Machine.power == Power.ON.value, Machine.state.not_in(NOWHERE))


_RUNS = and_(Machine.state.not_in(NOWHERE), Machine.started.is_not(None))
_PORT = func.coalesce(func.nullif(Machine.vnc_port, 0), func.nullif(Machine.spice_port, 0))


def _silent(call: Call) -> set[int]:
    """The ids of hosts that are down, or whose libvirtd does not answer: nobody can say what their VMs do."""
    return {view.id for view in call.cloud.hosts() if view.state == "down" or view.hypervisor_error}


def _host_error(call: Call, host_id: int | None) -> str:
    """Why nobody can say what the VMs of a host do; empty when that is no fault of its libvirtd."""
    view = call.cloud.host(host_id) if host_id is not None else None
    return view.hypervisor_error if view is not None and view.state != "down" else ""


def _state(call: Call) -> Any:
    """The state as it is shown, in SQL: what was last heard, unless the host has fallen silent since.

    One that stands still because storage refuses what it writes is ``halted``: nobody suspended it.
    """
    silent = _silent(call)
    halted = (Machine.halt_error != "", HALTED)
    if not silent:
        return case(halted, else_=Machine.state)
    lost = and_(Machine.host_id.in_(silent), Machine.state.not_in(NOWHERE))
    return case((lost, State.UNKNOWN.value), halted, else_=Machine.state)


def _of(column: Any, condition: Any) -> Any:
    return select(column).where(condition).correlate(Machine).scalar_subquery()


def _statement(call: Call) -> Select[Any]:
    return (
        select(
            Machine,
            _state(call).label("state"),
            Instance.name.label("instance"),
            Instance.vcpus,
            Instance.memory,
            Instance.enabled,
            Project.name.label("project"),
            Host.uuid.label("host_uuid"),
            Host.name.label("host"),
            Host.address,
            _of(_DRAINED.name, _DRAINED.id == Machine.drained_id).label("drained"),
            _of(_TARGET.name, _TARGET.id == Machine.moving_id).label("target"),
        )
        .join(Instance, Instance.id == Machine.instance_id)
        .join(Project, Project.id == Machine.project_id)
        .outerjoin(Host, and_(Host.id == Machine.host_id, _PLACED))
        # What was just changed by a statement of its own is not what the session remembers.
        .execution_options(populate_existing=True)
    )


def _orders() -> dict[str, Any]:
    """What the list is sorted by that is worked out of several columns, looked up for each VM."""
    host = _of(func.coalesce(func.nullif(Host.address, ""), Host.name), and_(Host.id == Machine.host_id, _PLACED))
    listens = case((Machine.screen_address.in_(_ANYWHERE), host), else_=Machine.screen_address)
    enabled = _of(Instance.enabled, Instance.id == Machine.instance_id)
    return {
        "disabled": Falling(enabled),
        "run_host": case((_RUNS, func.coalesce(host, "")), else_=""),
        "port": _PORT,
        "screen": case((_PORT.is_not(None), func.coalesce(listens, "")), else_=""),
        # Who started last is up for the shortest time; who is not up comes before.
        "uptime": Falling(case((_RUNS, Machine.started), else_=datetime.max)),  # noqa: DTZ901  (UTC without zone, as kept)
        "moves_to": _of(_TARGET.name, _TARGET.id == Machine.moving_id),
        "waits_for": _of(_DRAINED.name, _DRAINED.id == Machine.drained_id),
    }


def _rows(call: Call, condition: Any) -> list[dict[str, Any]]:
    return [_row(call, row) for row in call.session.execute(_statement(call).where(condition))]


def _row(call: Call, found: Any) -> dict[str, Any]:
    machine: Machine = found.Machine
    runs_now = machine.state not in NOWHERE and machine.started is not None
    uptime = (call.clock.now() - machine.started).total_seconds() if runs_now and machine.started else None
    return {
        "uuid": machine.uuid,
        "name": machine.name,
        "instance": found.instance,
        "project": found.project,
        "host": found.host or "",
        "address": found.address or "",
        "power": machine.power,
        "state": found.state,
        "run_host": (found.address or found.host or "") if runs_now else "",
        "port": machine.vnc_port or machine.spice_port,
        "vnc_port": machine.vnc_port,
        "spice_port": machine.spice_port,
        "screen": _screen(machine, found.address or found.host or ""),
        "vcpus": found.vcpus,
        "memory": found.memory,
        "disabled": not found.enabled,
        "waits_for": found.drained or "",
        "moves_to": found.target or "",
        "cpu_percent": None,
        "uptime": max(0, round(uptime)) if uptime is not None else None,
        "started": iso(machine.started),
        "host_error": _host_error(call, machine.host_id) if found.state == State.UNKNOWN.value else "",
        "start_error": json.loads(machine.start_error) if machine.start_error else "",
        "halt_error": json.loads(machine.halt_error) if machine.halt_error else "",
        "accelerator": machine.accelerator,
        "created": iso(machine.created),
        "version": machine.version,
        "host_uuid": found.host_uuid,
    }


def _screen(machine: Machine, host: str) -> str:
    """Where a viewer finds the VM's screen, ``host:port``; empty when it shows none."""
    port = machine.vnc_port or machine.spice_port
    if not port:
        return ""
    address = host if machine.screen_address in _ANYWHERE else machine.screen_address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _with_load(call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add how busy the running VMs of a page are; hosts that do not answer soon leave it open."""
    up = {view.uuid for view in call.cloud.hosts() if view.state == "up"}
    machines: dict[str, list[str]] = {}
    for row in rows:
        host = row.pop("host_uuid")
        if host in up and row["state"] == State.RUNNING.value:
            machines.setdefault(host, []).append(row["uuid"])
    if machines:
        # Hosts are asked over the network: end the transaction before the wait.
        call.session.rollback()
        now = call.clock.now().replace(tzinfo=UTC).timestamp()
        samples = call.cloud.machine_samples(machines, now - _FRESH)
        for row in rows:
            newest = samples.get(row["uuid"])
            if newest:
                row["cpu_percent"] = newest[-1].get("cpu_percent")
    return rows


def _without_load(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "host_uuid"} for row in rows]


def _found_by(call: Call, text: str) -> ColumnElement[bool]:
    """The condition of a search: by the VM's name or its instance's, which is looked for once and not for each VM."""
    of_instance = Machine.instance_id.in_(select(Instance.id).where(contains(call, [Instance.name], text)))
    return contains(call, [Machine.name], text) | of_instance


@operation("vm.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All VMs, or the project's; those that are on come first, then by name."""
    state = _state(call)
    page, total = listing(
        call,
        select(Machine.id).where(*visible(call, Machine)),
        query,
        columns={
            "power": Machine.power,
            "name": Machine.name,
            "state": state,
            "host": Named(Machine.host_id, Host.name, when=_PLACED),
            "instance": Named(Machine.instance_id, Instance.name),
            "project": Named(Machine.project_id, Project.name),
            "vcpus": Named(Machine.instance_id, Instance.vcpus),
            "memory": Named(Machine.instance_id, Instance.memory),
            "accelerator": Machine.accelerator,
            "address": _of(Host.address, and_(Host.id == Machine.host_id, _PLACED)),
            "vnc_port": Machine.vnc_port,
            "spice_port": Machine.spice_port,
            **_orders(),
            "started": Machine.started,
            "created": Machine.created,
        },
        tie=Machine.id,
        search=lambda text: _found_by(call, text),
        filters={
            "instance": lambda value: Machine.instance_id.in_(called(Instance, value)),
            "project": lambda value: Machine.project_id.in_(called(Project, value)),
            "host": lambda value: and_(Machine.host_id.in_(called(Host, value)), _PLACED),
            "volume": lambda value: Machine.instance_id.in_(
                select(instance_volume.c.instance_id)
                .join(Volume, Volume.id == instance_volume.c.volume_id)
                .where(*meant(call, Volume, str(value)))
            ),
            "state": lambda value: state == value,
            "power": lambda value: Machine.power == value,
            "disabled": lambda value: Machine.instance_id.in_(
                select(Instance.id).where(Instance.enabled.is_(not flag(value)))
            ),
        },
        default=(Machine.power.desc(), Machine.name, Machine.id),
        rows=_statement(call),
    )
    return answer(_with_load(call, [_row(call, found) for found in page]), total)


@operation("vm.show", roles=EVERYBODY)
def show(call: Call, *, vm: str) -> Answer:
    """One VM, with the ``volumes`` that are its disks."""
    machine = find(call, Machine, vm, field="vm")
    more = {
        "vcpu_seconds": runs.of_machine(call.session, machine.uuid) // 1000,
        "volumes": volumes_of(call, machine.instance_id),
    }
    return {**_with_load(call, _rows(call, Machine.id == machine.id))[0], **more}


@operation("vm.add", roles=PROJECT_ADMIN, action=N_("Add"), target="name")
def add(call: Call, *, name: str, instance: str, start: bool = False) -> Answer:
    """Make a VM from an instance, and power it on when asked to (``task`` in the answer)."""
    machine = create_machine(call, name=name, instance=find(call, Instance, instance, field="instance"))
    done = call.only(power_on(call, [machine.uuid], machine.project_id)) if start else {}
    return {**_without_load(_rows(call, Machine.id == machine.id))[0], **done}


def create_machine(call: Call, *, name: str, instance: Instance) -> Machine:
    """Enter a VM of an instance; it is off.

    Raises:
        InvalidInput: a rule is broken.
        AlreadyExists: the project has a VM of that name.
        Refused: the instance is disabled, or allows one VM and has it.
    """
    ruled("name", names.identifier, name)
    charge(call.session, Project, instance.project_id)
    unused(call, (Machine.project_id == instance.project_id) & (Machine.name == name), name)
    if not instance.enabled:
        raise Refused(
            N_("Instance {name} is disabled."), remedy=N_("Enable it first."), field="instance", name=instance.name
        )
    owner = instance.project_id
    lost = call.session.execute(
        select(Project.name, lost_pool(owner).label("pool"), lost_image(owner).label("image"))
        .select_from(Instance)
        .join(Project, Project.id == Instance.project_id)
        .where(Instance.id == instance.id)
    ).one()
    refuse_lost(instance.name, lost.name, lost.pool, lost.image, field="instance")
    if instance.unique and call.session.scalar(
        select(func.count()).select_from(Machine).where(Machine.instance_id == instance.id)
    ):
        raise InUse(
            N_("Instance {name} has a disk that is written to or not shared, so it can have one VM only, and has it."),
            remedy=N_("Make another instance with disks of its own."),
            field="instance",
            name=instance.name,
        )
    machine = Machine(name=name, project_id=instance.project_id, instance_id=instance.id, created=call.clock.now())
    call.session.add(machine)
    call.session.flush()
    call.note(name, object=machine.uuid, instance=instance.name)
    call.changed("vm", "instance")
    return machine


@operation("vm.delete", roles=PROJECT_ADMIN, action=N_("Delete"), target="vm")
def delete_(call: Call, *, vm: str) -> Answer:
    """Delete a VM that is off; its instance and disks stay."""
    machine = find(call, Machine, vm, field="vm")
    # A VM whose host was removed runs nowhere, whatever was heard of it last.
    down = or_(Machine.state.in_(NOWHERE), Machine.host_id.is_(None))
    idle(call, machine, field="vm")
    done = call.session.execute(
        delete(Machine)
        .where(Machine.id == machine.id, Machine.power == Power.OFF.value, Machine.epoch == machine.epoch, down)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Refused(N_("VM {name} is not off."), remedy=N_("Power it off first."), field="vm", name=machine.name)
    call.note(machine.name, object=machine.uuid)
    call.changed("vm", "instance")
    return {}


@operation("vm.samples", roles=EVERYBODY)
def samples(call: Call, *, vm: str, since: float = 0.0) -> Answer:
    """A VM's recent load, oldest first, newer than ``since`` (Unix seconds); empty when it does not run."""
    machine = find(call, Machine, vm, field="vm")
    uuid, view = machine.uuid, call.cloud.host(machine.host_id) if machine.host_id is not None else None
    call.session.rollback()
    if view is None:
        return {"samples": []}
    return {"samples": call.cloud.machine_samples({view.uuid: [uuid]}, since).get(uuid, [])}
