"""Logs of a million rows: indexes for every filter and order, the names in them, and the record of clearing."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, UniqueConstraint

from core.migrations.changes import BIG, LONG_TEXT, NAME, TIME, UUID, Changes, Index


def upgrade(change: Changes) -> None:
    """Names are gathered by hostd, once it runs."""
    for column in ("account", "address", "action", "operation", "target"):
        change.index(f"ix_operation_log_{column}_at", "operation_log", column, "at")
    change.drop_index("ix_operation_log_account", "operation_log")
    change.index("ix_login_log_outcome_at", "login_log", "outcome", "at")
    for column in ("state", "kind", "target_name", "account", "started", "finished"):
        change.index(f"ix_task_{column}_created", "task", column, "created")
    change.index("ix_task_project_created", "task", "project_id", "created")
    change.drop_index("ix_task_project_id", "task")
    change.table(
        "log_name",
        Column("id", BIG, primary_key=True, autoincrement=True),
        Column("part", String(32), nullable=False),
        Column("sheet", BigInteger, nullable=False),
        Column("name", String(255), nullable=False),
        Column("folded", String(255), nullable=False),
        UniqueConstraint("part", "name"),
        Index("ix_log_name_sheet", "sheet", "part", "folded", "name"),
    )
    change.table(
        "log_sheet",
        Column("id", BIG, primary_key=True, autoincrement=True),
        Column("part", String(32), nullable=False, index=True),
        Column("folded", LONG_TEXT, nullable=False),
    )
    change.table(
        "purge",
        Column("id", BIG, primary_key=True, autoincrement=True),
        Column("uuid", UUID, nullable=False, unique=True),
        Column("at", TIME, nullable=False, index=True),
        Column("account", NAME, nullable=False, index=True),
        Column("address", NAME, nullable=False),
        Column("what", String(32), nullable=False),
        Column("scope", NAME, nullable=False),
        Column("scope_name", NAME, nullable=False),
        Column("before", TIME, nullable=False),
        Column("rows", BigInteger, nullable=False),
        Column("finished", TIME, nullable=True),
    )
