"""Hosts can be emptied for maintenance; VMs remember which host's maintenance switched them off, and migrate."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String

from core.migrations.changes import BIG, Changes


def upgrade(change: Changes) -> None:
    """All hosts take VMs, and no VM waits for one."""
    change.columns(
        "host",
        Column("drain", String(32), nullable=False),
        Column("migration_url", String(255), nullable=False),
        fill={"drain": "", "migration_url": ""},
    )
    change.columns("machine", Column("drained_id", BIG, ForeignKey("host.id"), nullable=True, index=True))
    change.columns("machine", Column("moving_id", BIG, ForeignKey("host.id"), nullable=True, index=True))
