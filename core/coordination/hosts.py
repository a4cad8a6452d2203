"""Hosts as their own hostds write them, and as every hostd reads them: registration, heartbeat, history."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict
from core.i18n import N_
from core.model import Host, HostSample, host_in_group
from core.rules.sizes import MIB

#: What a host keeps for itself when nobody has said otherwise, in bytes (manual 6.2.2.4).
RESERVED = 512 * MIB
#: VCPUs that a new host takes on for each core: guests seldom all work at once. The administrator may change it.
VCPUS_PER_CORE = 4
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
    """What a hostd found out about its libvirt and QEMU. ``hypervisor_error`` is empty when libvirtd answers."""

    accelerator: str
    accelerator_reason: str
    libvirt_version: str
    qemu_version: str
    hypervisor_error: str


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
    cores: int
    max_vcpus: int
    max_memory: int
    accelerator: str
    hypervisor_error: str
    load: Load
    groups: frozenset[int]


def register(session: Session, uuid: str, name: str, facts: Registration) -> int:
    """Enter a host, or say anew what it is; what the administrator set (name, limits) stays.

    Args:
        session: a write transaction.
        uuid: the host's identity.
        name: what it is called when it is new; made unique with a number.
        facts: what it is now.

    Returns:
        Its id.

    Raises:
        Conflict: others were faster each time.
    """
    for _ in range(_TRIES):
        try:
            with session.begin_nested():
                return _enter(session, uuid, name, facts)
        except IntegrityError:
            # Another host took the name at this moment, or entered itself under this very UUID.
            continue
    raise Conflict(N_("Somebody else changed the same thing at this moment."), remedy=N_("Look again and repeat it."))


def _enter(session: Session, uuid: str, name: str, facts: Registration) -> int:
    host = session.scalar(select(Host).where(Host.uuid == uuid))
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


def beat(session: Session, host_id: int, load: Load, clock_ms: int = 0) -> bool:
    """Say that the host lives, and how loaded it is; one statement.

    Args:
        session: a write transaction.
        host_id: the host.
        load: how loaded it is.
        clock_ms: its boot clock, at which all its runs that have not been ended were seen to go on.

    Returns:
        Whether the host is still registered.
    """
    done = session.execute(
        update(Host)
        .where(Host.id == host_id)
        .values(heartbeat=Host.heartbeat + 1, clock_ms=clock_ms, **asdict(load))
        .execution_options(synchronize_session=False)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def record_hypervisor(session: Session, host_id: int, found: Hypervisor) -> None:
    """Write what libvirt and QEMU of this host are."""
    session.execute(
        update(Host).where(Host.id == host_id).values(**asdict(found)).execution_options(synchronize_session=False)
    )


def all_hosts(session: Session) -> list[HostRow]:
    """All hosts, in two statements."""
    groups: dict[int, set[int]] = {}
    for host_id, group_id in session.execute(select(host_in_group.c.host_id, host_in_group.c.group_id)):
        groups.setdefault(host_id, set()).add(group_id)
    return [
        HostRow(
            id=host.id,
            uuid=host.uuid,
            name=host.name,
            address=host.address,
            port=host.port,
            boot=host.boot,
            heartbeat=host.heartbeat,
            cores=host.cores,
            max_vcpus=host.max_vcpus,
            max_memory=host.max_memory,
            accelerator=host.accelerator,
            hypervisor_error=host.hypervisor_error,
            load=Load(host.cpu_percent, host.memory_percent, host.disk_percent, host.network_rate),
            groups=frozenset(groups.get(host.id, ())),
        )
        for host in session.scalars(select(Host))
    ]


def add_sample(session: Session, host_id: int, at: datetime, load: Load, *, keep_since: datetime) -> None:
    """Add a row to the host's history, and drop those older than ``keep_since``."""
    session.add(HostSample(host_id=host_id, at=at, **asdict(load)))
    session.execute(
        delete(HostSample)
        .where(HostSample.host_id == host_id, HostSample.at < keep_since)
        .execution_options(synchronize_session=False)
    )
