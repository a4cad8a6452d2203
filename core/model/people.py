"""Users, their sessions, and the record of logins (manual 5)."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.base import Base, Created, Id, Line, Name, Prose, Time, Title, Uuid, Word, table_arguments
from core.model.projects import Project
from core.model.trash import Trashable

#: The one account of the system administrator; it cannot be renamed or deleted (manual 5.2).
SYSADM = "sysadm"


class Role(StrEnum):
    """Who may do what: one fixed system administrator, many project administrators (manual 5.1)."""

    SYSADM = "sysadm"
    PROJECT = "project"


class User(Trashable, Base):
    """An account. Everyone but ``sysadm`` manages one project, or none yet."""

    __tablename__ = "user"
    # The list is of project administrators who are not in the trash, sorted by any of these.
    __table_args__ = table_arguments(
        *(
            Index(f"ix_user_role_{column}", "role", "deleted", column)
            for column in ("account", "display_name", "project_id", "phone", "email", "frozen", "created")
        ),
        # Part of a name is looked for without reading the rows.
        Index("ix_user_search", "role", "deleted", "account", "display_name"),
    )
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    account: Mapped[str] = mapped_column(String(64), unique=True)
    display_name: Mapped[Title]
    role: Mapped[Word]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id"), index=True)
    phone: Mapped[Title]
    email: Mapped[Line]
    address: Mapped[Line]
    description: Mapped[Prose]
    password_hash: Mapped[Line]
    must_change_password: Mapped[bool] = mapped_column(default=False)
    frozen: Mapped[bool] = mapped_column(default=False)
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)

    project: Mapped[Project | None] = relationship(lazy="raise")


class Session(Base):
    """A login that goes on; only a digest of its token is kept."""

    __tablename__ = "session"
    id: Mapped[Id]
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    address: Mapped[Title]
    created: Mapped[Created]
    used: Mapped[Created]


class Preference(Base):
    """What a user chose for the console, as a JSON object that only the console understands."""

    __tablename__ = "preference"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    value: Mapped[Prose]


class LoginLog(Base):
    """One attempt to log in, successful or not (manual 13.1.2)."""

    __tablename__ = "login_log"
    __table_args__ = table_arguments(
        *(Index(f"ix_login_log_{column}_at", column, "at") for column in ("account", "address", "outcome")),
    )
    id: Mapped[Id]
    at: Mapped[Time] = mapped_column(index=True)
    account: Mapped[Name]
    address: Mapped[Title]
    outcome: Mapped[Word]
