"""What the storage behind a pool truly has, held against volumes: they are thin, and take room as they are written."""

from __future__ import annotations

from sqlalchemy import select

from core.errors import NeedsConsent
from core.i18n import N_
from core.model import Pool, PoolOnHost
from core.rules.thin import refuse_unfillable, refuse_without_room
from core.services.operation import Call


def fit_storage(call: Call, pool: Pool, capacity: int, more: int, *, thin: bool) -> None:
    """Refuse a volume that its file system could never hold, and ask about one that it has no room for now.

    Nothing is known of storage that no host has had yet; then all fits. What is known may be a minute old: the host
    that makes the file looks again, and is told by the task's ``thin`` what was meant.

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
    refuse_unfillable(pool.name, capacity, known.size)
    if not thin:
        refuse_without_room(
            pool.name,
            capacity,
            more,
            known.free,
            error=NeedsConsent,
            argument="thin",
            answer=N_("Make it so large"),
            question=N_(
                "In the file system of storage pool {name} {free} are free: a volume of {capacity} may come to need"
                " {over} more. VMs that write then stand still until there is room. Make it so large all the same?"
            ),
        )
