"""The parameters of the cloud can be set, and hosts say how they live by them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, UniqueConstraint

from core.migrations.changes import BIG, LONG_TEXT, UUID, Changes


def upgrade(change: Changes) -> None:
    """Nobody has set any: there is no row. Hosts say at their next heartbeat how they live."""
    change.columns(
        "host",
        Column("heartbeat_interval", Integer, nullable=False),
        Column("parameters", Integer, nullable=False),
        Column("port_error", LONG_TEXT, nullable=False),
        Column("temporary_error", LONG_TEXT, nullable=False),
        fill={"heartbeat_interval": 0, "parameters": 0, "port_error": "", "temporary_error": ""},
    )
    numbers = (
        "vm_sample_interval",
        "vm_flush_interval",
        "host_sample_interval",
        "host_history_interval",
        "heartbeat_interval",
        "scheduling_interval",
        "missed_heartbeats",
        "host_history_days",
        "task_days",
        "trash_days",
    )
    change.table(
        "parameters",
        Column("id", BIG, primary_key=True, autoincrement=True),
        Column("uuid", UUID, nullable=False),
        Column("version", Integer, nullable=False),
        *(Column(name, Integer, nullable=False) for name in numbers),
        Column("port", Integer, nullable=True),
        Column("temporary_directory", String(1024), nullable=False),
        UniqueConstraint("uuid"),
    )
    change.index("ix_host_sample_at", "host_sample", "at")
    loads = ("cpu_percent", "memory_percent", "disk_percent", "network_rate")
    change.index("ix_host_sample_chart", "host_sample", "host_id", "at", *loads)
