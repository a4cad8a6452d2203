"""Uploaded images know what arrived, and where."""

from __future__ import annotations

from sqlalchemy import Column, String

from core.migrations.changes import Changes


def upgrade(change: Changes) -> None:
    """What is there was not uploaded."""
    change.columns(
        "image",
        Column("digest", String(64), nullable=False),
        Column("host", String(36), nullable=False),
        fill={"digest": "", "host": ""},
    )
