"""Power: VMs started, stopped, rebooted, reset, suspended and resumed (manual 11.4.5 to 11.4.7)."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, update

from core.errors import Refused
from core.i18n import N_
from core.model import Host, Machine, Power, State
from core.services.lookup import find
from core.services.operation import PROJECT_ADMIN, Answer, Call, operation
from core.services.orders import order, reachable
from core.services.starting import NOWHERE, overtaken, power_on


@operation("vm.start", roles=PROJECT_ADMIN, action=N_("Power on"), target="vm")
def start(call: Call, *, vm: str, host: str = "") -> Answer:
    """Power a VM on, on the host with the most room or on the one that is named."""
    wanted = find(call, Host, host, field="host") if host else None
    project_id = call.actor.project_id
    assert project_id is not None  # dispatch lets nobody without one in
    return power_on(call, vm, project_id, wanted=wanted)


@operation("vm.stop", roles=PROJECT_ADMIN, action=N_("Power off"), target="vm")
def stop(call: Call, *, vm: str, force: bool = False) -> Answer:
    """Power a VM off: its guest is asked, and forced after a minute, or at once with ``force``."""
    machine = find(call, Machine, vm, field="vm")
    off = machine.power == Power.OFF.value and (machine.state in NOWHERE or machine.host_id is None)
    waits = machine.drained_id is not None
    if off and not waits:
        raise Refused(N_("VM {name} is off already."), field="vm", name=machine.name)
    if (machine.power == Power.ON.value or waits) and not switch_off(
        call, Machine.id == machine.id, Machine.epoch == machine.epoch
    ):
        raise overtaken()
    call.note(machine.name, object=machine.uuid, force=force)
    if off:
        # It only waited for the end of a host's maintenance: now it stays off.
        return {"uuid": machine.uuid, "name": machine.name}
    return order_stop(call, machine, force=force)


def switch_off(call: Call, *which: ColumnElement[bool]) -> int:
    """Say of VMs that they shall be off, and stay off when a host's maintenance ends; how many they were."""
    done = call.session.execute(
        update(Machine)
        .where(*which, or_(Machine.power == Power.ON.value, Machine.drained_id.is_not(None)))
        .values(power=Power.OFF.value, drained_id=None)
        .execution_options(synchronize_session=False)
    )
    call.changed("vm", "host")
    return int(done.rowcount)  # type: ignore[attr-defined]


def order_stop(call: Call, machine: Machine, *, force: bool) -> Answer:
    """Order a VM to be stopped where it is; ``task``, ``uuid`` and ``name``."""
    assert machine.host_id is not None  # a VM that is on, or not known to be off, has a host
    # The placement it speaks of: a start that is ordered behind it is not its business.
    payload = {"force": force, "epoch": machine.epoch}
    return order(call, "machine.stop", machine, machine.host_id, project_id=machine.project_id, payload=payload)


def _tell(call: Call, vm: str, kind: str, states: tuple[State, ...]) -> Answer:
    """Order what is done to a VM that runs; refused in another state, or when its host is down."""
    machine = find(call, Machine, vm, field="vm")
    if machine.power != Power.ON.value or machine.state not in states or machine.host_id is None:
        if State.PAUSED in states and State.RUNNING not in states:
            raise Refused(N_("VM {name} is not suspended."), field="vm", name=machine.name)
        raise Refused(N_("VM {name} does not run."), field="vm", name=machine.name)
    view = call.cloud.host(machine.host_id)
    reachable(call, machine.host_id, view.name if view is not None else "", field="vm")
    call.note(machine.name, object=machine.uuid)
    return order(call, kind, machine, machine.host_id, project_id=machine.project_id)


@operation("vm.reboot", roles=PROJECT_ADMIN, action=N_("Reboot"), target="vm")
def reboot(call: Call, *, vm: str) -> Answer:
    """Ask the guest to reboot; it may ignore it."""
    return _tell(call, vm, "machine.reboot", (State.RUNNING,))


@operation("vm.reset", roles=PROJECT_ADMIN, action=N_("Reset"), target="vm")
def reset(call: Call, *, vm: str) -> Answer:
    """Reset a VM as by the button on a machine."""
    return _tell(call, vm, "machine.reset", (State.RUNNING,))


@operation("vm.suspend", roles=PROJECT_ADMIN, action=N_("Suspend"), target="vm")
def suspend(call: Call, *, vm: str) -> Answer:
    """Make a VM stand still; it keeps its memory and counts as on."""
    return _tell(call, vm, "machine.suspend", (State.RUNNING,))


@operation("vm.resume", roles=PROJECT_ADMIN, action=N_("Resume"), target="vm")
def resume(call: Call, *, vm: str) -> Answer:
    """Let a suspended VM go on."""
    return _tell(call, vm, "machine.resume", (State.PAUSED,))
