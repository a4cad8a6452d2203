"""Tasks (requested actions), the operation log and what was cleared of it, and settings."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Base, Bytes, Count, Created, Id, Line, Name, Prose, Time, Title, Uuid, Word, table_arguments


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
    of ``id``. ``progress`` is percent. ``error`` is an error's wire form as JSON, or empty; ``outcome`` a sentence of
    what a task that is done found, in the same form. ``origin``
    is the UUID of the host whose hostd took the request; its doorbell is rung when the task ends. ``cancelled`` is that
    somebody wants it to end: who works on it looks, where work can be broken off.
    """

    __tablename__ = "task"
    __table_args__ = table_arguments(
        Index("ix_task_host_state", "host_id", "state"),
        Index("ix_task_target", "target", "state"),
        Index("ix_task_project_created", "project_id", "created"),
        *(
            Index(f"ix_task_{column}_created", column, "created")
            for column in ("state", "kind", "target_name", "account", "started", "finished")
        ),
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
    cancelled: Mapped[bool] = mapped_column(default=False)
    claim: Mapped[str] = mapped_column(String(36), default="")
    attempts: Mapped[Count]
    error: Mapped[Prose]
    outcome: Mapped[Prose]
    origin: Mapped[str] = mapped_column(String(36), default="")
    created: Mapped[Created] = mapped_column(index=True)
    started: Mapped[Time | None]
    finished: Mapped[Time | None]


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


class LogSheet(Base):
    """Some hundred names of a log below each other, as they are compared: what searches look through first.

    ``part`` is that of the names.
    """

    __tablename__ = "log_sheet"
    id: Mapped[Id]
    part: Mapped[Word] = mapped_column(index=True)
    folded: Mapped[Prose]


class LogName(Base):
    """A text that a log speaks of, once: part of it is looked for here instead of in a million rows.

    ``part`` is the log and its column, ``operation_log.account``; ``sheet`` is the :class:`LogSheet` that it stands
    on. What the newest rows speak of is not here yet: see :mod:`core.coordination.log_names`.
    """

    __tablename__ = "log_name"
    __table_args__ = table_arguments(
        UniqueConstraint("part", "name"),
        # All that a search reads of the sheets that have its text in them.
        Index("ix_log_name_sheet", "sheet", "part", "folded", "name"),
    )
    id: Mapped[Id]
    part: Mapped[Word]
    sheet: Mapped[Bytes]
    name: Mapped[Line]
    folded: Mapped[Line]


class Purge(Base):
    """That somebody cleared a log or a history, for ever (manual 13.1.4): no operation changes or deletes it.

    ``what`` was cleared (``log``: both logs), of which object (``scope`` is its UUID and
    ``scope_name`` its name, empty for all), ``before`` which
    time. ``rows`` is how many were removed so far; ``finished`` is when it was all.
    """

    __tablename__ = "purge"
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    at: Mapped[Time] = mapped_column(index=True)
    account: Mapped[Name] = mapped_column(index=True)
    address: Mapped[Title]
    what: Mapped[Word]
    scope: Mapped[Title]
    scope_name: Mapped[Title]
    before: Mapped[Time]
    rows: Mapped[Bytes]
    finished: Mapped[Time | None]


class Setting(Base):
    """One value that all hosts share, as JSON."""

    __tablename__ = "setting"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Prose]
