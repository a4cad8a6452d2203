"""The runs of VMs in the database: written by the host they are on, summed up for projects and VMs (manual 7.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, case, delete, func, insert, literal, select, update
from sqlalchemy.orm import Session

from core.model import Host, Instance, Machine, MachineRun, Project
from core.planning.run_time import RunTime

#: Ended runs of a VM that are kept.
_KEPT = 8


@dataclass(frozen=True)
class Run:
    """A run as its host knows it; what tells it from all others is ``machine``, ``boot``, ``pid`` and its begin."""

    machine: str
    boot: str
    pid: int
    started: datetime
    time: RunTime
    ended: datetime | None = None


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
            )
            for row in rows
        ),
    )


def _identity(run: Run) -> tuple[ColumnElement[bool], ...]:
    return (
        MachineRun.machine == run.machine,
        MachineRun.boot == run.boot,
        MachineRun.pid == run.pid,
        MachineRun.from_ms == run.time.begin,
    )


def save(session: Session, host_uuid: str, runs: Iterable[Run]) -> None:
    """Write runs as they are now; may be repeated: a run is ended, and added to the sums, once.

    A run of a VM that the database does not know is passed over.
    """
    for run in runs:
        known = session.scalar(select(MachineRun).where(*_identity(run)))
        if known is None:
            _enter(session, host_uuid, run)
            known = session.scalar(select(MachineRun).where(*_identity(run)))
        if known is None or known.until_ms is not None:
            continue
        done = session.execute(
            update(MachineRun)
            .where(MachineRun.id == known.id, MachineRun.until_ms.is_(None))
            .values(
                until_ms=run.time.end,
                paused_ms=run.time.paused,
                paused_from_ms=run.time.paused_from,
                ended=run.ended,
                host_id=select(Host.id).where(Host.uuid == host_uuid).scalar_subquery(),
            )
            .execution_options(synchronize_session=False)
        )
        if run.time.end is not None and done.rowcount:  # type: ignore[attr-defined]
            _add(session, known, known.vcpus * run.time.ran(0))
        session.expire(known)


def _enter(session: Session, host_uuid: str, run: Run) -> None:
    new = {
        "machine": run.machine,
        "boot": run.boot,
        "pid": run.pid,
        "from_ms": run.time.begin,
        "paused_ms": run.time.paused,
        "started": run.started,
    }
    types = MachineRun.__table__.c
    row = select(
        *(literal(value, types[key].type).label(key) for key, value in new.items()),
        Machine.project_id,
        # An instance is not edited while a VM of it is on.
        Instance.vcpus,
        select(Host.id).where(Host.uuid == host_uuid).scalar_subquery(),
    )
    row = row.join(Instance, Instance.id == Machine.instance_id).where(Machine.uuid == run.machine)
    session.execute(insert(MachineRun).from_select([*new, "project_id", "vcpus", "host_id"], row))


def _add(session: Session, run: MachineRun, vcpu_ms: int) -> None:
    """Add a run that has just ended to the sums, and drop the history that nobody needs."""
    for table, which in ((Project, Project.id == run.project_id), (Machine, Machine.uuid == run.machine)):
        session.execute(
            update(table)
            .where(which)
            .values(ran_ms=table.ran_ms + vcpu_ms)
            .execution_options(synchronize_session=False)
        )
    ended = session.scalars(
        select(MachineRun.id)
        .where(MachineRun.machine == run.machine, MachineRun.until_ms.is_not(None))
        .order_by(MachineRun.id.desc())
        .offset(_KEPT)
    ).all()
    if ended:
        session.execute(delete(MachineRun).where(MachineRun.id.in_(ended)).execution_options(synchronize_session=False))


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
