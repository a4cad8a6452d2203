"""Pools, volumes and images as their hosts see them: the orders they read, the results they write.

A host writes about an object only what it found out; names, owners and limits are the services'.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from core.database import insert_new
from core.errors import Refused
from core.i18n import N_
from core.model import (
    Image,
    Instance,
    Pool,
    PoolOnHost,
    ProjectGroup,
    Secret,
    Task,
    Volume,
    instance_image,
    instance_volume,
)
from core.model.base import utc_now
from core.security.sealed import SealedSecret
from core.specs.order import BackingFile
from core.specs.pool import PoolOrder

#: What the server of a pool is told, beside what a volume is encrypted by.
_POOL_SECRET = aliased(Secret)


@dataclass(frozen=True)
class PoolState:
    """What a host says of a pool. ``error`` is a wire form, empty when it is active; sizes are bytes."""

    error: str = ""
    size: int = 0
    free: int = 0


@dataclass(frozen=True)
class VolumeOrder:
    """A volume as it shall be; sizes are bytes. ``options`` are those of its making (mode, owner, compat ...).

    With a secret it is encrypted. ``backing`` is what a snapshot rests on, the nearest first.
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
    backing: tuple[BackingFile, ...] = ()


@dataclass(frozen=True)
class ImageOrder:
    """An image's file. ``root`` is its group's directory, below which ``path`` must stay; sizes are bytes.

    ``host`` is the UUID of the host to which it is uploaded, if it is.
    """

    id: int
    uuid: str
    name: str
    file: str
    root: str
    path: str
    format: str
    state: str
    size: int
    project_id: int
    host: str = ""


def volume_path(pool_path: str, name: str, path: str = "") -> str:
    """Where a volume is: its own ``path``, or else the file of its name in the pool's directory."""
    return path or posixpath.join(pool_path, name)


def image_path(directory: str, file: str) -> str:
    """Where an image's file is."""
    return posixpath.join(directory, file)


def pool_order(pool: Pool, secret: Secret | None = None) -> PoolOrder:
    """A row as hosts are told of it; ``secret`` is the one that it names."""
    return PoolOrder(
        id=pool.id,
        uuid=pool.uuid,
        name=pool.name,
        kind=pool.kind,
        path=pool.path,
        host_id=pool.host_id,
        vendor=pool.vendor,
        product=pool.product,
        format=pool.format,
        server=pool.server,
        port=pool.port,
        source=pool.source,
        devices=tuple(pool.devices.splitlines()),
        account=pool.account,
        secret=_sealed(secret),
    )


def _sealed(secret: Secret | None) -> SealedSecret | None:
    return SealedSecret(secret.uuid, secret.name, secret.kind, secret.value) if secret is not None else None


def load_secret(session: Session, uuid: str) -> SealedSecret | None:
    """A security object, or None when it was deleted."""
    return _sealed(session.scalar(select(Secret).where(Secret.uuid == uuid)))


def tried_secret(session: Session, secret: SealedSecret) -> int:
    """The id of a security object whose value was tried, for what is to be opened with it from now on.

    Raises:
        Refused: it has been deleted, or has another value by now.
    """
    found = session.scalar(select(Secret.id).where(Secret.uuid == secret.uuid, Secret.value == secret.value))
    if found is None:
        raise Refused(
            N_("Secret {name} was changed or deleted meanwhile."),
            remedy=N_("Look again and repeat it."),
            name=secret.name,
        )
    return found


def _pools(session: Session, *conditions: Any) -> list[PoolOrder]:
    statement = select(Pool, Secret).outerjoin(Secret, Secret.id == Pool.secret_id).where(*conditions)
    return [pool_order(pool, secret) for pool, secret in session.execute(statement.order_by(Pool.id))]


def load_pool(session: Session, uuid: str) -> PoolOrder | None:
    """One pool, or None when it was deleted."""
    return next(iter(_pools(session, Pool.uuid == uuid)), None)


def load_pools(session: Session, uuids: Collection[str]) -> list[PoolOrder]:
    """Several pools, in the order they were made."""
    return _pools(session, Pool.uuid.in_(uuids)) if uuids else []


