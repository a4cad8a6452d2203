"""The tasks of volumes whose pool is a directory: made, grown, made snapshots of, merged, deleted.

A file that is there already is never overwritten and never taken for ours; see :mod:`hostd.volume_files`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from core.coordination import storage
from core.coordination.storage import VolumeOrder
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError, EngineError, Refused
from core.i18n import N_
from core.rules.pools import DIR
from core.rules.thin import refuse_unfillable, refuse_without_room
from core.security.sealed import SealedSecret
from core.specs.order import BackingFile
from hostd import intervals, shared, volume_files, volume_heads, volume_images
from hostd.faults import point
from hostd.handling import Cancelled, Context, Effect, Handler, Interrupted, Obsolete, done
from hostd.hypervisor.errors import Stuck, TooSlow, Underway
from hostd.hypervisor.secrets import Secrets, explain
from hostd.log import fields
from hostd.pools import Keeper, space_of
from hostd.room import Room, said
from hostd.storage_calls import LeftBehind, touch_or_never
from hostd.volume_files import explained
from hostd.volume_images import Broken, Layer, Size

logger = logging.getLogger("hostd.volumes")

T = TypeVar("T")

_TOPICS = frozenset({"volume", "pool"})


class VolumeTasks:
    """Works on the files of volumes."""

    def __init__(self, database: Database, keeper: Keeper, secrets: Secrets) -> None:
        self._database = database
        self._keeper = keeper
        self._secrets = secrets
        self._room = Room()
        #: Tasks (UUIDs) that have come to where a file is begun.
        self._begun: set[str] = set()

    def _load(self, task: Claimed) -> VolumeOrder:
        order = self._database.read(lambda session: storage.load_volume(session, task.target))
        if order is None:
            raise Obsolete(N_("The volume has been deleted."))
        return order

    def _directory(self, order: VolumeOrder) -> Path:
        """The pool's directory, within reach."""
        if not order.pool.what.files:
            # No operation orders that; a directory of devices is nothing to make or remove files in.
            raise Refused(N_("The volumes of storage pool {name} are no files."), name=order.pool.name)
        # Other storage may be away, or was never needed here; of a directory of this host its mark says enough.
        if order.pool.kind != DIR or not self._touch(order, lambda: self._is_marked(order), limit=intervals.STORAGE):
            self._keeper.ready(order.pool)
        return Path(order.pool.path)

    def _is_marked(self, order: VolumeOrder) -> bool:
        self._keeper.own.refuse_place(order.pool)
        return shared.is_marked(order.pool.path, order.pool.uuid)

    def _touch(self, order: VolumeOrder, work: Callable[[], T], *, limit: float = 0.0) -> T:
        """Do something with a pool's files within a time limit; what hangs is held against that pool alone."""
        try:
            return self._keeper.touch(order.pool.uuid, work, limit=limit or intervals.LIBVIRT_LONG)
        except OSError as error:
            raise explained(error) from error

    def _touch_or_never(
        self,
        order: VolumeOrder,
        work: Callable[[Callable[[], None]], T],
        context: Context | None = None,
        *,
        limit: float = 0.0,
    ) -> T:
        """As :meth:`_touch`; what is handed to ``work`` is to be called right before what cannot be undone.

        See :func:`hostd.storage_calls.touch_or_never`.
        """
        held = context.held if context is not None else lambda: True
        return touch_or_never(lambda run: self._touch(order, run, limit=limit), work, held)

    def _open(self, secret: SealedSecret | None) -> str:
        return self._secrets.open(secret) if secret is not None else ""

    def _layer(self, order: VolumeOrder, *, path: str = "") -> Layer:
        """The chain that a volume stands on top of."""
        backing: Layer | None = None
        for file in reversed(order.backing):
            backing = Layer(file.path, file.format, self._open(file.secret), backing)
        return Layer(path or order.path, order.format, self._open(order.secret), backing)

    def _with_keys(self, order: VolumeOrder, work: Callable[[], None]) -> None:
        """Do something that opens a chain; say in plain words what of it is gone, or does not open."""
        try:
            work()
        except EngineError as error:
            if not os.path.lexists(order.path):
                raise _missing(order) from error
            _refuse_gone(order)
            named = [(f"{order.pool.name}/{order.name}", order.secret), *((f.name, f.secret) for f in order.backing)]
            explain(error, [(name, secret) for name, secret in named if secret is not None])
            raise

    def _made(
        self, task: Claimed, order: VolumeOrder, directory: Path, work: Callable[[Path], None], context: Context
    ) -> Effect:
        """Make a volume's file by ``work``; what is written then."""

        def make(sure: Callable[[], None]) -> Size:
            with said(directory / order.name):
                volume_files.make(directory, order.name, order.uuid, work, order.options, sure)
            return volume_images.look(Layer(order.path, order.format, self._open(order.secret)))

        self._begun.add(task.uuid)
        size = self._touch_or_never(order, make, context)
        return self._present(order, size)

    def _present(self, order: VolumeOrder, size: Size) -> Effect:
        return lambda session: done(
            storage.record_volume(session, order.uuid, state="present", allocation=size.allocation)
        )

    def create(self, task: Claimed, context: Context) -> Effect:
        """``volume.create``, also of a snapshot."""
        order = self._load(task)
        directory = self._directory(order)
        layer = self._layer(order)
        if order.backing:
            self._look_below(order)

        def work(path: Path) -> None:
            self._refuse_without_room(task, order, order.capacity, order.capacity)
            # What a server has no room for is told late, and of what is read back then qemu-img says anything.
            with self._room.promised(path, volume_images.room_to_create(layer)):
                volume_images.create(path, layer, order.capacity, order.options)

        return self._made(task, order, directory, work, context)

    def _refuse_without_room(self, task: Claimed, order: VolumeOrder, capacity: int, more: int) -> None:
        """Refuse a volume that by now may come to need more than is free: who ordered it was told of a while ago.

        Args:
            task: says whether it is meant to be so large. Snapshots do not: they are as large as what they rest on.
            order: the volume.
            capacity: what it shall have, bytes.
            more: bytes that it may take beyond what it takes now.

        Raises:
            Refused: it may, and nobody said that this is meant; or the file system could never hold it.
            OSError: the storage cannot be asked.
        """
        thin = task.payload.get("thin")
        if thin is None:
            return
        space = space_of(order.pool.path)
        try:
            refuse_unfillable(order.pool.name, capacity, space.size)
            if not thin:
                refuse_without_room(order.pool.name, capacity, more, space.free)
        except Refused:
            # Who tries again is asked, by what is true now.
            self._keeper.say(order.pool, space)
            raise

    def _look_below(self, order: VolumeOrder) -> None:
        """Refuse a snapshot of what is not there, or is not what the database says."""
        self._touch(order, lambda: _look_through(order, new=True))
        nearest = order.backing[0]
        layer = Layer(nearest.path, nearest.format, self._open(nearest.secret))
        found = self._touch(order, lambda: volume_images.look(layer))
        if found.capacity > order.capacity:
            raise Refused(
                N_("The file of volume {name} is larger than the volume: refresh its storage pool."), name=nearest.name
            )

    def create_failed(self, task: Claimed, error: DosvmError) -> Effect:
        """Leave nothing behind, neither a file of ours nor the row; a file that cannot be removed now keeps its row.

        Where none was begun there is none, also when the storage is away.
        """
        order = self._database.read(lambda session: storage.load_volume(session, task.target))
        switched = [str(uuid) for uuid in task.payload.get("switched", ())]
        # Storage that hung is not waited for as long once more.
        hung = isinstance(error, Stuck | TooSlow | LeftBehind)
        # Whoever had the task before may have begun one.
        begun = task.attempts > 1 or task.uuid in self._begun
        self._begun.discard(task.uuid)
        if order is not None and begun:
            volume = order
            try:
                directory = self._directory(volume)
                self._touch_or_never(
                    volume,
                    lambda sure: volume_files.discard(directory, volume.name, volume.uuid, sure),
                    limit=intervals.STORAGE if hung else 0.0,
                )
            except (DosvmError, OSError):
                # Only by its row the file is found again, when somebody deletes the volume.
                return lambda session: done(storage.fail_volume(session, task.target, switched))
        return lambda session: done(storage.undo_volume(session, task.target, switched))

    def settled(self, task: Claimed) -> None:
        """The database knows the file now."""
        self._begun.discard(task.uuid)
        order = self._database.read(lambda session: storage.load_volume(session, task.target))
        if order is not None:
            volume = order
            try:
                self._touch(volume, lambda: volume_files.forget(Path(volume.pool.path), volume.uuid))
            except DosvmError as error:
                # The volume is whole: what is left beside it is swept before long.
                logger.info("a working directory stays for now %s", fields(volume=volume.uuid, reason=error.text()))

    def merge(self, task: Claimed, context: Context) -> Effect:
        """``volume.merge``: all that a snapshot and what it rests on show, written into a new volume."""
        order = self._load(task)
        source = self._database.read(lambda session: storage.load_volume(session, str(task.payload["source"])))
        if source is None:
            raise Refused(N_("The volume has been deleted."))
        if context.cancelled():
            raise _broken_off()
        directory = self._directory(order)
        self._begun.add(task.uuid)
        size = self._keeper.follow(order.pool.uuid, context, lambda own: self._merged(order, source, directory, own))
        return lambda session: storage.record_merged(session, order.uuid, source.uuid, allocation=size.allocation)

    def _merged(self, order: VolumeOrder, source: VolumeOrder, directory: Path, context: Context) -> Size:
        """Write the merged file; its size."""
        layer = self._layer(source)

        def work(path: Path) -> None:
            _look_through(source)
            size = volume_images.room_for_merge(layer)
            with self._room.promised(path, size):
                point("merging")
                volume_images.merge(
                    layer,
                    path,
                    self._open(order.secret),
                    lambda percent: context.progress(min(99, percent)),
                    wanted,
                    size,
                )

        def wanted() -> bool:
            return not (context.closing.is_set() or context.cancelled())

        def alive() -> None:
            if not wanted():
                raise Broken

        def sure() -> None:
            while True:
                try:
                    if not context.held():
                        raise Interrupted
                    return
                except DatabaseUnavailable:
                    # What took an hour is not thrown away for that.
                    if context.closing.wait(1.0):
                        raise Interrupted from None

        def make() -> None:
            with said(directory / order.name):
                volume_files.make(directory, order.name, order.uuid, work, order.options, sure, alive)

        try:
            self._with_keys(source, make)
        except Broken:
            if context.closing.is_set():
                raise Interrupted from None
            raise _broken_off() from None
        except OSError as error:
            raise explained(error) from error
        return volume_images.look(Layer(order.path, order.format, self._open(order.secret)))

    def merge_failed(self, task: Claimed, error: DosvmError) -> Effect:
        """As when a volume could not be made; what was to be merged may be used again."""
        undo = self.create_failed(task, error)

        def write(session: Session) -> None:
            # Instances that were to use the new volume do not go on with the old one by themselves.
            storage.record_volume(session, task.target, backing_id=None, root_id=None)
            undo(session)
            storage.end_merge(session, str(task.payload.get("source", "")))

        return write

    def grow(self, task: Claimed, context: Context) -> Effect:
        """``volume.grow``."""
        order, capacity = self._load(task), int(task.payload["capacity"])
        self._directory(order)
        layer = self._layer(order)

        def work(sure: Callable[[], None]) -> Size:
            _look_through(order)
            size = volume_images.look(layer)
            if size.capacity < capacity:
                self._refuse_without_room(task, order, capacity, capacity - min(size.capacity, size.allocation))
                point("before_volume")
                sure()
                self._with_keys(order, lambda: volume_images.grow(layer, capacity))
                point("after_volume")
            return volume_images.look(layer)

        # It is looked at, grown, and looked at again.
        limit = 3 * volume_images.seconds_for(layer)
        allocation = self._touch_or_never(order, work, context, limit=limit).allocation
        return lambda session: done(storage.record_volume(session, order.uuid, allocation=allocation))

    def grow_failed(self, task: Claimed, error: DosvmError) -> Effect | None:
        """What was booked for the growth is given back, unless the file may still grow: its pool's refresh tells."""
        if isinstance(error, Underway):
            return None
        grown, before = int(task.payload.get("capacity", 0)), int(task.payload.get("before", 0))
        return lambda session: done(storage.restore_capacity(session, task.target, grown, before))

    def delete(self, task: Claimed, context: Context) -> Effect:
        """``volume.delete``."""
        order = self._load(task)
        directory = self._directory(order)
        # Of a volume that could not be made the file of its name may be somebody's.
        remove = volume_files.remove if task.payload.get("own", True) else volume_files.discard

        def work(sure: Callable[[], None]) -> None:
            self._keeper.own.found().refuse(directory / order.name, order.name)
            remove(directory, order.name, order.uuid, sure)

        point("before_volume")
        self._touch_or_never(order, work, context)
        point("after_volume")
        return lambda session: done(storage.remove_volume(session, order.uuid))

    def delete_failed(self, task: Claimed, error: DosvmError) -> Effect:
        """It is what it was, and can be deleted again; where its file may still go, nobody uses it any more."""
        state = "failed" if isinstance(error, Underway) else str(task.payload.get("before", "failed"))
        return lambda session: done(storage.record_volume(session, task.target, state=state))


