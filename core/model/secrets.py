"""Security objects: passwords and keys that storage is opened with (manual 8)."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Base, Created, Id, Name, Prose, Title, Uuid, Word, table_arguments
from core.model.trash import Trashable

#: Longest ``usage``, in characters.
USAGE_LENGTH = 128


class Secret(Trashable, Base):
    """A secret value with a name. ``kind`` is one of :data:`core.rules.secrets.KINDS`.

    ``value`` is sealed for this very object (:mod:`core.security.sealed`); nothing but a host that needs it opens it.
    """

    __tablename__ = "secret"
    __table_args__ = table_arguments(UniqueConstraint("kind", "usage"))
    id: Mapped[Id]
    uuid: Mapped[Uuid]
    name: Mapped[Name] = mapped_column(unique=True)
    display_name: Mapped[Title]
    kind: Mapped[Word]
    usage: Mapped[str] = mapped_column(String(USAGE_LENGTH))
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id"), index=True)
    description: Mapped[Prose]
    value: Mapped[Prose]
    created: Mapped[Created]
    version: Mapped[int] = mapped_column(default=0)
