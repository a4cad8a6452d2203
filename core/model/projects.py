"""Projects, their groups and their quotas (manual 7)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.base import Base, Bytes, Count, Created, Id, Name, Path, Prose, Uuid
from core.model.trash import Trashable

project_in_group = Table(
    "project_in_group",
    Base.metadata,
    Column("group_id", ForeignKey("project_group.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True),
    **Base.__table_args__,
)


class ProjectGroup(Base):
    """Projects that share one directory for their files (manual 7.2.2)."""

    __tablename__ = "project_group"
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(unique=True)
    directory: Mapped[Path]
    description: Mapped[Prose]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    projects: Mapped[list[Project]] = relationship(secondary=project_in_group, back_populates="groups", lazy="raise")


class Project(Trashable, Base):
    """What VMs belong to, with what they may use at most (manual 7.2.1.3). A quota of 0 means none.

    ``charges`` counts bookings against the quotas: see :mod:`core.coordination.charges`. ``ran_ms`` is the sum of the
    ended runs of its VMs, of those as well that are no more (:class:`core.model.MachineRun`).
    """

    __tablename__ = "project"
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(unique=True)
    description: Mapped[Prose]
    active: Mapped[bool] = mapped_column(default=True)
    max_instances: Mapped[Count]
    max_vcpus: Mapped[Count]
    max_memory: Mapped[Bytes]
    max_disk: Mapped[Bytes]
    max_images: Mapped[Count]
    max_image_bytes: Mapped[Bytes]
    max_snapshots: Mapped[Count]
    charges: Mapped[Bytes]
    ran_ms: Mapped[Bytes]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    groups: Mapped[list[ProjectGroup]] = relationship(
        secondary=project_in_group, back_populates="projects", lazy="raise"
    )
