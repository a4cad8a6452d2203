"""The runs of VMs in the database: written by the host they are on, summed up for projects and VMs (manual 7.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Insert,
    ScalarSelect,
    Update,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from core.model import Host, Instance, Machine, MachineRun, Project
from core.planning.run_time import RunTime

#: Ended runs of a VM that are kept when the history is pruned.
_KEPT = 8


@dataclass(frozen=True)
class Run:
    """A run as its host knows it; what tells it from all others is ``machine``, ``boot``, ``pid`` and its begin.

    ``entered``: the database is known to have it.
    """

    machine: str
    boot: str
    pid: int
    started: datetime
    time: RunTime
    ended: datetime | None = None
    entered: bool = False


@dataclass(frozen=True)
class Stock:
    """What the database says of a host: the boot clock at its last heartbeat, and the runs that are not ended."""

    clock_ms: int
    runs: tuple[Run, ...]


def stock(session: Session, host_uuid: str) -> Stock:
    """The open runs of a host, and until when they were certainly going on."""
    clock_ms = session.scalar(select(Host.clock_ms).where(Host.uuid == host_uuid)) or 0
    rows = session.scalars(
        select(MachineRun)
        .join(Host, Host.id == MachineRun.host_id)
        .where(Host.uuid == host_uuid, MachineRun.until_ms.is_(None))
    )
    return Stock(
        clock_ms,
        tuple(
            Run(
                machine=row.machine,
                boot=row.boot,
                pid=row.pid,
                started=row.started,
                time=RunTime(row.from_ms, row.paused_ms, row.paused_from_ms, certain=clock_ms),
                entered=True,
            )
            for row in rows
        ),
    )


def _known(run: Run, host_uuid: str) -> dict[str, Any]:
    """What the statements below say of a run: which it is (as :func:`_identity` asks), and what is to be written."""
    return {
        "own_machine": run.machine,
        "own_boot": run.boot,
        "own_pid": run.pid,
        "own_begin": run.time.begin,
        "own_host": host_uuid,
        "new_paused": run.time.paused,
        "new_paused_from": run.time.paused_from,
    }


@cache
def _identity() -> tuple[ColumnElement[bool], ...]:
    run = MachineRun.__table__.c
    return (
        run.machine == bindparam("own_machine"),
        run.boot == bindparam("own_boot"),
        run.pid == bindparam("own_pid"),
        run.from_ms == bindparam("own_begin"),
    )


@cache
def _own_host() -> ScalarSelect[int]:
    host = Host.__table__.c
    return select(host.id).where(host.uuid == bindparam("own_host")).scalar_subquery()


def save(session: Session, host_uuid: str, runs: Iterable[Run]) -> None:
    """Write runs as they are now; may be repeated: a run is ended, and added to the sums, once.

    One statement for what happened to a run: it began, stood still or went on, or (on MariaDB) ended. A run of a VM
    that the database does not know is passed over.
    """
    for run in runs:
        if not run.entered and _enter(session, host_uuid, run) and run.time.end is None:
            continue
        if run.time.end is None:
            _write(session, host_uuid, run)
        elif not _end(session, host_uuid, run) and run.entered and _enter(session, host_uuid, run):
            # It was passed over when it began: its VM is known now.
            _end(session, host_uuid, run)


def _write(session: Session, host_uuid: str, run: Run) -> bool:
    """Write how a run that goes on is now, or its end; whether it was going on."""
    known = _known(run, host_uuid) | {"new_until": run.time.end, "new_ended": run.ended}
    return bool(session.execute(_now(), known).rowcount)  # type: ignore[attr-defined]


@cache
def _now() -> Update:
    """Made once, as the others: a storm of starts is as many of them."""
    table: Any = MachineRun.__table__
    return (
        update(table)
        .where(*_identity(), table.c.until_ms.is_(None))
        .values(
            until_ms=bindparam("new_until"),
            paused_ms=bindparam("new_paused"),
            paused_from_ms=bindparam("new_paused_from"),
            ended=bindparam("new_ended"),
            host_id=_own_host(),
        )
    )


def _enter(session: Session, host_uuid: str, run: Run) -> bool:
    """Enter a run as one that goes on; whether it was not there already, and is one of a VM that is known."""
    ignoring = "OR IGNORE" if session.get_bind().dialect.name == "sqlite" else "IGNORE"
    known = _known(run, host_uuid) | {"new_started": run.started}
    return bool(session.execute(_entering(ignoring), known).rowcount)  # type: ignore[attr-defined]


#: What a new run has of its own, by the names of what is known of it.
_NEW = {
    "machine": "own_machine",
    "boot": "own_boot",
    "pid": "own_pid",
    "from_ms": "own_begin",
    "paused_ms": "new_paused",
    "paused_from_ms": "new_paused_from",
    "started": "new_started",
}


@cache
def _entering(ignoring: str) -> Insert:
    table: Any = MachineRun.__table__
    vm, shape = Machine.__table__.c, Instance.__table__.c
    row = (
        select(
            *(bindparam(name, type_=table.c[key].type).label(key) for key, name in _NEW.items()),
            vm.project_id,
            # An instance is not edited while a VM of it is on.
            shape.vcpus,
            _own_host(),
        )
        .select_from(Machine.__table__.join(Instance.__table__, shape.id == vm.instance_id))
        .where(vm.uuid == bindparam("own_machine"))
    )
    return insert(table).prefix_with(ignoring).from_select([*_NEW, "project_id", "vcpus", "host_id"], row)


#: Ends a run and adds it to the sums of its VM and its project, where an engine changes several tables at once.
_END = text(
    "UPDATE machine_run JOIN project ON project.id = machine_run.project_id"
    " LEFT JOIN machine ON machine.uuid = machine_run.machine"
    " SET machine_run.until_ms = :until, machine_run.paused_ms = :paused, machine_run.paused_from_ms = :since,"
    " machine_run.ended = :at, machine_run.host_id = (SELECT id FROM host WHERE uuid = :me),"
    " project.ran_ms = project.ran_ms + machine_run.vcpus * :ran,"
    " machine.ran_ms = machine.ran_ms + machine_run.vcpus * :ran"
    " WHERE machine_run.machine = :vm AND machine_run.boot = :boot AND machine_run.pid = :pid"
    " AND machine_run.from_ms = :began AND machine_run.until_ms IS NULL"
)


def _end(session: Session, host_uuid: str, run: Run) -> bool:
    """End a run and add it to the sums; whether it was going on."""
    ran = run.time.ran(0)
    if session.get_bind().dialect.name != "sqlite":
        ended = {"until": run.time.end, "paused": run.time.paused, "since": run.time.paused_from, "at": run.ended}
        known = {"vm": run.machine, "boot": run.boot, "pid": run.pid, "began": run.time.begin, "me": host_uuid}
        return bool(session.execute(_END, {**ended, **known, "ran": ran}).rowcount)  # type: ignore[attr-defined]
    if not _write(session, host_uuid, run):
        return False
    of = select(MachineRun.project_id, MachineRun.vcpus).where(*_identity())
    project_id, vcpus = session.execute(of, _known(run, host_uuid)).one()
    for table, which in ((Project, Project.id == project_id), (Machine, Machine.uuid == run.machine)):
        session.execute(
            update(table)
            .where(which)
            .values(ran_ms=table.ran_ms + vcpus * ran)
            .execution_options(synchronize_session=False)
        )
    return True


def prune(session: Session, host_uuid: str, *, limit: int = 1000) -> int:
    """Drop up to ``limit`` old runs of a host: of each VM the last few that ended are kept. How many they were."""
    age = func.row_number().over(partition_by=MachineRun.machine, order_by=MachineRun.id.desc()).label("age")
    ended = (
        select(MachineRun.id, age)
        .join(Host, Host.id == MachineRun.host_id)
        .where(Host.uuid == host_uuid, MachineRun.until_ms.is_not(None))
        .subquery()
    )
    # MariaDB deletes by a list of ids without holding the gaps between other hosts' runs.
    old = list(session.scalars(select(ended.c.id).where(ended.c.age > _KEPT).order_by(ended.c.id).limit(limit)))
    if old:
        session.execute(delete(MachineRun).where(MachineRun.id.in_(old)).execution_options(synchronize_session=False))
    return len(old)


def close_all(session: Session, host_uuid: str, now: datetime) -> None:
    """End the open runs of a host that is given up, at the last moment that is certain."""
    found = stock(session, host_uuid)
    save(session, host_uuid, [replace(r, time=r.time.finish(found.clock_ms), ended=now) for r in found.runs])


def _later(one: Any, other: Any) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


def _vcpu_ms() -> ColumnElement[int]:
    """VCPU-milliseconds of an open run joined with its host: :meth:`RunTime.ran` times VCPUs, in SQL."""
    begun = _later(func.coalesce(MachineRun.paused_from_ms, 0), MachineRun.from_ms)
    until = _later(func.coalesce(Host.clock_ms, 0), begun)
    standing = case((MachineRun.paused_from_ms.is_not(None), until - MachineRun.paused_from_ms), else_=0)
    ran = until - MachineRun.from_ms - MachineRun.paused_ms - standing
    return MachineRun.vcpus * _later(ran, literal(0))


def _open(*which: ColumnElement[bool]) -> Any:
    """The sum over open runs; those that ended are summed up already."""
    return (
        select(func.coalesce(func.sum(_vcpu_ms()), 0))
        .select_from(MachineRun)
        .outerjoin(Host, Host.id == MachineRun.host_id)
        .where(*which, MachineRun.until_ms.is_(None))
    )


_OF_PROJECT: ScalarSelect[int] = _open(MachineRun.project_id == Project.id).correlate(Project).scalar_subquery()
#: Accumulated VCPU-milliseconds of a project, in a statement of :class:`core.model.Project`.
OF_PROJECT: ColumnElement[int] = Project.ran_ms + _OF_PROJECT
#: What open runs add to it, of all projects that have any: ``key`` is the project, ``sum`` the VCPU-milliseconds.
OPEN_OF_ALL: Any = (
    select(MachineRun.project_id.label("key"), func.sum(_vcpu_ms()).label("sum"))
    .outerjoin(Host, Host.id == MachineRun.host_id)
    .where(MachineRun.until_ms.is_(None))
    .group_by(MachineRun.project_id)
)


def of_machine(session: Session, machine: str) -> int:
    """Accumulated VCPU-milliseconds of a VM by its UUID."""
    ended = session.scalar(select(Machine.ran_ms).where(Machine.uuid == machine)) or 0
    return int(ended) + int(session.scalar(_open(MachineRun.machine == machine)) or 0)
