"""Tasks (requested actions), the operation log, and settings."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Base, Count, Created, Id, Line, Name, Prose, Time, Title, Uuid, Word, table_arguments


class TaskState(StrEnum):
    """Where a task is; the last three are ends, and a task ends once."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Task(Base):
    """One action for one host. ``claim`` is the boot id of the hostd that works on it.

    ``target`` is the UUID of the object; a host works on one task per target at a time, in the order
    of ``id``. ``progress`` is percent. ``error`` is an error's wire form as JSON, or empty. ``origin``
    is the UUID of the host whose hostd took the request; its doorbell is rung when the task ends.
    """

    __tablename__ = "task"
    __table_args__ = table_arguments(
        Index("ix_task_host_state", "host_id", "state"),
        Index("ix_task_target", "target", "state"),
        Index("ix_task_project_created", "project_id", "created"),
        *(Index(f"ix_task_{column}_created", column, "created") for column in ("state", "kind", "target_name", "account")),
    )
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    kind: Mapped[Word]
    target: Mapped[str] = mapped_column(String(36))
    target_name: Mapped[Name]
    project_id: Mapped[int | None]
    host_id: Mapped[int] = mapped_column(ForeignKey("host.id"))
    account: Mapped[Name]
    payload: Mapped[Prose]
    state: Mapped[Word]
    progress: Mapped[Count]
    claim: Mapped[str] = mapped_column(String(36), default="")
    attempts: Mapped[Count]
    error: Mapped[Prose]
    origin: Mapped[str] = mapped_column(String(36), default="")
    created: Mapped[Created] = mapped_column(index=True)
    started: Mapped[Time | None] = mapped_column(index=True)
    finished: Mapped[Time | None] = mapped_column(index=True)


class OperationLog(Base):
    """One change that somebody made (manual 13.1.1).

    ``request`` is the caller's idempotency key: a request repeated after a lost connection finds its
    row here and gets the same ``result`` (JSON) instead of happening twice.
    """

    __tablename__ = "operation_log"
    # What the list filters and sorts by, each together with the time: rows of one account, newest first.
    __table_args__ = table_arguments(
        *(
            Index(f"ix_operation_log_{column}_at", column, "at")
            for column in ("account", "address", "action", "operation", "target")
        )
    )
    id: Mapped[Id]
    at: Mapped[Time] = mapped_column(index=True)
    account: Mapped[Name]
    address: Mapped[Title]
    action: Mapped[Word]
    operation: Mapped[Title]
    target: Mapped[Line]
    detail: Mapped[Prose]
    request: Mapped[str] = mapped_column(String(36), unique=True)
    result: Mapped[Prose]


class Setting(Base):
    """One value that all hosts share, as JSON."""

    __tablename__ = "setting"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Prose]
