"""A VM is powered on: placed on a host that may and can run it, within what its project may run (manual 11.4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ScalarSelect, Update, bindparam, exists, func, select, tuple_, update

from core.coordination.charges import charge_to_run
from core.coordination.states import NO_RUN
from core.coordination.tasks import Order
from core.errors import overtaken
from core.model import Host, Instance, Machine, Power, Project, State
from core.services.deciding import Chosen, Move, decide
from core.services.operation import Call, Outcome
from core.services.orders import order_all

#: How often who was overtaken looks again.
_TRIES = 5


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
        chosen: list[Chosen] = []
        for number, outcome in decide(call, left, project_id, wanted, if_waiting=if_waiting):
            if isinstance(outcome, Chosen):
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


def _order(call: Call, switched: Sequence[Chosen]) -> dict[int, Outcome]:
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


def _switch_on(call: Call, chosen: Sequence[Chosen], project_id: int) -> list[Chosen]:
    """Place VMs under new epochs, one statement per host; returns those for which nobody was faster."""
    alone = call.session.get_bind().dialect.name == "sqlite"
    switched: list[Chosen] = []
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
