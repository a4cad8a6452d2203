"""Runs of VMs are kept account of."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, UniqueConstraint

from core.migrations.changes import BIG, TIME, UUID, Changes, Index


def upgrade(change: Changes) -> None:
    """What ran before has no account: nobody wrote down when it began."""
    change.columns(
        "host",
        Column("kernel_boot", UUID, nullable=False),
        Column("clock_ms", BigInteger, nullable=False),
        fill={"kernel_boot": "", "clock_ms": 0},
    )
    for table in ("project", "machine"):
        change.columns(table, Column("ran_ms", BigInteger, nullable=False), fill={"ran_ms": 0})
    change.table(
        "machine_run",
        Column("id", BIG, primary_key=True, autoincrement=True),
        Column("machine", UUID, nullable=False),
        Column("project_id", BIG, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
        Column("host_id", BIG, ForeignKey("host.id", ondelete="SET NULL"), nullable=True),
        Column("boot", UUID, nullable=False),
        Column("pid", Integer, nullable=False),
        Column("vcpus", Integer, nullable=False),
        Column("from_ms", BigInteger, nullable=False),
        Column("until_ms", BigInteger, nullable=True),
        Column("paused_ms", BigInteger, nullable=False),
        Column("paused_from_ms", BigInteger, nullable=True),
        Column("started", TIME, nullable=False),
        Column("ended", TIME, nullable=True),
        UniqueConstraint("machine", "boot", "pid", "from_ms"),
        Index("ix_machine_run_host_until", "host_id", "until_ms"),
        Index("ix_machine_run_project_until", "project_id", "until_ms"),
    )
