"""What the storage behind a pool truly has, held against volumes: they are thin, and take room as they are written."""

from __future__ import annotations

from sqlalchemy import select

from core.errors import NeedsConsent, Refused
from core.i18n import N_
from core.model import Pool, PoolOnHost
from core.rules.sizes import format_size
from core.services.operation import Call


def fit_storage(call: Call, pool: Pool, capacity: int, more: int, *, thin: bool) -> None:
    """Refuse a volume that its file system could never hold, and ask about one that it has no room for now.

    Nothing is known of storage that no host has had yet; then all fits.

    Args:
        call: the operation's call.
        pool: its pool, of files.
        capacity: of the volume, bytes.
        more: bytes that it may take beyond what it takes now.
        thin: it is meant to be larger than what is free.

    Raises:
        Refused: it is larger than the file system.
        NeedsConsent: it is larger than what is free, and nobody said that this is meant.
    """
    known = call.session.execute(
        select(PoolOnHost.size, PoolOnHost.free)
        .where(PoolOnHost.pool_id == pool.id, PoolOnHost.size > 0)
        # Who looked last knows best.
        .order_by(PoolOnHost.seen.desc())
        .limit(1)
    ).first()
    if known is None:
        return
    numbers = {
        "name": pool.name,
        "capacity": format_size(capacity),
        "size": format_size(known.size),
        "free": format_size(known.free),
    }
    if capacity > known.size:
        raise Refused(
            N_(
                "A volume of {capacity} can never be filled in storage pool {name}: its file system has {size} in all,"
                " {over} less."
            ),
            remedy=N_("Make the volume smaller, or use another storage pool."),
            field="capacity",
            over=format_size(capacity - known.size),
            **numbers,
        )
    if more > known.free and not thin:
        raise NeedsConsent(
            N_(
                "In the file system of storage pool {name} {free} are free: a volume of {capacity} may come to need"
                " {over} more."
            ),
            remedy=N_("Make the volume smaller, or say that it is meant: --thin."),
            field="capacity",
            argument="thin",
            answer=N_("Make it so large"),
            question=N_(
                "In the file system of storage pool {name} {free} are free: a volume of {capacity} may come to need"
                " {over} more. VMs that write then stand still until there is room. Make it so large all the same?"
            ),
            over=format_size(more - known.free),
            **numbers,
        )
