"""Volumes are thin: what their file system truly has, held against what they may come to take."""

from __future__ import annotations

from typing import Any

from core.errors import Refused
from core.i18n import N_
from core.rules.sizes import format_size


def refuse_unfillable(pool: str, capacity: int, size: int) -> None:
    """Refuse a volume that its file system could never hold.

    Args:
        pool: the name of its storage pool.
        capacity: of the volume, bytes.
        size: of all of the file system, bytes.

    Raises:
        Refused: it is larger; says by how much.
    """
    if capacity > size:
        raise Refused(
            N_(
                "A volume of {capacity} can never be filled in storage pool {name}: its file system has {size} in all,"
                " {over} less."
            ),
            remedy=N_("Make the volume smaller, or use another storage pool."),
            field="capacity",
            name=pool,
            capacity=format_size(capacity),
            size=format_size(size),
            over=format_size(capacity - size),
        )


def refuse_without_room(
    pool: str, capacity: int, more: int, free: int, *, error: type[Refused] = Refused, **asked: Any
) -> None:
    """Refuse a volume that may come to need more than what is free now.

    Args:
        pool: the name of its storage pool.
        capacity: of the volume, bytes.
        more: bytes that it may take beyond what it takes now.
        free: in its file system, bytes.
        error: what is raised.
        asked: more of its parameters.

    Raises:
        Refused: it may, or ``error``; says by how much.
    """
    if more > free:
        raise error(
            N_(
                "In the file system of storage pool {name} {free} are free: a volume of {capacity} may come to need"
                " {over} more."
            ),
            remedy=N_("Make the volume smaller, or say that it is meant: --thin."),
            field="capacity",
            name=pool,
            capacity=format_size(capacity),
            free=format_size(free),
            over=format_size(more - free),
            **asked,
        )
