"""Migration of VMs that run (manual 11.4.2): which can, and the order to do it.

The VM keeps its placement (host and epoch) until its memory is on the other host and nothing of it runs here any
more; then one compare-and-swap hands it over under the next epoch (:func:`hand_over`), and only after that is it let
run there. Until then ``Machine.moving_id`` says where it goes to, and keeps room for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from core.coordination.charges import charge
from core.coordination.machines import stored_spec
from core.coordination.tasks import Order
from core.i18n import N_
from core.model import Host, Instance, Machine, State
from core.services.deciding import Move
from core.services.operation import Call
from core.services.orders import order_all
from core.services.starting import reserve

#: The words of a sentence: ``{"message": template, "parameters": {...}}``.
Sentence = dict[str, Any]


@dataclass(frozen=True)
class _Side:
    """What matters of a host to its VMs' migration."""

    name: str
    accelerator: str
    cpu_model: str
    url: str


def hindrances(call: Call, moves: Sequence[Move]) -> dict[int, Sentence | None]:
    """Machine id -> what keeps a VM from being migrated as it runs to the host of its move, None when nothing does.

    Only VMs that can be on that host at all are answered for.
    """
    sides = {
        row.id: _Side(row.name, row.accelerator, row.cpu_model, row.migration_url)
        for row in call.session.execute(
            select(Host.id, Host.name, Host.accelerator, Host.cpu_model, Host.migration_url)
        )
    }
    shapes = {
        row.id: row
        for row in call.session.execute(
            select(Machine.id, Machine.accelerator, Machine.moving_id, Instance.spec)
            .join(Instance, Instance.id == Machine.instance_id)
            .where(Machine.id.in_([move.vm.id for move in moves]))
        )
    }
    return {
        move.vm.id: _hindrance(move, sides, shapes[move.vm.id])
        for move in moves
        if move.host is not None and move.vm.placed in sides and move.vm.id in shapes
    }


def _hindrance(move: Move, sides: Mapping[int, _Side], shape: Any) -> Sentence | None:
    vm, host = move.vm, move.host
    assert host is not None
    here, there = sides[vm.placed], sides[host.id]

    def sentence(message: str, **parameters: Any) -> Sentence:
        return {"message": message, "parameters": {"name": vm.name, "host": there.name, **parameters}}

    if vm.state != State.RUNNING.value:
        return sentence(N_("It does not run."))
    if vm.busy or shape.moving_id is not None:
        return sentence(N_("Something else is being done with it."))
    if not there.url:
        return sentence(N_("libvirtd of host {host} takes no VMs from other hosts (`dosvm cert libvirt`)."))
    if (shape.accelerator or here.accelerator) != there.accelerator:
        return sentence(N_("Host {host} has another accelerator."))
    if there.accelerator == "kvm" and here.cpu_model != there.cpu_model:
        return sentence(N_("Host {host} has another processor: {model}."), model=there.cpu_model)
    for disk in stored_spec(shape.spec).disks:
        if disk.image and disk.device == "disk" and not disk.read_only:
            return sentence(N_("What it writes to its image is kept on its host."))
    return None


def order_migration(call: Call, move: Move) -> str | None:
    """Keep room for a VM on the host of its move, and order its migration there; the task, None when it cannot be.

    Both hosts are charged, so that no more VMs come than there is room for.
    """
    vm, host = move.vm, move.host
    assert host is not None
    charge(call.session, Host, host.id)
    if not reserve(call, move):
        return None
    # That host looks at the files first; it orders the migration itself from the host on which the VM runs.
    payload = {"epoch": vm.epoch, "source": vm.placed}
    done = order_all(call, [Order("machine.receive", vm.uuid, vm.name, vm.project_id, host.id, payload)])[0]
    call.changed("vm", "host")
    return str(done["task"])


def take_back(call: Call, *which: Any) -> None:
    """Say of VMs that are being migrated that they shall stay where they are."""
    call.session.execute(
        update(Machine)
        .where(*which, Machine.moving_id.is_not(None))
        .values(moving_id=None)
        .execution_options(synchronize_session=False)
    )
    call.changed("vm", "host")
