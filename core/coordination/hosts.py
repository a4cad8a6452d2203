"""Hosts as their own hostds write them, and as every hostd reads them: registration, heartbeat, history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import Select, Table, Update, bindparam, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.coordination import parameters
from core.errors import DosvmError, overtaken
from core.i18n import N_
from core.model import CloudParameters, Host, HostSample, host_in_group
from core.rules.parameters import Parameters
from core.rules.sizes import MIB

#: What a host keeps for itself when nobody has said otherwise, in bytes (manual 6.2.2.4).
RESERVED = 512 * MIB
#: VCPUs that a new host takes on for each core: guests seldom all work at once. The administrator may change it.
VCPUS_PER_CORE = 4
#: Rows of a host's history that go at most with each that comes: a retention made shorter locks nothing for long.
DROPPED_AT_ONCE = 500
#: How often a host looks for a free name while others take them at the same moment.
_TRIES = 10


@dataclass(frozen=True)
class Registration:
    """What a hostd says of its host when it starts. Memory is bytes; the port is 0 when it is not on the network.

    ``kernel_boot`` and ``clock_ms`` are as in :class:`core.model.Host`.
    """

    address: str
    port: int
    boot: str
    cores: int
    memory: int
    cpu_model: str
    architecture: str
    kernel: str
    kernel_boot: str = ""
    clock_ms: int = 0


@dataclass(frozen=True)
class Hypervisor:
    """What a hostd found out about its libvirt and QEMU.

    ``hypervisor_error`` is empty when libvirtd answers, ``migration_url`` when it takes no VMs from other hosts.
    """

    accelerator: str
    accelerator_reason: str
    libvirt_version: str
    qemu_version: str
    hypervisor_error: str
    migration_url: str = ""


@dataclass(frozen=True)
class Settled:
    """How a host lives by the parameters that need more than to be known.

    Attributes:
        port: where its hostd listens; 0 when it is not on the network.
        port_error: wire form (JSON) of why that is not the port it should be, or empty.
        temporary_error: wire form (JSON) of why the temporary directory cannot be used, or empty.
    """

    port: int
    port_error: str = ""
    temporary_error: str = ""


@dataclass(frozen=True)
class Load:
    """A host's load: percents, and bytes per second."""

    cpu_percent: float
    memory_percent: float
    disk_percent: float
    network_rate: float


@dataclass(frozen=True)
class HostRow:
    """A host as it stands in the database."""

    id: int
    uuid: str
    name: str
    address: str
    port: int
    boot: str
    heartbeat: int
    heartbeat_interval: int
    cores: int
    max_vcpus: int
    max_memory: int
    accelerator: str
    hypervisor_error: str
    load: Load
    groups: frozenset[int]


@dataclass(frozen=True)
class Holder:
    """Who has entered itself under a host's UUID last, how often it has said since that it lives, and says so."""

    boot: str
    heartbeat: int
    interval: int
    name: str
    address: str


class Taken(DosvmError):
    """Another hostd has entered itself under this host's UUID."""

    code = "taken"

    def __init__(self, holder: Holder) -> None:
        super().__init__(
            N_("Another hostd works as this very host {name} already (from {address})."),
            remedy=N_(
                "dosvm.toml was copied: on the copy, delete its line host_uuid and the directory state, then start its"
                " hostd again; it becomes a host of its own."
            ),
            name=holder.name,
            address=holder.address or "?",
        )


def holder(session: Session, uuid: str) -> Holder | None:
    """Who has a host's row, None when there is none."""
    found = session.scalar(select(Host).where(Host.uuid == uuid))
    return None if found is None else _holder(found)


def _holder(host: Host) -> Holder:
    return Holder(host.boot, host.heartbeat, host.heartbeat_interval, host.name, host.address)


def register(
    session: Session,
    uuid: str,
    name: str,
    facts: Registration,
    may_follow: Callable[[Holder], bool] = lambda _holder: True,
) -> int:
    """Enter a host, or say anew what it is; what the administrator set (name, limits) stays.

    Args:
        session: a write transaction.
        uuid: the host's identity.
        name: what it is called when it is new; made unique with a number.
        facts: what it is now.
        may_follow: whether the row may be taken from who had it last.

    Returns:
        Its id.

    Raises:
        Conflict: others were faster each time.
        Taken: somebody has the row whom this run may not follow.
    """
    for _ in range(_TRIES):
        try:
            with session.begin_nested():
                return _enter(session, uuid, name, facts, may_follow)
        except IntegrityError:
            # Another host took the name at this moment, or entered itself under this very UUID.
            continue
    raise overtaken()


