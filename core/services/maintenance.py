"""Maintenance of hosts: one is emptied of its VMs and takes no others, until it is brought back.

The VMs are switched off, and remember (``Machine.drained_id``) whose maintenance did it. One that is off then starts
again as soon as some host can run it: with the policy ``move`` at once, on another host; with ``stop``, or when no
other can, once its host is back. With ``migrate`` those that can are migrated as they run; one that cannot, or whose
migration failed, is moved. Because all of that is in the database, it outlives every hostd and every reboot;
and because a VM that is to be off is left alone by the reconciler, nothing starts what maintenance stopped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update

from core.coordination.charges import charge
from core.coordination.states import NOWHERE
from core.coordination.tasks import targets_with_tasks, worked_on
from core.errors import DosvmError, InvalidInput, Refused, overtaken
from core.i18n import N_
from core.model import Host, Machine, Power
from core.services.deciding import elsewhere
from core.services.editing import edit
from core.services.lookup import find
from core.services.migration import hindrances, order_migration, take_back
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.power import order_stop
from core.services.relations import some
from core.services.starting import power_on

#: What is done with the VMs of a host that is emptied.
POLICIES = ("migrate", "move", "stop")
#: Of so many VMs a plan says why they cannot move.
_MOST_TOLD = 5


@operation("host.drain-plan", roles=SYSTEM_ADMIN)
def plan(call: Call, *, host: str) -> Answer:
    """What would become of the VMs of a host if it were emptied now.

    Returns:
        ``migrate``: ``{"name", "host"}`` of each VM that could be migrated as it runs; ``move``: the same, and
        ``reason``, of each that can only start elsewhere; ``stay``: ``{"name", "reason"}`` of each that cannot;
        ``lines``: all of it for people.
    """
    found = find(call, Host, host, field="host")
    migrate: list[dict[str, str]] = []
    move: list[dict[str, Any]] = []
    stay: list[dict[str, Any]] = []
    moves = elsewhere(call, list(call.session.scalars(_on(found))), found.id)
    against = hindrances(call, moves)
    for one in moves:
        name = one.vm.name
        if one.error is not None:
            # A remedy that is only the reasons belongs to the sentence.
            stay.append({"name": name, "reason": one.error.parameters.get("reasons") or [one.error.to_wire()]})
            continue
        assert one.host is not None
        reason = against.get(one.vm.id)
        if reason is None:
            migrate.append({"name": name, "host": one.host.name})
        else:
            move.append({"name": name, "host": one.host.name, "reason": [reason]})
    lines = _lines(migrate, move, stay)
    return {"uuid": found.uuid, "name": found.name, "migrate": migrate, "move": move, "stay": stay, "lines": lines}


def _on(host: Host) -> Any:
    """The VMs of a host that shall run and are not on their way to another."""
    return select(Machine.id).where(
        Machine.host_id == host.id, Machine.power == Power.ON.value, Machine.moving_id.is_(None)
    )


def _lines(
    migrate: Sequence[dict[str, str]], move: Sequence[dict[str, Any]], stay: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The plan in sentences ``{"message": template, "parameters": {...}}``."""

    def line(message: str, **parameters: Any) -> dict[str, Any]:
        return {"message": message, "parameters": parameters}

    def names(vms: Sequence[dict[str, Any]]) -> str:
        return some(f"{vm['name']} → {vm['host']}" if "host" in vm else vm["name"] for vm in vms)

    if not migrate and not move and not stay:
        return [line(N_("No VM runs on it."))]
    said = []
    for vms, message in (
        (migrate, N_("VMs that can be migrated as they run ({count}): {names}.")),
        (move, N_("VMs that can move, if they are stopped ({count}): {names}.")),
        (stay, N_("VMs that cannot move and are stopped in any case ({count}): {names}.")),
    ):
        if vms:
            said.append(line(message, count=len(vms), names=names(vms)))
    told = [*stay, *move][:_MOST_TOLD]
    return said + [line(N_("{name}: {reason}"), name=vm["name"], reason=vm["reason"]) for vm in told]


@operation("host.drain", roles=SYSTEM_ADMIN, action=N_("Empty for maintenance"), target="host")
def drain(call: Call, *, host: str, policy: str) -> Answer:
    """Empty a host for maintenance; no others come until it is brought back.

    With ``migrate`` its VMs are migrated as they run, or moved; with ``move`` stopped and started elsewhere; with
    ``stop`` stopped. On a host that is in maintenance already this changes the policy.
    """
    found = find(call, Host, host, field="host")
    if policy not in POLICIES:
        raise InvalidInput(N_("It must be one of {choices}."), field="policy", choices=", ".join(POLICIES))
    # From here to the commit no VM is placed on it; one that is placed in a moment finds it taken.
    charge(call.session, Host, found.id)
    if found.drain == policy:
        raise Refused(
            N_("Host {name} is in maintenance already."),
            field="host",
            remedy=N_("Bring it back first."),
            name=found.name,
        )
    edit(call, found, None, {"drain": policy})
    # Nor does any come that is on its way.
    take_back(call, Machine.moving_id == found.id)
    tasks = []
    if policy == "migrate":
        moves = elsewhere(call, list(call.session.scalars(_on(found))), found.id)
        against = hindrances(call, moves)
        going = [move for move in moves if move.vm.id in against and against[move.vm.id] is None]
        tasks = [task for move in going if (task := order_migration(call, move))]
    names, stops = _switch_off(call, found, Machine.moving_id.is_(None))
    call.note(found.name, object=found.uuid, policy=policy, vms=some(names), migrated=len(tasks))
    call.changed("host", "vm", "maintenance")
    return {"uuid": found.uuid, "name": found.name, "tasks": [*tasks, *stops]}


