"""Storage pools, volumes and images (manual 9)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.base import (
    Base,
    Bytes,
    Count,
    Created,
    Id,
    Line,
    Name,
    Path,
    Prose,
    Time,
    Title,
    Uuid,
    Word,
    table_arguments,
)
from core.model.hosts import Host
from core.model.projects import Project, ProjectGroup
from core.model.secrets import Secret

pool_of_project = Table(
    "pool_of_project",
    Base.metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True),
    **Base.__table_args__,
)


class Pool(Base):
    """A place for volumes. ``capacity`` is the logical capacity in bytes: the most its volumes may sum to.

    ``kind`` is one of :data:`core.rules.pools.KINDS`; without a host every host can reach it. Where the storage is:
    ``server`` and ``port`` (0: the usual one), ``source`` (export, share, target or device), ``devices`` (a line
    each), ``account`` and the secret that the server is told.
    ``charges`` counts bookings against the capacity: see :mod:`core.coordination.charges`. ``measured`` is when all
    its volumes were measured last.
    """

    __tablename__ = "pool"
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(unique=True)
    kind: Mapped[Word]
    capacity: Mapped[Bytes]
    path: Mapped[Path]
    format: Mapped[Word]
    server: Mapped[Line]
    port: Mapped[Count]
    source: Mapped[Path]
    devices: Mapped[Prose]
    account: Mapped[Line]
    host_id: Mapped[int | None] = mapped_column(ForeignKey("host.id"), index=True)
    secret_id: Mapped[int | None] = mapped_column(ForeignKey("secret.id"), index=True)
    vendor: Mapped[Title]
    product: Mapped[Title]
    description: Mapped[Prose]
    measured: Mapped[Time | None]
    charges: Mapped[Bytes]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    host: Mapped[Host | None] = relationship(lazy="raise")
    projects: Mapped[list[Project]] = relationship(secondary=pool_of_project, lazy="raise")


class PoolOnHost(Base):
    """What a host has of a pool that it needed once. ``error`` is the wire form of what is wrong, empty: it is active.

    ``size`` and ``free`` are the bytes that the storage itself has.
    """

    __tablename__ = "pool_on_host"
    pool_id: Mapped[int] = mapped_column(ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("host.id", ondelete="CASCADE"), primary_key=True, index=True)
    error: Mapped[Prose]
    size: Mapped[Bytes]
    free: Mapped[Bytes]
    seen: Mapped[Time]


class Volume(Base):
    """A virtual disk in a pool. ``state``: creating, present, missing, foreign, merging, deleting or failed.

    ``allocation`` is what it takes of the storage: at the moment ``measured``, or when its pool was measured later.
    With a secret it is encrypted by LUKS, and opens with the value that the secret had when it was made.

    A snapshot is a volume that records the differences to another one, its ``backing``, which nobody writes to any
    more; ``root_id`` is the volume at the bottom of the chain, so that a whole tree is found by one condition.
    ``path`` is empty where the file has the volume's name in the pool's directory. *foreign*: a file that a refresh
    found, which nobody uses before somebody says what format it has; ``format`` and ``looks_encrypted`` are then what
    it looks like.
    """

    __tablename__ = "volume"
    __table_args__ = table_arguments(UniqueConstraint("pool_id", "name"))
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    pool_id: Mapped[int] = mapped_column(ForeignKey("pool.id"))
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id"), index=True)
    secret_id: Mapped[int | None] = mapped_column(ForeignKey("secret.id"), index=True)
    backing_id: Mapped[int | None] = mapped_column(ForeignKey("volume.id"), index=True)
    root_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    name: Mapped[Name]
    display_name: Mapped[Line]
    description: Mapped[Prose]
    path: Mapped[Path]
    format: Mapped[Word]
    capacity: Mapped[Bytes]
    allocation: Mapped[Bytes]
    measured: Mapped[Time | None]
    looks_encrypted: Mapped[bool] = mapped_column(default=False)
    options: Mapped[Prose]
    state: Mapped[Word]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    pool: Mapped[Pool] = relationship(lazy="raise")
    secret: Mapped[Secret | None] = relationship(lazy="raise")


class Image(Base):
    """A file in a project group's directory that serves as disk or CD, of all projects of the group (manual 9.5).

    ``state``: uploading, creating, present, missing, deleting or failed. *missing*: the host that watches over its file
    saw it, and sees it no more. ``shared``: between VMs; otherwise one VM alone may use it.

    ``size`` is bytes: while it is ``uploading``, of what will be there, of which ``received`` had arrived when that was
    looked at last. ``digest`` is the SHA-256 of an uploaded file; where it is still to be taken it is empty, and
    ``received`` as large as the file. ``host`` is the UUID of the host to which it is uploaded, and from then on of the
    one that watches over its file.
    """

    __tablename__ = "image"
    __table_args__ = table_arguments(UniqueConstraint("group_id", "file"))
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(index=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("project_group.id"))
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    file: Mapped[Line]
    format: Mapped[Word]
    architecture: Mapped[Word]
    shared: Mapped[bool] = mapped_column(default=True)
    read_only: Mapped[bool] = mapped_column(default=True)
    size: Mapped[Bytes]
    virtual_size: Mapped[Bytes]
    received: Mapped[Bytes]
    digest: Mapped[str] = mapped_column(String(64), default="")
    host: Mapped[str] = mapped_column(String(36), default="")
    state: Mapped[Word]
    description: Mapped[Prose]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    group: Mapped[ProjectGroup] = relationship(lazy="raise")