def pools_of_host(session: Session, host_id: int) -> list[PoolOrder]:
    """The pools that a host has, or needed once, in the order they were made."""
    needed = select(PoolOnHost.pool_id).where(PoolOnHost.host_id == host_id)
    return _pools(session, or_(Pool.host_id == host_id, Pool.id.in_(needed)))


def group_directories(session: Session) -> list[tuple[str, str]]:
    """The directories of project groups in the order they were made: name and path."""
    found = session.execute(select(ProjectGroup.name, ProjectGroup.directory).order_by(ProjectGroup.id))
    return [(name, path) for name, path in found]


def unknown_pools(session: Session, uuids: Collection[str]) -> set[str]:
    """Which of these pools have been deleted."""
    return set(uuids) - set(session.scalars(select(Pool.uuid).where(Pool.uuid.in_(uuids)))) if uuids else set()


def load_volume(session: Session, uuid: str) -> VolumeOrder | None:
    """One volume with its pool, or None when it was deleted; one statement."""
    row = session.execute(
        select(Volume, Pool, Secret, _POOL_SECRET)
        .join(Pool, Pool.id == Volume.pool_id)
        .outerjoin(Secret, Secret.id == Volume.secret_id)
        .outerjoin(_POOL_SECRET, _POOL_SECRET.id == Pool.secret_id)
        .where(Volume.uuid == uuid)
    ).first()
    if row is None:
        return None
    volume, pool, secret, pool_secret = row
    return VolumeOrder(
        id=volume.id,
        uuid=volume.uuid,
        name=volume.name,
        format=volume.format,
        capacity=volume.capacity,
        allocation=volume.allocation,
        state=volume.state,
        path=volume_path(pool.path, volume.name, volume.path),
        pool=pool_order(pool, pool_secret),
        options=json.loads(volume.options) if volume.options else {},
        secret=_sealed(secret),
        backing=chains(session, [volume.root_id]).get(volume.id, ()) if volume.root_id is not None else (),
    )


def chains(session: Session, roots: Collection[int]) -> dict[int, tuple[BackingFile, ...]]:
    """What each snapshot of some trees rests on, the nearest first, by the snapshot's id; one statement.

    Args:
        session: a transaction.
        roots: ids of the volumes at the bottom of the trees.
    """
    rows = session.execute(
        select(Volume, Pool.name, Pool.path, Secret)
        .join(Pool, Pool.id == Volume.pool_id)
        .outerjoin(Secret, Secret.id == Volume.secret_id)
        .where(or_(Volume.id.in_(roots), Volume.root_id.in_(roots)))
    ).all()
    files = {
        volume.id: BackingFile(
            name=f"{pool}/{volume.name}",
            path=volume_path(directory, volume.name, volume.path),
            format=volume.format,
            secret=_sealed(secret),
            uuid=volume.uuid,
            capacity=volume.capacity,
        )
        for volume, pool, directory, secret in rows
    }
    below = {volume.id: volume.backing_id for volume, *_ in rows}
    found = {}
    for volume_id, backing_id in below.items():
        chain: list[BackingFile] = []
        step = backing_id
        while step is not None and len(chain) <= len(files):
            chain.append(files[step])
            step = below[step]
        found[volume_id] = tuple(chain)
    return found


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
        project_id=image.project_id,
        host=image.host,
    )


def record_pool(session: Session, pool_id: int, host_id: int, state: PoolState, now: datetime) -> bool:
    """Write what a host has of a pool; whether it works or not is news.

    A pool that has been deleted meanwhile leaves nothing.
    """
    mine = (PoolOnHost.pool_id == pool_id, PoolOnHost.host_id == host_id)
    before = session.scalar(select(PoolOnHost.error).where(*mine))
    values = {"error": state.error, "size": state.size, "free": state.free, "seen": now}
    if before is None and session.scalar(select(exists().where(Pool.id == pool_id))):
        # Another task here may say the first word at the same moment.
        insert_new(session, PoolOnHost, [{"pool_id": pool_id, "host_id": host_id, **values}])
    written = _changed(session, update(PoolOnHost).where(*mine).values(values))
    return written and before != state.error


