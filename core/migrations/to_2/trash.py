"""The trash: what was deleted is marked, and its name is given up."""

from __future__ import annotations

from sqlalchemy import Boolean, Column

from core.migrations.changes import LONG_TEXT, NAME, TIME, Changes


def upgrade(change: Changes) -> None:
    """What is there is not in the trash; the list of users is of those who are not."""
    for table in ("user", "project", "host_group", "secret"):
        change.columns(
            table,
            Column("deleted", TIME, nullable=True, index=True),
            Column("deleted_by", NAME, nullable=False),
            Column("trash_name", NAME, nullable=False),
            Column("trash_memory", LONG_TEXT, nullable=False),
            Column("purging", Boolean, nullable=False),
            fill={"deleted_by": "", "trash_name": "", "trash_memory": "", "purging": False},
        )
    for column in ("account", "display_name", "project_id", "phone", "email", "frozen", "created"):
        change.index(f"ix_user_role_{column}", "user", "role", "deleted", column)
    change.index("ix_user_search", "user", "role", "deleted", "account", "display_name")