def handlers(database: Database, keeper: Keeper, secrets: Secrets) -> dict[str, Handler]:
    """Task kind -> handler."""
    work = VolumeTasks(database, keeper, secrets)
    return {
        "volume.create": Handler(work.create, _TOPICS, work.create_failed, work.settled, storage=True),
        "volume.merge": Handler(work.merge, _TOPICS, work.merge_failed, work.settled, storage=True, long=True),
        "volume.grow": Handler(work.grow, _TOPICS, work.grow_failed, storage=True),
        "volume.delete": Handler(work.delete, _TOPICS, work.delete_failed, storage=True),
    }


def _broken_off() -> Cancelled:
    return Cancelled(N_("It was cancelled."))


def _look_through(order: VolumeOrder, *, new: bool = False) -> None:
    """Refuse another file in a volume's place, or below it, before QEMU reads or writes what that one names.

    Args:
        order: the volume.
        new: it is being made: only what it is to rest on is there.

    Raises:
        Refused: one is missing, or is not what the database says.
        OSError: one cannot be read.
    """
    volume = BackingFile(
        f"{order.pool.name}/{order.name}", order.path, order.format, order.secret, order.uuid, order.capacity
    )
    if not new and not os.path.lexists(order.path):
        raise _missing(order)
    _refuse_gone(order)
    volume_heads.look_through(order.backing if new else (volume, *order.backing))


def _refuse_gone(order: VolumeOrder) -> None:
    """Refuse what rests on a file that is gone, which qemu-img says in a line of all that it was told."""
    for file in order.backing:
        if not os.path.lexists(file.path):
            raise Refused(
                N_("The file that volume {name} rests on is missing: {path}, of volume {below}."),
                remedy=N_("Bring its file back and refresh the storage pool."),
                name=f"{order.pool.name}/{order.name}",
                path=file.path,
                below=file.name,
            )


def _missing(order: VolumeOrder) -> Refused:
    return Refused(
        N_("The file of volume {name} is missing in {path}."),
        remedy=N_("Look whether the directory is mounted on its host."),
        name=order.name,
        path=order.pool.path,
    )
