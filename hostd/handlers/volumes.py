"""The tasks of volumes.

A file that is there already is never overwritten and never taken for ours. So that a repeated task can
tell its own leftovers from somebody's file, it notes what it is about to make before it makes it.
"""

from __future__ import annotations

from pathlib import Path

from core.coordination import storage
from core.coordination.storage import VolumeOrder
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import AlreadyExists, DosvmError, EngineError, Refused
from core.i18n import N_
from core.libvirt_xml.storage import volume_xml
from core.rules.pools import DIR
from hostd import qemu_img
from hostd.executor import Context, Effect, Handler, Obsolete, done
from hostd.faults import point
from hostd.hypervisor.errors import MissingPool
from hostd.hypervisor.secrets import Secrets, explain
from hostd.hypervisor.volumes import VolumeInfo, Volumes
from hostd.pools import Keeper

_TOPICS = frozenset({"volume", "pool"})
_OPTIONS = ("mode", "owner", "group", "compat")


class VolumeTasks:
    """Makes, grows and deletes volumes."""

    def __init__(self, database: Database, keeper: Keeper, volumes: Volumes, secrets: Secrets, state: Path) -> None:
        """``state`` is hostd's own directory."""
        self._database = database
        self._keeper = keeper
        self._volumes = volumes
        self._secrets = secrets
        self._intents = state / "volumes"

    def _load(self, task: Claimed) -> VolumeOrder:
        order = self._database.read(lambda session: storage.load_volume(session, task.target))
        if order is None:
            raise Obsolete(N_("The volume has been deleted."))
        if order.pool.kind != DIR:
            # This host may never have needed it, and storage behind a network may be away.
            self._keeper.ready(order.pool)
        return order

    def _find(self, order: VolumeOrder) -> VolumeInfo | None:
        try:
            return self._volumes.find(order.pool.uuid, order.name)
        except MissingPool:
            # Its own task may not have come round yet, or the machine was switched off since.
            self._keeper.ready(order.pool)
            return self._volumes.find(order.pool.uuid, order.name)

    def _intent(self, order: VolumeOrder) -> Path:
        """Where it is noted that a volume is being made: where whoever may go on with it finds it."""
        if order.pool.what.bound:
            return self._intents / order.uuid
        return Path(order.pool.path) / f".dosvm-{order.uuid}"

    def _remove(self, order: VolumeOrder) -> None:
        try:
            self._volumes.delete(order.pool.uuid, order.name)
        except MissingPool:
            self._keeper.ready(order.pool)
            self._volumes.delete(order.pool.uuid, order.name)
        self._intent(order).unlink(missing_ok=True)

    def create(self, task: Claimed, _context: Context) -> Effect:
        """``volume.create``."""
        order = self._load(task)
        intent = self._intent(order)
        info = self._find(order)
        if info is not None and not intent.exists():
            raise AlreadyExists(
                N_("There is a file {path} already."),
                remedy=N_("Choose another name, or remove the file."),
                field="name",
                path=info.path,
            )
        # Of an encrypted one the beginnings look like the whole.
        if info is not None and (info.capacity != order.capacity or info.format != order.format or order.secret):
            self._volumes.delete(order.pool.uuid, order.name)
            info = None
        if info is None:
            intent.parent.mkdir(parents=True, exist_ok=True)
            intent.touch()
            with self._secrets.lent(order.secret):
                point("before_volume")
                info = self._volumes.create(order.pool.uuid, order.name, _xml(order))
                point("after_volume")
        if order.secret is not None and not info.encrypted:
            raise EngineError(N_("libvirt did not encrypt the volume."))
        allocation = info.allocation
        return lambda session: done(storage.record_volume(session, order.uuid, state="present", allocation=allocation))

    def create_failed(self, task: Claimed, _error: DosvmError) -> Effect:
        """Leave nothing behind, neither a file of ours nor the row; a file that cannot be removed now keeps its row."""
        order = self._database.read(lambda session: storage.load_volume(session, task.target))
        if order is not None and self._intent(order).exists():
            try:
                self._remove(order)
            except DosvmError:
                # libvirtd is away: only by its row the file is found again, when somebody deletes the volume.
                return lambda session: done(storage.record_volume(session, task.target, state="failed"))
        return lambda session: done(storage.remove_volume(session, task.target))

    def grow(self, task: Claimed, _context: Context) -> Effect:
        """``volume.grow``."""
        order, capacity = self._load(task), int(task.payload["capacity"])
        info = self._find(order)
        if info is None:
            raise _missing(order)
        if info.capacity < capacity:
            point("before_volume")
            info = self._resize(order, info, capacity)
            point("after_volume")
        allocation = info.allocation
        return lambda session: done(storage.record_volume(session, order.uuid, allocation=allocation))

    def _resize(self, order: VolumeOrder, info: VolumeInfo, capacity: int) -> VolumeInfo:
        if order.secret is None:
            return self._volumes.resize(order.pool.uuid, order.name, capacity)
        try:
            qemu_img.grow_encrypted(Path(info.path), order.format, capacity, self._secrets.open(order.secret))
        except EngineError as error:
            explain(error, [(f"{order.pool.name}/{order.name}", order.secret)])
            raise
        grown = self._find(order)
        if grown is None:
            raise _missing(order)
        return grown

    def grow_failed(self, task: Claimed, _error: DosvmError) -> Effect:
        """What was booked for the growth is given back."""
        grown, before = int(task.payload.get("capacity", 0)), int(task.payload.get("before", 0))
        return lambda session: done(storage.restore_capacity(session, task.target, grown, before))

    def delete(self, task: Claimed, _context: Context) -> Effect:
        """``volume.delete``."""
        order = self._load(task)
        point("before_volume")
        self._remove(order)
        point("after_volume")
        return lambda session: done(storage.remove_volume(session, order.uuid))

    def delete_failed(self, task: Claimed, _error: DosvmError) -> Effect:
        """It stays, and can be deleted again."""
        return lambda session: done(storage.record_volume(session, task.target, state="present"))


def handlers(database: Database, keeper: Keeper, volumes: Volumes, secrets: Secrets, state: Path) -> dict[str, Handler]:
    """Task kind -> handler."""
    work = VolumeTasks(database, keeper, volumes, secrets, state)
    return {
        "volume.create": Handler(work.create, _TOPICS, work.create_failed),
        "volume.grow": Handler(work.grow, _TOPICS, work.grow_failed),
        "volume.delete": Handler(work.delete, _TOPICS, work.delete_failed),
    }


def _xml(order: VolumeOrder) -> str:
    options = {key: str(order.options[key]) for key in _OPTIONS if order.options.get(key)}
    return volume_xml(
        name=order.name,
        capacity=order.capacity,
        volume_format=order.format,
        lazy_refcounts=bool(order.options.get("lazy_refcounts")),
        secret=order.secret.uuid if order.secret else "",
        **options,
    )


def _missing(order: VolumeOrder) -> Refused:
    return Refused(
        N_("The file of volume {name} is missing in {path}."),
        remedy=N_("Look whether the directory is mounted on its host."),
        name=order.name,
        path=order.pool.path,
    )