def _switch_off(call: Call, host: Host, *which: ColumnElement[bool]) -> tuple[list[str], list[str]]:
    """Switch VMs off that are on a host, until its maintenance ends; their names, and the tasks."""
    call.session.execute(
        update(Machine)
        .where(Machine.host_id == host.id, Machine.power == Power.ON.value, *which)
        .values(power=Power.OFF.value, drained_id=host.id, moving_id=None)
        .execution_options(synchronize_session=False)
    )
    left = list(
        call.session.scalars(
            select(Machine)
            .where(Machine.drained_id == host.id, Machine.host_id == host.id, Machine.state.not_in(NOWHERE))
            .order_by(Machine.id)
            .execution_options(populate_existing=True)
        )
    )
    busy = targets_with_tasks(call.session, [machine.uuid for machine in left], kind="machine.stop")
    tasks = [str(order_stop(call, machine, force=False)["task"]) for machine in left if machine.uuid not in busy]
    return [machine.name for machine in left], tasks


def left_behind(call: Call) -> list[int]:
    """The hosts in maintenance on which VMs run that nobody works on: their migration failed."""
    rows = call.session.scalars(
        select(Host.id)
        .join(Machine, Machine.host_id == Host.id)
        .where(Host.drain != "", Machine.power == Power.ON.value, ~worked_on(Machine))
        .distinct()
    )
    return list(rows)


def move_rest(call: Call, host_id: int) -> None:
    """Stop the VMs that are left on a host in maintenance, to be started elsewhere if its policy says so."""
    charge(call.session, Host, host_id)
    host = call.session.scalar(select(Host).where(Host.id == host_id).execution_options(populate_existing=True))
    if host is None or not host.drain:
        raise overtaken()
    names, _tasks = _switch_off(call, host, ~worked_on(Machine))
    if names:
        call.changed("host", "vm")


@operation("host.undrain", roles=SYSTEM_ADMIN, action=N_("Bring back from maintenance"), target="host")
def undrain(call: Call, *, host: str, start: bool = True) -> Answer:
    """Let a host take VMs again; those that its maintenance stopped start again, unless ``start`` is false."""
    found = find(call, Host, host, field="host")
    charge(call.session, Host, found.id)
    if not found.drain:
        raise Refused(N_("Host {name} is not in maintenance."), field="host", name=found.name)
    edit(call, found, None, {"drain": ""})
    # What is on its way and still here stays.
    take_back(call, Machine.host_id == found.id)
    if not start:
        call.session.execute(
            update(Machine)
            .where(Machine.drained_id == found.id)
            .values(drained_id=None)
            .execution_options(synchronize_session=False)
        )
    count = call.session.scalar(select(func.count()).select_from(Machine).where(Machine.drained_id == found.id)) or 0
    call.note(found.name, object=found.uuid, start=start, vms=count)
    call.changed("host", "vm", "maintenance")
    return {"uuid": found.uuid, "name": found.name, "vms": count}


def is_going_on(call: Call) -> bool:
    """Whether any host is in maintenance, or any VM waits for the end of one."""
    return bool(call.session.connection().scalar(_going_on()))


@cache
def _going_on() -> Select[tuple[bool]]:
    """Made once: every host asks it every few seconds."""
    host, vm = Host.__table__.c, Machine.__table__.c
    drained = select(host.id).where(host.drain != "").exists()
    waiting = select(vm.id).where(vm.drained_id.is_not(None)).exists()
    return select(drained | waiting)


def startable(call: Call) -> list[tuple[int, str, str]]:
    """The VMs that maintenance switched off, that are off, and that may start now, in order.

    Returns:
        Id and UUID of each, and how the host that it left is kept empty now, or an empty word.
    """
    rows = call.session.execute(
        select(Machine.id, Machine.uuid, Host.drain)
        .join(Host, Host.id == Machine.drained_id)
        .where(Machine.power == Power.OFF.value, Machine.state.in_(NOWHERE), Host.drain != "stop")
        .order_by(Machine.id)
    ).all()
    return [(row.id, row.uuid, row.drain) for row in rows]


def start_again(call: Call, machine_id: int) -> None:
    """Start a VM that maintenance switched off, if it still waits: at home if that can run it, or where else it can.

    Raises:
        Conflict: somebody was faster.
        DosvmError: no host can run it now, or its project may not.
    """
    found = call.session.execute(select(Machine.uuid, Machine.project_id).where(Machine.id == machine_id)).one_or_none()
    if found is None:
        raise overtaken()
    call.only(power_on(call, [found.uuid], found.project_id, if_waiting=True))


def say_why(call: Call, machine_id: int, error: DosvmError) -> None:
    """Write why a VM that waits does not start, for those who look at it."""
    text = json.dumps(error.to_wire(), ensure_ascii=False, default=str)
    done = call.session.execute(
        update(Machine)
        .where(
            Machine.id == machine_id,
            Machine.drained_id.is_not(None),
            Machine.power == Power.OFF.value,
            Machine.start_error != text,
        )
        .values(start_error=text)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount:  # type: ignore[attr-defined]
        call.changed("vm")
