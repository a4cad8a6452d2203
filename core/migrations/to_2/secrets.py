"""Security objects, and what storage is opened with them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, UniqueConstraint

from core.migrations.changes import BIG, LONG_TEXT, NAME, TIME, UUID, Changes


def upgrade(change: Changes) -> None:
    """What is there has no secret."""
    change.table(
        "secret",
        Column("id", BIG, primary_key=True, autoincrement=True),
        Column("uuid", UUID, nullable=False, unique=True),
        Column("name", NAME, nullable=False, unique=True),
        Column("display_name", NAME, nullable=False),
        Column("kind", String(32), nullable=False),
        Column("usage", String(128), nullable=False),
        Column("project_id", BIG, ForeignKey("project.id"), nullable=True, index=True),
        Column("description", LONG_TEXT, nullable=False),
        Column("value", LONG_TEXT, nullable=False),
        Column("created", TIME, nullable=False),
        Column("version", Integer, nullable=False),
        UniqueConstraint("kind", "usage"),
    )
    for table in ("pool", "volume"):
        change.columns(table, Column("secret_id", BIG, ForeignKey("secret.id"), nullable=True, index=True))
