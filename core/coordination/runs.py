"""The runs of VMs in the database: written by the host they are on, summed up for projects and VMs (manual 7.3.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, case, delete, func, insert, literal, select, update
from sqlalchemy.orm import Session

from core.model import Host, Instance, Machine, MachineRun, Project
from core.planning.run_time import RunTime

#: A VM that has so many ended runs has all but the newest few folded into one row: only their sum is of use.
_FOLD_FROM, _FOLD_TO = 8, 4


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
    """Write runs as they are now; may be repeated. A run of a VM that the database does not know is passed over."""
    for run in runs:
        values: dict[str, Any] = {
            "until_ms": run.time.end,
            "paused_ms": run.time.paused,
            "paused_from_ms": run.time.paused_from,
            "ended": run.ended,
        }
        known = session.scalar(select(MachineRun.id).where(*_identity(run)))
        if known is None:
            _enter(session, host_uuid, run, values)
        else:
            session.execute(
                update(MachineRun)
                .where(MachineRun.id == known)
                .values(host_id=select(Host.id).where(Host.uuid == host_uuid).scalar_subquery(), **values)
                .execution_options(synchronize_session=False)
            )
        if run.time.end is not None:
            _fold(session, run.machine)


def _enter(session: Session, host_uuid: str, run: Run, values: dict[str, Any]) -> None:
    new = values | {
        "machine": run.machine,
        "boot": run.boot,
        "pid": run.pid,
        "from_ms": run.time.begin,
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


def _fold(session: Session, machine: str) -> None:
    """Sum the older runs of a VM up in one row, which has the same form and counts by the same arithmetic."""
    ended = list(
        session.scalars(
            select(MachineRun)
            .where(MachineRun.machine == machine, MachineRun.until_ms.is_not(None))
            .order_by(MachineRun.id.desc())
        )
    )
    own = [r for r in ended if r.boot]
    if len(own) <= _FOLD_FROM:
        return
    old = own[_FOLD_TO:] + [r for r in ended if not r.boot]
    total = sum(r.vcpus * _time(r).ran(0) for r in old)
    session.execute(
        delete(MachineRun).where(MachineRun.id.in_([r.id for r in old])).execution_options(synchronize_session=False)
    )
    session.execute(
        insert(MachineRun).values(
            machine=machine,
            project_id=old[0].project_id,
            boot="",
            pid=0,
            vcpus=1,
            from_ms=0,
            until_ms=total,
            paused_ms=0,
            started=min(r.started for r in old),
            ended=max(r.ended or r.started for r in old),
        )
    )


def _time(row: MachineRun) -> RunTime:
    return RunTime(row.from_ms, row.paused_ms, row.paused_from_ms, row.until_ms)


def close_all(session: Session, host_id: int, now: datetime) -> None:
    """End the open runs of a host that is given up, at the last moment that is certain."""
    clock = select(Host.clock_ms).where(Host.id == host_id).scalar_subquery()
    session.execute(
        update(MachineRun)
        .where(MachineRun.host_id == host_id, MachineRun.until_ms.is_(None))
        .values(until_ms=_later(clock, MachineRun.from_ms), ended=now)
        .execution_options(synchronize_session=False)
    )


def _later(one: Any, other: Any) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


def _vcpu_ms() -> ColumnElement[int]:
    """VCPU-milliseconds of a run joined with its host: :meth:`RunTime.ran` times VCPUs, in SQL."""
    begun = _later(func.coalesce(MachineRun.paused_from_ms, 0), MachineRun.from_ms)
    until = func.coalesce(MachineRun.until_ms, _later(func.coalesce(Host.clock_ms, 0), begun))
    standing = case((MachineRun.paused_from_ms.is_not(None), until - MachineRun.paused_from_ms), else_=0)
    ran = until - MachineRun.from_ms - MachineRun.paused_ms - standing
    return MachineRun.vcpus * _later(ran, literal(0))


def _sum(*which: ColumnElement[bool]) -> Any:
    return (
        select(func.coalesce(func.sum(_vcpu_ms()), 0))
        .select_from(MachineRun)
        .outerjoin(Host, Host.id == MachineRun.host_id)
        .where(*which)
    )


#: Accumulated VCPU-milliseconds of a project, as a subquery correlated to :class:`core.model.Project`.
OF_PROJECT: ScalarSelect[int] = _sum(MachineRun.project_id == Project.id).correlate(Project).scalar_subquery()


def of_machine(session: Session, machine: str) -> int:
    """Accumulated VCPU-milliseconds of a VM by its UUID."""
    return int(session.scalar(_sum(MachineRun.machine == machine)) or 0)


def of_projects(session: Session, ids: Collection[int]) -> dict[int, int]:
    """Accumulated VCPU-milliseconds of projects by id; those in which nothing ever ran are not in it."""
    statement = _sum(MachineRun.project_id.in_(list(ids))).add_columns(MachineRun.project_id)
    return {project: int(total) for total, project in session.execute(statement.group_by(MachineRun.project_id))}
