"""Machines as their host's reconciler sees them: what was asked, what was written last, and writing what is.

Everything a host writes about a machine holds only while the machine is placed on it under the epoch the
host knows: an update that finds another placement changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Update, bindparam, or_, select, update
from sqlalchemy.orm import Session

from core.coordination.tasks import good_end, is_own
from core.model import Machine, Power, State, Task

#: States of a VM that nothing is left of on any host: it may be started on another one.
NOWHERE = (State.OFF.value, State.FAILED.value)
#: What the database says of a machine that does not run, beside its state.
NO_RUN: Mapping[str, Any] = {
    "accelerator": "",
    "vnc_port": None,
    "spice_port": None,
    "screen_address": "",
    "started": None,
    "halt_error": "",
}


class MachineState(NamedTuple):
    """A machine as the database has it. Hundreds are made every few seconds."""

    uuid: str
    name: str
    host_id: int | None
    power: str
    state: str
    epoch: int
    accelerator: str
    vnc_port: int | None
    spice_port: int | None
    screen_address: str
    start_error: str
    halt_error: str
    started: datetime | None


#: The table's own, so that no objects of a session are sought.
_VM: Any = Machine.__table__.c
_COLUMNS = tuple(_VM[name] for name in MachineState.__annotations__)


def of_host(session: Session, host_id: int) -> list[MachineState]:
    """The machines placed on a host that are on, or were not off when last heard of. One statement."""
    return [MachineState(*row) for row in session.connection().execute(_of_host(), {"on": host_id})]


@cache
def _of_host() -> Any:
    """Made once: every host asks it every few seconds."""
    return select(*_COLUMNS).where(
        _VM.host_id == bindparam("on"), or_(_VM.power == Power.ON.value, _VM.state != State.OFF.value)
    )


def of_uuids(session: Session, uuids: Collection[str]) -> dict[str, MachineState]:
    """Machines by UUID, wherever they are placed."""
    if not uuids:
        return {}
    rows = session.execute(_of_uuids(), {"vms": list(uuids)})
    return {row.uuid: MachineState(*row) for row in rows}


@cache
def _of_uuids() -> Any:
    return select(*_COLUMNS).where(_VM.uuid.in_(bindparam("vms", expanding=True)))


def begin_start(session: Session, uuid: str, host_id: int, epoch: int) -> bool:
    """Say that a host begins to start a machine by itself: from here on nobody places it on another host.

    One compare-and-swap against the placement that the host knows.

    Returns:
        Whether it may: the machine is still on, and this host's under this epoch.
    """
    done = session.execute(
        update(Machine)
        .where(
            Machine.uuid == uuid,
            Machine.host_id == host_id,
            Machine.epoch == epoch,
            Machine.power == Power.ON.value,
        )
        .values(state=State.STARTING.value)
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def record(session: Session, uuid: str, host_id: int, epoch: int, values: Mapping[str, Any]) -> bool:
    """Write what libvirt says of a machine, if it still is this host's under this epoch.

    Args:
        session: a write transaction.
        uuid: the machine.
        host_id: the host that says so.
        epoch: the placement it speaks of.
        values: columns of the machine.

    Returns:
        Whether it was written.
    """
    known = {"own_vm": uuid, "own_host": host_id, "own_epoch": epoch}
    done = session.execute(_record(frozenset(values)), known | {f"new_{key}": values[key] for key in values})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def end_and_record(
    session: Session,
    task: int,
    boot: str,
    now: datetime,
    *,
    uuid: str,
    host_id: int,
    epoch: int,
    values: Mapping[str, Any],
) -> bool:
    """End a task well and write what its host says of the VM, by one statement, where the engine has one (MariaDB).

    Args:
        session: a write transaction.
        task: the task.
        boot: the run of hostd that claimed it.
        now: the time.
        uuid: the machine.
        host_id: the host that says so.
        epoch: the placement it speaks of.
        values: columns of the machine.

    Returns:
        Whether both was done. If not, nothing was: the task is somebody else's, or the VM was placed anew.
    """
    if session.get_bind().dialect.name == "sqlite":
        return False
    known = {"own_task": task, "own_boot": boot, "ended_at": now, "own_vm": uuid, "own_host": host_id}
    new = {f"new_{key}": value for key, value in values.items()}
    done = session.execute(_end_and_record(frozenset(values)), {**known, "own_epoch": epoch, **new})
    return bool(done.rowcount)  # type: ignore[attr-defined]


@cache
def _end_and_record(columns: frozenset[str]) -> Update:
    vm, task = Machine.__table__.c, Task.__table__.c
    return (
        update(Task.__table__)  # type: ignore[arg-type]
        .where(
            *is_own(),
            vm.uuid == task.target,
            vm.uuid == bindparam("own_vm"),
            vm.host_id == bindparam("own_host"),
            vm.epoch == bindparam("own_epoch"),
        )
        .values({**good_end(), **{vm[column]: bindparam(f"new_{column}") for column in columns}})
    )


@cache
def _record(columns: frozenset[str]) -> Update:
    """Made once for the few sets of columns that are ever written."""
    table: Any = Machine.__table__
    return (
        update(table)
        .where(
            table.c.uuid == bindparam("own_vm"),
            table.c.host_id == bindparam("own_host"),
            table.c.epoch == bindparam("own_epoch"),
        )
        .values({column: bindparam(f"new_{column}") for column in columns})
    )