def record_volume(session: Session, uuid: str, **values: Any) -> bool:
    """Write what a volume is now (``state``, ``capacity``, ``allocation``, ``format``); whether it is still there.

    What it takes (``allocation``) has just been measured.
    """
    if "allocation" in values:
        values["measured"] = utc_now()
    return _changed(session, update(Volume).where(Volume.uuid == uuid).values(**values))


def record_image(session: Session, uuid: str, **values: Any) -> bool:
    """Write what an image is now (``state``, ``size``, ``virtual_size``, ``digest``); whether it is still there."""
    return _changed(session, update(Image).where(Image.uuid == uuid).values(**values))


def remove_pool(session: Session, uuid: str) -> bool:
    """Remove a pool's row: it was released, or could not be made. Hosts that have it see that it is gone."""
    return _changed(session, delete(Pool).where(Pool.uuid == uuid))


def remove_volume(session: Session, uuid: str) -> bool:
    """Remove a volume's row: it was deleted, or could not be made; one that is used already has failed."""
    rests = aliased(Volume)
    used = or_(
        exists().where(instance_volume.c.volume_id == Volume.id).correlate(Volume),
        Volume.id.in_(select(rests.backing_id).where(rests.backing_id.is_not(None))),
    )
    return _removed(session, Volume, uuid, used)


def being_made(session: Session, uuids: Collection[str]) -> set[str]:
    """Which of these volumes a host is to make, or makes, or could not: only there it is seen whose a file is."""
    unmade = Volume.state.in_(("creating", "failed", "deleting"))
    return set(session.scalars(select(Volume.uuid).where(Volume.uuid.in_(uuids), unmade)))


def undo_volume(session: Session, uuid: str, switched: Collection[str] = ()) -> bool:
    """Remove the row of a volume that could not be made, or let it be *failed* while instances use it.

    ``switched`` are the instances (UUIDs) that were to go on with it: see :func:`hand_disk_back`.
    """
    hand_disk_back(session, uuid, switched)
    return remove_volume(session, uuid)


def fail_volume(session: Session, uuid: str, switched: Collection[str] = ()) -> bool:
    """Keep the row of a volume that could not be made, because there may be a file of it; as :func:`undo_volume`."""
    hand_disk_back(session, uuid, switched)
    return record_volume(session, uuid, state="failed")


def deletion(session: Session, uuid: str, before: str) -> dict[str, Any]:
    """What the host that deletes a volume must know of it; ``before`` is its state until now.

    ``before`` is what it is again when it cannot be deleted. ``own``: the file of its name is its own. Of a volume that
    could not be made nobody knows that; of one whose deletion did not end the deletion knew it.
    """
    own = before not in ("creating", "failed", "deleting")
    if before in ("failed", "deleting"):
        own = _was_own(session, uuid, "volume.delete")
    settled = ("present", "missing", "foreign")
    return {"before": before if before in settled else "present" if before == "merging" else "failed", "own": own}


def image_deletion(session: Session, uuid: str, before: str) -> dict[str, Any]:
    """As :func:`deletion`, of an image."""
    if before in ("present", "missing"):
        return {"before": before, "own": True}
    return {"before": "failed", "own": _was_own(session, uuid, "image.delete")}


def _was_own(session: Session, uuid: str, kind: str) -> bool:
    """What the last deletion knew, which stays as long as what it could not delete (see :func:`tasks.prune`)."""
    last = select(Task.payload).where(Task.target == uuid, Task.kind == kind).order_by(Task.id.desc()).limit(1)
    payload = session.scalar(last)
    return bool(json.loads(payload).get("own")) if payload else False


def record_merged(session: Session, uuid: str, source: str, *, allocation: int) -> None:
    """A merged volume is there, and rests on nothing; what it was merged from may be used again."""
    record_volume(session, uuid, state="present", allocation=allocation, backing_id=None, root_id=None)
    end_merge(session, source)