def _enter(session: Session, uuid: str, name: str, facts: Registration, may_follow: Callable[[Holder], bool]) -> int:
    host = session.scalar(select(Host).where(Host.uuid == uuid).with_for_update())
    if host is not None and host.boot != facts.boot:
        last = _holder(host)
        if not may_follow(last):
            raise Taken(last)
    if host is None:
        host = Host(uuid=uuid, name=_free_name(session, name), heartbeat=0)
        host.max_vcpus = facts.cores * VCPUS_PER_CORE
        host.max_memory = max(0, facts.memory - RESERVED)
        session.add(host)
    elif facts.memory < host.memory:
        host.max_memory = min(host.max_memory, max(0, facts.memory - RESERVED))
    for key, value in asdict(facts).items():
        setattr(host, key, value)
    session.flush()
    return host.id


def _free_name(session: Session, wanted: str) -> str:
    taken = set(session.scalars(select(Host.name)))
    name, number = wanted, 2
    while name in taken:
        name = f"{wanted[:60]}-{number}"
        number += 1
    return name


@cache
def _beat() -> Update:
    """Made once: every host says it all the time. The table's own columns, so that no object of a session is sought."""
    host = cast(Table, Host.__table__)
    return (
        update(host)
        .where(host.c.id == bindparam("host"), host.c.boot == bindparam("run"))
        .values(
            heartbeat=host.c.heartbeat + 1,
            heartbeat_interval=bindparam("interval"),
            parameters=bindparam("known"),
            clock_ms=bindparam("clock"),
            **{field.name: bindparam("load_" + field.name) for field in fields(Load)},
        )
    )


def beat(session: Session, host_id: int, boot: str, load: Load, lives_by: Parameters, clock_ms: int = 0) -> bool:
    """Say that the host lives, how loaded it is, and how often it will say so; one statement.

    Args:
        session: a write transaction.
        host_id: the host.
        boot: this run of its hostd.
        load: how loaded it is.
        lives_by: the parameters it lives by from now on.
        clock_ms: its boot clock, at which all its runs that have not been ended were seen to go on.

    Returns:
        Whether the host is still registered, by this run of its hostd.
    """
    load_now = {"load_" + key: value for key, value in asdict(load).items()}
    done = session.connection().execute(
        _beat(),
        {
            "host": host_id,
            "run": boot,
            "interval": lives_by.heartbeat_interval,
            "known": lives_by.version,
            "clock": clock_ms,
            **load_now,
        },
    )
    return bool(done.rowcount)


def record(session: Session, host_id: int, found: Hypervisor | Settled) -> None:
    """Write what libvirt and QEMU of this host are, or how it lives by the parameters."""
    session.execute(
        update(Host).where(Host.id == host_id).values(**asdict(found)).execution_options(synchronize_session=False)
    )


def look_around(session: Session, known: Parameters) -> tuple[list[HostRow], Parameters]:
    """All hosts, and the parameters now in force, in one statement; two when the parameters were changed.

    The version of the parameters comes by the statement that reads the hosts: who sees a host's slower heart has
    seen, or sees now, that it was told to.

    Args:
        session: a transaction.
        known: the parameters the caller lives by.
    """
    found = session.connection().execute(_around()).all()
    rows = [_row(row) for row in found]
    newest = (found[0].parameters_version or 0) if found else known.version
    return rows, (known if newest == known.version else parameters.read(session))


#: The columns that a :class:`Load` and a :class:`HostRow` are made from.
_OF_LOAD = tuple(field.name for field in fields(Load))
_OF_ROW = tuple(field.name for field in fields(HostRow) if field.name not in ("load", "groups"))


@cache
def _around() -> Select[Any]:
    """The statement of :func:`look_around`, made once."""
    host, shared = Host.__table__, CloudParameters.__table__.c
    version = select(shared.version).where(shared.id == parameters.ROW).scalar_subquery()
    of_host = host_in_group.c.host_id == host.c.id
    groups = select(func.group_concat(host_in_group.c.group_id)).where(of_host).scalar_subquery()
    return select(
        *(host.c[name] for name in (*_OF_ROW, *_OF_LOAD)),
        groups.label("in_groups"),
        version.label("parameters_version"),
    )


def _row(host: Any) -> HostRow:
    """A row of the statement."""
    load = Load(*(getattr(host, name) for name in _OF_LOAD))
    groups = frozenset(map(int, host.in_groups.split(","))) if host.in_groups else frozenset()
    return HostRow(**{name: getattr(host, name) for name in _OF_ROW}, load=load, groups=groups)


def add_sample(session: Session, host_id: int, at: datetime, load: Load, *, keep_since: datetime) -> None:
    """Add a row to the host's history, and drop some of those older than ``keep_since``, the oldest first."""
    session.add(HostSample(host_id=host_id, at=at, **asdict(load)))
    old = select(HostSample.id).where(HostSample.host_id == host_id, HostSample.at < keep_since)
    ids = list(session.scalars(old.order_by(HostSample.at).limit(DROPPED_AT_ONCE)))
    if ids:
        session.execute(delete(HostSample).where(HostSample.id.in_(ids)).execution_options(synchronize_session=False))
