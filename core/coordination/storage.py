"""Pools, volumes and images as their hosts see them: the orders they read, the results they write.

A host writes about an object only what it found out; names, owners and limits are the services'.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from core.model import Image, Pool, ProjectGroup, Secret, Volume, instance_image, instance_volume
from core.security.sealed import SealedSecret


@dataclass(frozen=True)
class PoolOrder:
    """A pool as libvirt shall know it. ``error`` is what its host said of it last."""

    id: int
    uuid: str
    name: str
    kind: str
    path: str
    host_id: int | None
    vendor: str
    product: str
    error: str


@dataclass(frozen=True)
class VolumeOrder:
    """A volume as it shall be; sizes are bytes. ``options`` are those of its making (mode, owner, compat ...).

    With a secret it is encrypted.
    """

    id: int
    uuid: str
    name: str
    format: str
    capacity: int
    allocation: int
    state: str
    path: str
    pool: PoolOrder
    options: dict[str, Any] = field(default_factory=dict)
    secret: SealedSecret | None = None


@dataclass(frozen=True)
class ImageOrder:
    """An image's file. ``root`` is its group's directory, below which ``path`` must stay; sizes are bytes."""

    id: int
    uuid: str
    name: str
    file: str
    root: str
    path: str
    format: str
    state: str
    size: int


def volume_path(pool_path: str, name: str) -> str:
    """Where a volume's file is."""
    return posixpath.join(pool_path, name)


def image_path(directory: str, file: str) -> str:
    """Where an image's file is."""
    return posixpath.join(directory, file)


def _pool(pool: Pool) -> PoolOrder:
    return PoolOrder(
        id=pool.id,
        uuid=pool.uuid,
        name=pool.name,
        kind=pool.kind,
        path=pool.path,
        host_id=pool.host_id,
        vendor=pool.vendor,
        product=pool.product,
        error=pool.error,
    )


def load_pool(session: Session, uuid: str) -> PoolOrder | None:
    """One pool, or None when it was deleted."""
    pool = session.scalar(select(Pool).where(Pool.uuid == uuid))
    return _pool(pool) if pool is not None else None


def pools_of_host(session: Session, host_id: int) -> list[PoolOrder]:
    """The pools bound to a host, in the order they were made."""
    return [_pool(pool) for pool in session.scalars(select(Pool).where(Pool.host_id == host_id).order_by(Pool.id))]


def load_volume(session: Session, uuid: str) -> VolumeOrder | None:
    """One volume with its pool, or None when it was deleted; one statement."""
    row = session.execute(
        select(Volume, Pool, Secret)
        .join(Pool, Pool.id == Volume.pool_id)
        .outerjoin(Secret, Secret.id == Volume.secret_id)
        .where(Volume.uuid == uuid)
    ).first()
    if row is None:
        return None
    volume, pool = row[0], row[1]
    secret: Secret | None = row[2]
    return VolumeOrder(
        id=volume.id,
        uuid=volume.uuid,
        name=volume.name,
        format=volume.format,
        capacity=volume.capacity,
        allocation=volume.allocation,
        state=volume.state,
        path=volume_path(pool.path, volume.name),
        pool=_pool(pool),
        options=json.loads(volume.options) if volume.options else {},
        secret=SealedSecret(secret.uuid, secret.name, secret.kind, secret.value) if secret is not None else None,
    )


def load_image(session: Session, uuid: str) -> ImageOrder | None:
    """One image with its group's directory, or None when it was deleted; one statement."""
    row = session.execute(
        select(Image, ProjectGroup.directory)
        .join(ProjectGroup, ProjectGroup.id == Image.group_id)
        .where(Image.uuid == uuid)
    ).first()
    if row is None:
        return None
    image, directory = row
    return ImageOrder(
        id=image.id,
        uuid=image.uuid,
        name=image.name,
        file=image.file,
        root=directory,
        path=image_path(directory, image.file),
        format=image.format,
        state=image.state,
        size=image.size,
    )


def record_pool(session: Session, uuid: str, *, error: str) -> bool:
    """Write what is wrong with a pool (empty: nothing); whether that is news."""
    return _changed(session, update(Pool).where(Pool.uuid == uuid, Pool.error != error).values(error=error))


def record_volume(session: Session, uuid: str, **values: Any) -> bool:
    """Write what a volume is now (``state``, ``capacity``, ``allocation``, ``format``); whether it is still there."""
    return _changed(session, update(Volume).where(Volume.uuid == uuid).values(**values))


def record_image(session: Session, uuid: str, **values: Any) -> bool:
    """Write what an image is now (``state``, ``size``, ``virtual_size``, ``format``); whether it is still there."""
    return _changed(session, update(Image).where(Image.uuid == uuid).values(**values))


def remove_pool(session: Session, uuid: str) -> bool:
    """Remove a pool's row: it was released, or could not be made."""
    return _changed(session, delete(Pool).where(Pool.uuid == uuid))


def remove_volume(session: Session, uuid: str) -> bool:
    """Remove a volume's row: it was deleted, or could not be made; one that an instance names already has failed."""
    used = exists().where(instance_volume.c.volume_id == Volume.id).correlate(Volume)
    return _removed(session, Volume, uuid, used)


def remove_image(session: Session, uuid: str) -> bool:
    """Remove an image's row: it was deleted, or is not what was said of it; one that an instance names has failed."""
    used = exists().where(instance_image.c.image_id == Image.id).correlate(Image)
    return _removed(session, Image, uuid, used)


def _removed(session: Session, model: type[Volume] | type[Image], uuid: str, used: Any) -> bool:
    if _changed(session, delete(model).where(model.uuid == uuid, ~used)):
        return True
    return _changed(session, update(model).where(model.uuid == uuid).values(state="failed"))


def restore_capacity(session: Session, uuid: str, grown: int, before: int) -> bool:
    """Book a volume's capacity back after it could not be grown, unless it was changed again meanwhile."""
    return _changed(
        session, update(Volume).where(Volume.uuid == uuid, Volume.capacity == grown).values(capacity=before)
    )


def _changed(session: Session, statement: Any) -> bool:
    done = session.execute(statement.execution_options(synchronize_session=False))
    return bool(done.rowcount)  # type: ignore[attr-defined]
