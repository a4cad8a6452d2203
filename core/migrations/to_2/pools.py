"""Pools of all kinds, and what each host has of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String

from core.migrations.changes import BIG, LONG_TEXT, TIME, Changes


def upgrade(change: Changes) -> None:
    """All pools are directories of their hosts, which say again soon what is wrong with them."""
    change.columns(
        "pool",
        Column("format", String(32), nullable=False),
        Column("server", String(255), nullable=False),
        Column("port", Integer, nullable=False),
        Column("source", String(1024), nullable=False),
        Column("devices", LONG_TEXT, nullable=False),
        Column("account", String(255), nullable=False),
        Column("measured", TIME, nullable=True),
        fill={"format": "", "server": "", "port": 0, "source": "", "devices": "", "account": ""},
    )
    change.drop_column("pool", "error")
    change.table(
        "pool_on_host",
        Column("pool_id", BIG, ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True),
        Column("host_id", BIG, ForeignKey("host.id", ondelete="CASCADE"), primary_key=True, index=True),
        Column("error", LONG_TEXT, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("free", BigInteger, nullable=False),
        Column("seen", TIME, nullable=False),
    )
