"""Hosts, host groups, and the history of a host's load (manual 6)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.base import (
    Base,
    Bytes,
    Count,
    Created,
    Id,
    Line,
    Name,
    Prose,
    Time,
    Title,
    Uuid,
    Word,
    table_arguments,
)
from core.model.projects import Project
from core.model.trash import Trashable

host_in_group = Table(
    "host_in_group",
    Base.metadata,
    Column("group_id", ForeignKey("host_group.id", ondelete="CASCADE"), primary_key=True),
    Column("host_id", ForeignKey("host.id", ondelete="CASCADE"), primary_key=True, index=True),
    **Base.__table_args__,
)
host_group_of_project = Table(
    "host_group_of_project",
    Base.metadata,
    Column("group_id", ForeignKey("host_group.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True),
    **Base.__table_args__,
)


class Host(Base):
    """A server, registered by its own hostd under its UUID (manual 6.2.2).

    ``heartbeat`` only ever grows; others judge by their own monotonic clock whether it still moves.
    Loads are percent (network: bytes per second) as of the last heartbeat. ``charges`` grows with every VM that is
    placed on it (see :mod:`core.coordination.charges`). ``kernel_boot`` is the kernel's own identity of its boot, and
    ``clock_ms`` its boot clock at the last heartbeat: what ran then ran for at least so long, whatever came after.

    ``migration_url`` is where its libvirtd takes VMs from other hosts, empty when it does not.

    ``heartbeat_interval`` is how often its hostd says that it beats, in seconds: others judge its silence by that, not
    by what they believe the parameter to be. ``drain`` is how it is kept empty (``move`` or ``stop``, see
    :mod:`core.services.maintenance`), or empty itself when it takes VMs. ``parameters`` is the version of the
    parameters that it lives by; ``port_error`` and ``temporary_error`` are the wire forms (JSON) of why it cannot live
    by one of them, or empty.
    """

    __tablename__ = "host"
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(unique=True)
    address: Mapped[Title]
    port: Mapped[Count]
    boot: Mapped[str] = mapped_column(String(36), default="")
    kernel_boot: Mapped[str] = mapped_column(String(36), default="")
    clock_ms: Mapped[Bytes]
    heartbeat: Mapped[Bytes]
    cpu_model: Mapped[Line]
    cores: Mapped[Count]
    memory: Mapped[Bytes]
    max_vcpus: Mapped[Count]
    max_memory: Mapped[Bytes]
    architecture: Mapped[Word]
    accelerator: Mapped[Word]
    accelerator_reason: Mapped[Line]
    libvirt_version: Mapped[Word]
    qemu_version: Mapped[Word]
    kernel: Mapped[Title]
    hypervisor_error: Mapped[Prose]
    cpu_percent: Mapped[float] = mapped_column(default=0.0)
    memory_percent: Mapped[float] = mapped_column(default=0.0)
    disk_percent: Mapped[float] = mapped_column(default=0.0)
    network_rate: Mapped[float] = mapped_column(default=0.0)
    charges: Mapped[Bytes]
    heartbeat_interval: Mapped[Count]
    parameters: Mapped[Count]
    drain: Mapped[Word]
    migration_url: Mapped[Line]
    port_error: Mapped[Prose]
    temporary_error: Mapped[Prose]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)


class HostSample(Base):
    """One row of a host's load history (manual 6.2.2.3).

    Rows of all hosts lie mixed in the table: the index for charts has the loads with it, so that a month of one host is
    read in one piece, a tenth of the time.
    """

    __tablename__ = "host_sample"
    __table_args__ = table_arguments(
        Index("ix_host_sample_host_at", "host_id", "at"),
        Index("ix_host_sample_chart", "host_id", "at", "cpu_percent", "memory_percent", "disk_percent", "network_rate"),
        Index("ix_host_sample_at", "at"),
    )
    id: Mapped[Id]
    host_id: Mapped[int] = mapped_column(ForeignKey("host.id", ondelete="CASCADE"))
    at: Mapped[Time]
    cpu_percent: Mapped[float]
    memory_percent: Mapped[float]
    disk_percent: Mapped[float]
    network_rate: Mapped[float]


class HostGroup(Trashable, Base):
    """Hosts alike enough to run the same VMs (manual 6.2.1)."""

    __tablename__ = "host_group"
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(unique=True)
    description: Mapped[Prose]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    hosts: Mapped[list[Host]] = relationship(secondary=host_in_group, lazy="raise")
    projects: Mapped[list[Project]] = relationship(secondary=host_group_of_project, lazy="raise")
