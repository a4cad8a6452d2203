"""What a person chose for the console goes with the account."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey

from core.migrations.changes import BIG, LONG_TEXT, Changes


def upgrade(change: Changes) -> None:
    """Nobody has chosen anything yet."""
    change.table(
        "preference",
        Column("user_id", BIG, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
        Column("value", LONG_TEXT, nullable=False),
    )
