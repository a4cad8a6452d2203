"""Snapshots of volumes, what a refresh finds, and tasks that can be broken off and say what they found."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, String

from core.migrations.changes import BIG, LONG_TEXT, TIME, Changes


def upgrade(change: Changes) -> None:
    """What is there is no snapshot, and lies in its pool's directory."""
    change.columns(
        "volume",
        Column("backing_id", BIG, ForeignKey("volume.id"), nullable=True, index=True),
        Column("root_id", BigInteger, nullable=True, index=True),
        Column("description", LONG_TEXT, nullable=False),
        Column("path", String(1024), nullable=False),
        Column("looks_encrypted", Boolean, nullable=False),
        Column("measured", TIME, nullable=True),
        fill={"description": "", "path": "", "looks_encrypted": False},
    )
    # What a refresh finds is titled by its file and the pool's UUID, which is longer than a name.
    change.retype("volume", Column("display_name", String(255), nullable=False))
    change.columns(
        "task",
        Column("cancelled", Boolean, nullable=False),
        Column("outcome", LONG_TEXT, nullable=False),
        fill={"cancelled": False, "outcome": ""},
    )
