"""Pools, volumes and images as the host works on them: what to do, and what became of it.

Each function that writes is meant for the transaction that also ends the task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.coordination.charges import fit_image_bytes
from core.model import Image, Pool, ProjectGroup, Volume


@dataclass(frozen=True)
class PoolOrder:
    """A pool as its host needs to know it. ``error`` is what was wrong with it last."""

    uuid: str
    name: str
    kind: str
    path: str
    vendor: str
    product: str
    host_id: int | None
    error: str


@dataclass(frozen=True)
class VolumeOrder:
    """A volume as its host needs to know it; sizes are bytes, ``options`` those it was asked for with."""

    uuid: str
    name: str
    format: str
    capacity: int
    state: str
    options: dict[str, Any]
    pool: PoolOrder


@dataclass(frozen=True)
class ImageOrder:
    """An image as a host needs to know it: ``file`` is relative to ``directory``."""

    id: int
    uuid: str
    name: str
    directory: str
    file: str
    format: str
    state: str
    size: int


def _pool_order(pool: Pool) -> PoolOrder:
    return PoolOrder(pool.uuid, pool.name, pool.kind, pool.path, pool.vendor, pool.product, pool.host_id, pool.error)


def pool_order(session: Session, uuid: str) -> PoolOrder | None:
    """A pool, or None when it was deleted."""
    pool = session.scalar(select(Pool).where(Pool.uuid == uuid))
    return _pool_order(pool) if pool is not None else None


def pools_of_host(session: Session, host_id: int) -> list[PoolOrder]:
    """The pools that are bound to a host."""
    return [_pool_order(pool) for pool in session.scalars(select(Pool).where(Pool.host_id == host_id))]


def volume_order(session: Session, uuid: str) -> VolumeOrder | None:
    """A volume with its pool, or None when it was deleted."""
    found = session.execute(
        select(Volume, Pool).join(Pool, Pool.id == Volume.pool_id).where(Volume.uuid == uuid)
    ).one_or_none()
    if found is None:
        return None
    volume, pool = found
    return VolumeOrder(
        uuid=volume.uuid,
        name=volume.name,
        format=volume.format,
        capacity=volume.capacity,
        state=volume.state,
        options=json.loads(volume.options) if volume.options else {},
        pool=_pool_order(pool),
    )


def image_order(session: Session, uuid: str) -> ImageOrder | None:
    """An image with its directory, or None when it was deleted."""
    found = session.execute(
        select(Image, ProjectGroup.directory)
        .join(ProjectGroup, ProjectGroup.id == Image.group_id)
        .where(Image.uuid == uuid)
    ).one_or_none()
    if found is None:
        return None
    image, directory = found
    return ImageOrder(image.id, image.uuid, image.name, directory, image.file, image.format, image.state, image.size)


def _write(session: Session, table: type[Pool] | type[Volume] | type[Image], uuid: str, **values: Any) -> None:
    session.execute(
        update(table).where(table.uuid == uuid).values(**values).execution_options(synchronize_session=False)
    )


def _remove(session: Session, table: type[Pool] | type[Volume] | type[Image], uuid: str) -> None:
    session.execute(delete(table).where(table.uuid == uuid).execution_options(synchronize_session=False))


def pool_error(session: Session, uuid: str, error: str) -> None:
    """Write what is wrong with a pool; an empty text when nothing is."""
    _write(session, Pool, uuid, error=error)


def remove_pool(session: Session, uuid: str) -> None:
    """Forget a pool: it could not be made, or was released."""
    _remove(session, Pool, uuid)


def volume_present(session: Session, uuid: str, *, allocation: int) -> None:
    """A volume is there, and takes so many bytes of the disk."""
    _write(session, Volume, uuid, state="present", allocation=allocation)


def volume_capacity(session: Session, uuid: str, *, capacity: int, allocation: int | None = None) -> None:
    """A volume has this size: it was grown, or could not be and keeps the size it had."""
    values: dict[str, Any] = {"capacity": capacity, "state": "present"}
    if allocation is not None:
        values["allocation"] = allocation
    _write(session, Volume, uuid, **values)


def volume_state(session: Session, uuid: str, state: str) -> None:
    """Write a volume's state."""
    _write(session, Volume, uuid, state=state)


def remove_volume(session: Session, uuid: str) -> None:
    """Forget a volume: it could not be made, or was deleted."""
    _remove(session, Volume, uuid)


def image_present(session: Session, order: ImageOrder, *, size: int, virtual_size: int) -> None:
    """An image was looked at and is good; its size counts for its project's quota from now on.

    Raises:
        QuotaExceeded: it does not fit.
    """
    fit_image_bytes(session, order.id, size)
    _write(session, Image, order.uuid, state="present", size=size, virtual_size=virtual_size)


def remove_image(session: Session, uuid: str) -> None:
    """Forget an image: it is not fit, or was deleted."""
    _remove(session, Image, uuid)