def end_merge(session: Session, source: str) -> None:
    """Let a snapshot be used again that is not merged any more."""
    _changed(session, update(Volume).where(Volume.uuid == source, Volume.state == "merging").values(state="present"))


def hand_disk_back(session: Session, uuid: str, switched: Collection[str]) -> None:
    """Give instances the volume again that a snapshot could not be made of, in the snapshot's place.

    Only those that it was taken from (UUIDs), and only while nothing else rests on it and nobody else uses it: what
    others read must not be written to. Otherwise they stay with the snapshot, which there is not.
    """
    row = session.execute(select(Volume.id, Volume.backing_id).where(Volume.uuid == uuid)).first()
    if row is None or row.backing_id is None or not switched:
        return
    below = row.backing_id
    # Whoever ties it to an instance or makes a snapshot of it just now waits for this, or this for them.
    _changed(session, update(Volume).where(Volume.id == below).values(version=Volume.version + 1))
    rests = session.scalar(select(exists().where(Volume.backing_id == below, Volume.id != row.id)))
    used = session.scalar(select(exists().where(instance_volume.c.volume_id == below)))
    if not rests and not used:
        exchange_disk(session, row.id, below, only=switched)


def exchange_disk(session: Session, old: int, new: int, *, only: Collection[str] | None = None) -> dict[str, str]:
    """Let instances use one volume in the place of another, all or ``only`` some (UUIDs); their names by UUID."""
    uuids = dict(session.execute(select(Volume.id, Volume.uuid).where(Volume.id.in_((old, new)))).all())
    users = session.scalars(
        select(Instance)
        .join(instance_volume, instance_volume.c.instance_id == Instance.id)
        .where(instance_volume.c.volume_id == old, *([Instance.uuid.in_(only)] if only is not None else []))
        .order_by(Instance.name)
    ).all()
    for instance in users:
        # A UUID stands for nothing else, wherever it stands.
        spec = instance.spec.replace(f'"{uuids[old]}"', f'"{uuids[new]}"')
        _changed(
            session,
            update(Instance).where(Instance.id == instance.id).values(spec=spec, version=Instance.version + 1),
        )
    ids = [instance.id for instance in users]
    ties = (instance_volume.c.volume_id == old, instance_volume.c.instance_id.in_(ids))
    _changed(session, update(instance_volume).where(*ties).values(volume_id=new))
    return {instance.uuid: instance.name for instance in users}


def remove_image(session: Session, uuid: str) -> bool:
    """Remove an image's row: it was deleted, or is not what was said of it; one that an instance names has failed."""
    used = exists().where(instance_image.c.image_id == Image.id).correlate(Image)
    return _removed(session, Image, uuid, used)


def remove_upload(session: Session, uuid: str, before: datetime | None = None) -> bool:
    """Remove the row of an upload that is not whole; if need be only if nothing was said of it since ``before``."""
    mine = [Image.uuid == uuid, Image.state == "uploading"]
    if before is not None:
        mine.append(Image.created < before)
    return _changed(session, delete(Image).where(*mine))


def move_upload(session: Session, uuid: str, host: str) -> bool:
    """From now on an upload goes to another host (UUID): the one it went to is gone."""
    mine = (Image.uuid == uuid, Image.state == "uploading")
    return _changed(session, update(Image).where(*mine).values(host=host))


def still_uploaded(session: Session, uuid: str, last: datetime, slack: timedelta) -> bool:
    """Say that parts of an upload come, the last at ``last``; written when nothing was said for ``slack``."""
    mine = (Image.uuid == uuid, Image.state == "uploading", Image.created < last - slack)
    return _changed(session, update(Image).where(*mine).values(created=last))


def silent_uploads(session: Session, before: datetime, known: Collection[str], limit: int) -> list[str]:
    """Uploads of which nothing was said since ``before``, but those that are known; the oldest ``limit``."""
    silent = (Image.state == "uploading", Image.created < before, Image.uuid.not_in(known))
    return list(session.scalars(select(Image.uuid).where(*silent).order_by(Image.id).limit(limit)))


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
