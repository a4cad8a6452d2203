"""What a host needs to know to run a VM: the order, read from the database in one statement by hostd."""

from __future__ import annotations

from dataclasses import dataclass

from core.rules.pools import KINDS
from core.security.sealed import SealedSecret
from core.specs.instance import InstanceSpec


@dataclass(frozen=True)
class BackingFile:
    """A volume's file that a snapshot rests on.

    ``name`` is ``pool/name``; the format is the stored one; ``capacity`` is bytes.
    """

    name: str
    path: str
    format: str
    secret: SealedSecret | None = None
    uuid: str = ""
    capacity: int = 0


@dataclass(frozen=True)
class DiskOrder:
    """The file behind one disk of the spec, in the spec's order.

    Attributes:
        kind: ``volume`` or ``image``.
        uuid: of the volume or image.
        name: as people know it (``pool/name`` or the image's name), for errors.
        path: absolute path of the file on the host; empty when it may be missing, and is: then the drive is empty.
        format: the stored format; never probed.
        overlay: the file must not be written, but the disk is writable: it runs on a temporary overlay.
        root: the directory the file must stay below (the pool's path, the group's directory).
        pool: UUID of the volume's pool; empty for images.
        pool_kind: what kind of pool that is; empty for images.
        secret: what the volume is encrypted by; None when it is not.
        backing: what a snapshot rests on, the nearest first.
        capacity: bytes of the disk that a volume is; 0 of an image.
        key: what tells a block device from another one that has its name later; empty when nothing does.
    """

    kind: str
    uuid: str
    name: str
    path: str
    format: str
    overlay: bool
    root: str
    pool: str = ""
    pool_kind: str = ""
    secret: SealedSecret | None = None
    backing: tuple[BackingFile, ...] = ()
    key: str = ""
    capacity: int = 0

    @property
    def is_block(self) -> bool:
        """Whether it is a block device rather than a file."""
        return bool(self.pool_kind) and not KINDS[self.pool_kind].files


@dataclass(frozen=True)
class MachineOrder:
    """One VM as it shall run. ``epoch`` is that of its placement; ``passwords`` are those of its screens, in order."""

    id: int
    uuid: str
    name: str
    project: str
    instance: str
    epoch: int
    power: str
    state: str
    host_id: int | None
    enabled: bool
    spec: InstanceSpec
    disks: tuple[DiskOrder, ...]
    passwords: tuple[str, ...] = ()
