"""What a host needs to know to have a storage pool: the order, read from the database by hostd."""

from __future__ import annotations

from dataclasses import dataclass

from core.rules.pools import KINDS, PoolKind
from core.security.sealed import SealedSecret


@dataclass(frozen=True)
class PoolOrder:
    """A pool as a host shall have it; see ``core.model.Pool``."""

    id: int
    uuid: str
    name: str
    kind: str
    path: str
    host_id: int | None = None
    vendor: str = ""
    product: str = ""
    format: str = ""
    server: str = ""
    port: int = 0
    source: str = ""
    devices: tuple[str, ...] = ()
    account: str = ""
    secret: SealedSecret | None = None

    @property
    def what(self) -> PoolKind:
        """What pools of its kind have in common."""
        return KINDS[self.kind]
