"""It is kept why a VM stands still that nobody suspended."""

from __future__ import annotations

from sqlalchemy import Column

from core.migrations.changes import LONG_TEXT, Changes


def upgrade(change: Changes) -> None:
    """Of those that stand still now their hosts write it."""
    change.columns("machine", Column("halt_error", LONG_TEXT, nullable=False), fill={"halt_error": ""})
