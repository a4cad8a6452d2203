"""Power: VMs started, stopped, rebooted, reset, suspended and resumed (manual 11.4.5 to 11.4.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select, tuple_, update

from core.coordination.states import NOWHERE
from core.coordination.tasks import Order
from core.errors import DosvmError, Refused, overtaken
from core.i18n import N_
from core.model import Host, Machine, Power, State
from core.services.lookup import find, find_each
from core.services.operation import PROJECT_ADMIN, Answer, Call, Many, Outcome, operation
from core.services.orders import order_all, reachable
from core.services.starting import power_on


@operation("vm.start", roles=PROJECT_ADMIN, action=N_("Power on"), target="vm")
def start(call: Call, *, vm: Many, host: str = "") -> list[Outcome]:
    """Power VMs on, each on the host with the most room or all on the one that is named."""
    wanted = find(call, Host, host, field="host") if host else None
    project_id = call.actor.project_id
    assert project_id is not None  # dispatch lets nobody without one in
    return power_on(call, vm, project_id, wanted=wanted)


@operation("vm.stop", roles=PROJECT_ADMIN, action=N_("Power off"), target="vm")
def stop(call: Call, *, vm: Many, force: bool = False) -> list[Outcome]:
    """Power VMs off: their guests are asked, and forced after a minute, or at once with ``force``."""
    machines = _each(call, vm, _refuse_stop)
    shall_run = [m for m in machines if isinstance(m, Machine) and (m.power == Power.ON.value or m.drained_id)]
    placed = {machine.id: machine.epoch for machine in shall_run}
    known = Machine.id.in_(placed), tuple_(Machine.id, Machine.epoch).in_(list(placed.items()))
    if placed and switch_off(call, *known) != len(placed):
        still = select(Machine.id).where(*known, Machine.power == Power.OFF.value, Machine.drained_id.is_(None))
        moved = placed.keys() - set(call.session.scalars(still))
        machines = [overtaken() if isinstance(m, Machine) and m.id in moved else m for m in machines]
    return _order_each(
        call, "machine.stop", machines, lambda machine: {"force": force, "epoch": machine.epoch}, force=force
    )


def _is_off(machine: Machine) -> bool:
    return machine.power == Power.OFF.value and (machine.state in NOWHERE or machine.host_id is None)


def _refuse_stop(machine: Machine) -> None:
    if _is_off(machine) and machine.drained_id is None:
        raise Refused(N_("VM {name} is off already."), field="vm", name=machine.name)


def _each(call: Call, references: Sequence[str], refuse: Callable[[Machine], None]) -> list[Machine | DosvmError]:
    """The VMs that are meant; in place of one that cannot be done with as was asked, why not."""
    ends: list[Machine | DosvmError] = []
    met: set[int] = set()
    for found in find_each(call, Machine, references, field="vm"):
        try:
            if isinstance(found, DosvmError):
                raise found
            if found.id in met:
                raise Refused(N_("VM {name} is named twice."), field="vm", name=found.name)
            refuse(found)
            met.add(found.id)
            ends.append(found)
        except DosvmError as error:
            ends.append(error)
    return ends


def _order_each(
    call: Call,
    kind: str,
    machines: Sequence[Machine | DosvmError],
    payload: Callable[[Machine], dict[str, Any]] = lambda _machine: {},
    **detail: Any,
) -> list[Outcome]:
    """Order something from the hosts of those VMs that it can be done with."""
    done = [machine for machine in machines if isinstance(machine, Machine)]
    # One that is off only waited for the end of a host's maintenance: now it stays off, and its host has nothing to do.
    wanted = [machine for machine in done if not _is_off(machine)]
    answers: dict[str, Answer] = {machine.uuid: {"uuid": machine.uuid, "name": machine.name} for machine in done}
    for answer in order_all(call, [_order_of(kind, machine, payload(machine)) for machine in wanted]):
        answers[answer["uuid"]] = answer
    return [
        Outcome(error=machine)
        if isinstance(machine, DosvmError)
        else Outcome(answers[machine.uuid], target=machine.name, detail={"object": machine.uuid, **detail})
        for machine in machines
    ]


def _order_of(kind: str, machine: Machine, payload: dict[str, Any]) -> Order:
    assert machine.host_id is not None  # a VM that is on, or not known to be off, has a host
    return Order(kind, machine.uuid, machine.name, machine.project_id, machine.host_id, payload)


def switch_off(call: Call, *which: ColumnElement[bool]) -> int:
    """Say of VMs that they shall be off, and stay off when a host's maintenance ends; how many they were."""
    done = call.session.execute(
        update(Machine)
        .where(*which, or_(Machine.power == Power.ON.value, Machine.drained_id.is_not(None)))
        .values(power=Power.OFF.value, drained_id=None, moving_id=None)
        .execution_options(synchronize_session=False)
    )
    call.changed("vm", "host")
    return int(done.rowcount)  # type: ignore[attr-defined]


def order_stop(call: Call, machine: Machine, *, force: bool) -> Answer:
    """Order a VM to be stopped where it is; ``task``, ``uuid`` and ``name``."""
    # The placement it speaks of: a start that is ordered behind it is not its business.
    return order_all(call, [_order_of("machine.stop", machine, {"force": force, "epoch": machine.epoch})])[0]


def _tell(call: Call, vm: Many, kind: str, state: State) -> list[Outcome]:
    """Order what is done to VMs that run (or are suspended); refused in another state, or when their host is down."""

    def refuse(machine: Machine) -> None:
        if machine.power != Power.ON.value or machine.state != state or machine.host_id is None:
            if state is State.PAUSED:
                raise Refused(N_("VM {name} is not suspended."), field="vm", name=machine.name)
            raise Refused(N_("VM {name} does not run."), field="vm", name=machine.name)
        if machine.moving_id is not None:
            remedy = N_("Wait for its task to end.")
            raise Refused(N_("VM {name} is being migrated."), remedy=remedy, field="vm", name=machine.name)
        view = call.cloud.host(machine.host_id)
        reachable(call, machine.host_id, view.name if view is not None else "", field="vm")

    return _order_each(call, kind, _each(call, vm, refuse))


@operation("vm.reboot", roles=PROJECT_ADMIN, action=N_("Reboot"), target="vm")
def reboot(call: Call, *, vm: Many) -> list[Outcome]:
    """Ask guests to reboot; they may ignore it."""
    return _tell(call, vm, "machine.reboot", State.RUNNING)


@operation("vm.reset", roles=PROJECT_ADMIN, action=N_("Reset"), target="vm")
def reset(call: Call, *, vm: Many) -> list[Outcome]:
    """Reset VMs as by the button on a machine."""
    return _tell(call, vm, "machine.reset", State.RUNNING)


@operation("vm.suspend", roles=PROJECT_ADMIN, action=N_("Suspend"), target="vm")
def suspend(call: Call, *, vm: Many) -> list[Outcome]:
    """Make VMs stand still; they keep their memory and count as on."""
    return _tell(call, vm, "machine.suspend", State.RUNNING)


@operation("vm.resume", roles=PROJECT_ADMIN, action=N_("Resume"), target="vm")
def resume(call: Call, *, vm: Many) -> list[Outcome]:
    """Let suspended VMs go on."""
    return _tell(call, vm, "machine.resume", State.PAUSED)
