"""The parameters that all hosts share (manual 13.2.1)."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Base, Id, Path, Uuid
from core.rules.parameters import RANGES


class CloudParameters(Base):
    """The one row of :class:`core.rules.parameters.Parameters` (manual 13.2.1); there is none until one is changed.

    Every hostd looks at ``version`` with its heartbeat, and reads the rest when it has grown.
    """

    __tablename__ = "parameters"
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    version: Mapped[int] = mapped_column(default=0)
    vm_sample_interval: Mapped[int] = mapped_column(default=RANGES["vm_sample_interval"].first)
    vm_flush_interval: Mapped[int] = mapped_column(default=RANGES["vm_flush_interval"].first)
    host_sample_interval: Mapped[int] = mapped_column(default=RANGES["host_sample_interval"].first)
    host_history_interval: Mapped[int] = mapped_column(default=RANGES["host_history_interval"].first)
    heartbeat_interval: Mapped[int] = mapped_column(default=RANGES["heartbeat_interval"].first)
    scheduling_interval: Mapped[int] = mapped_column(default=RANGES["scheduling_interval"].first)
    missed_heartbeats: Mapped[int] = mapped_column(default=RANGES["missed_heartbeats"].first)
    port: Mapped[int | None]
    temporary_directory: Mapped[Path]
    host_history_days: Mapped[int] = mapped_column(default=RANGES["host_history_days"].first)
    task_days: Mapped[int] = mapped_column(default=RANGES["task_days"].first)
    trash_days: Mapped[int] = mapped_column(default=RANGES["trash_days"].first)
