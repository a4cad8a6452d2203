"""Instances (complete VM configurations) and the machines made from them (manual 11)."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.base import Base, Bytes, Count, Created, Id, Name, Prose, Time, Title, Uuid, Word, table_arguments
from core.model.hosts import Host
from core.model.projects import Project
from core.model.storage import Image, Volume

instance_volume = Table(
    "instance_volume",
    Base.metadata,
    Column("instance_id", ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True),
    Column("volume_id", ForeignKey("volume.id"), primary_key=True, index=True),
    **Base.__table_args__,
)
instance_image = Table(
    "instance_image",
    Base.metadata,
    Column("instance_id", ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True),
    Column("image_id", ForeignKey("image.id"), primary_key=True, index=True),
    **Base.__table_args__,
)


class Power(StrEnum):
    """What was asked of a machine."""

    ON = "on"
    OFF = "off"


class State(StrEnum):
    """What libvirt says of a machine; ``unknown`` when nobody can ask."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    SAVED = "saved"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Instance(Base):
    """A complete VM configuration; ``spec`` is the JSON of :class:`core.specs.instance.InstanceSpec`.

    ``vcpus``, ``memory`` (bytes) and ``unique`` repeat what follows from the spec, for lists and quotas.
    """

    __tablename__ = "instance"
    __table_args__ = table_arguments(UniqueConstraint("project_id", "name"))
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[Name]
    display_name: Mapped[Title]
    spec: Mapped[Prose]
    vcpus: Mapped[Count]
    memory: Mapped[Bytes]
    unique: Mapped[bool] = mapped_column(default=False)
    enabled: Mapped[bool] = mapped_column(default=True)
    host_id: Mapped[int | None] = mapped_column(ForeignKey("host.id"), index=True)
    host_group_id: Mapped[int | None] = mapped_column(ForeignKey("host_group.id"), index=True)
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    project: Mapped[Project] = relationship(lazy="raise")
    volumes: Mapped[list[Volume]] = relationship(secondary=instance_volume, lazy="raise")
    images: Mapped[list[Image]] = relationship(secondary=instance_image, lazy="raise")


class Machine(Base):
    """One VM. ``power`` is what was asked, ``state`` what libvirt says on ``host``.

    ``epoch`` grows with every placement: whoever acts on a machine under an older epoch acts on
    yesterday's order and must stop. ``start_error`` is an error's wire form as JSON, or empty; so is ``halt_error``,
    which says why it stands still although nobody suspended it. ``ran_ms`` is the sum of its ended runs (see
    :class:`MachineRun`). ``drained_id`` is the host whose maintenance switched it off, until it
    starts again or somebody says that it shall stay off; ``moving_id`` the one to which it is being migrated as it
    runs, and which keeps room for it.
    """

    __tablename__ = "machine"
    __table_args__ = table_arguments(
        UniqueConstraint("project_id", "name"),
        # The order of lists, for all and for one project: what is on comes first, then by name.
        Index("ix_machine_power_name", text("power DESC"), "name", "id"),
        Index("ix_machine_project_power_name", "project_id", text("power DESC"), "name", "id"),
        Index("ix_machine_host_power", "host_id", "power"),
    )
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(index=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), index=True)
    host_id: Mapped[int | None] = mapped_column(ForeignKey("host.id"))
    drained_id: Mapped[int | None] = mapped_column(ForeignKey("host.id"), index=True)
    moving_id: Mapped[int | None] = mapped_column(ForeignKey("host.id"), index=True)
    power: Mapped[Word] = mapped_column(default=Power.OFF.value)
    state: Mapped[Word] = mapped_column(default=State.OFF.value)
    epoch: Mapped[int] = mapped_column(default=0)
    accelerator: Mapped[Word]
    vnc_port: Mapped[int | None]
    spice_port: Mapped[int | None]
    screen_address: Mapped[Title]
    start_error: Mapped[Prose]
    halt_error: Mapped[Prose]
    started: Mapped[Time | None]
    ran_ms: Mapped[Bytes]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    project: Mapped[Project] = relationship(lazy="raise")
    instance: Mapped[Instance] = relationship(lazy="raise")
    host: Mapped[Host | None] = relationship(lazy="raise", foreign_keys=host_id)


class MachineRun(Base):
    """One run of a VM: one QEMU process, from its start to its end; outlives the VM (manual 7.3.1).

    Times are milliseconds of the boot clock of the kernel it ran under (``boot``), which no step of a wall clock
    touches; boot, process and its start tell a run from every other, so that none counts twice. ``until_ms`` is
    empty while it runs: then the host's ``clock_ms`` says how long it ran at least. ``paused_ms`` is how long it
    stood still in all, without the pause that began at ``paused_from_ms`` and goes on. In the transaction that ends a
    run its VCPU-milliseconds are added to ``ran_ms`` of its VM and of its project, once; then the row is history, of
    which a few are kept. ``started`` and ``ended`` are for people, by the wall clock. The arithmetic is
    :mod:`core.planning.run_time`.
    """

    __tablename__ = "machine_run"
    __table_args__ = table_arguments(
        UniqueConstraint("machine", "boot", "pid", "from_ms"),
        Index("ix_machine_run_host_until", "host_id", "until_ms"),
        Index("ix_machine_run_project_until", "project_id", "until_ms"),
    )
    id: Mapped[Id]
    machine: Mapped[str] = mapped_column(String(36))
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    host_id: Mapped[int | None] = mapped_column(ForeignKey("host.id", ondelete="SET NULL"))
    boot: Mapped[str] = mapped_column(String(36))
    pid: Mapped[Count]
    vcpus: Mapped[Count]
    from_ms: Mapped[Bytes]
    until_ms: Mapped[int | None] = mapped_column(BigInteger)
    paused_ms: Mapped[Bytes]
    paused_from_ms: Mapped[int | None] = mapped_column(BigInteger)
    started: Mapped[Time]
    ended: Mapped[Time | None]
