"""This host's storage pools: made ready when something here needs one, kept so, and let go of.

What this host may have of a pool is noted in a file before it is made: so a pool that was deleted while the host was
away is let go of when it is back. All that touches storage is bounded in time, and held against that pool only.
"""

from __future__ import annotations

import copy
import itertools
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination import discovery, storage
from core.coordination.storage import PoolState
from core.database import Database
from core.errors import DosvmError, EngineError, HypervisorUnavailable, Refused
from core.i18n import N_
from core.libvirt_xml.storage import pool_xml
from core.rules.names import is_uuid
from core.rules.pools import DIR, DISK, DOS, ISCSI, NETFS
from core.specs.pool import PoolOrder
from hostd import blocks, intervals, iscsi, netfs, places, shared
from hostd.access import let_pass
from hostd.bus import Bus
from hostd.handling import Context
from hostd.hypervisor.errors import Busy, Stuck, TooSlow
from hostd.hypervisor.pools import Pools
from hostd.hypervisor.secrets import Secrets
from hostd.log import fields
from hostd.own_places import OwnPlaces, refuse_home
from hostd.places import Place
from hostd.storage_calls import LOOK, SILENT, StorageCalls

logger = logging.getLogger("hostd.pools")

T = TypeVar("T")


class Keeper:
    """Makes pools ready on this host, and says how they are."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        host_id: Callable[[], int | None],
        pools: Pools,
        secrets: Secrets,
        bus: Bus,
        state: Path,
        own: OwnPlaces,
        temporary: Callable[[], Place | None],
    ) -> None:
        """Begin with nothing.

        ``state`` is hostd's own directory; ``own`` says what no pool may be, or have in it; ``temporary`` where
        temporary files of VMs are now, as far as that is known.
        """
        self.own = own
        self._temporary = temporary
        self._database = database
        self._clock = clock
        self._host_id = host_id
        self._pools = pools
        self._secrets = secrets
        self._bus = bus
        self._access = state / "access.log"
        self._notes = state / "pools"
        self._files = StorageCalls()
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        #: What was wrong with a pool, and when that was found; changed under its lock.
        self._failed: dict[str, tuple[float, DosvmError | None]] = {}

    def close(self) -> None:
        """Let the threads that wait for nothing end."""
        self._files.close()

    def touch(self, pool: str, look: Callable[[], T], *, limit: float = 0.0) -> T:
        """Run what looks at or changes files of a pool (its UUID), for ``limit`` seconds at most, or as is usual.

        Raises:
            Stuck, TooSlow: the storage does not answer.
        """
        return self._files.touch(pool, look, limit=limit)

    def follow(self, pool: str, context: Context, work: Callable[[Context], T]) -> T:
        """Run what works on files of a pool (its UUID) for long; see :meth:`StorageCalls.follow`."""
        return self._files.follow(pool, context, work)

    def ready(self, pool: PoolOrder, *, first: bool = False, lately: float = 0.0) -> None:
        """Make a pool usable here, whatever state it is in, and tell everybody how that went.

        Args:
            pool: which.
            first: it is being made: its storage is marked as its own.
            lately: what was wrong with it so many seconds ago, or while it was waited for, is still so.

        Raises:
            Busy: others are still at it.
            DosvmError: it cannot be used; says why.
        """
        since, lock = time.monotonic() - lately, self._lock(pool.uuid)
        if not lock.acquire(timeout=intervals.STORAGE_TURN):
            raise Busy(SILENT.busy, remedy=SILENT.when_busy, seconds=int(intervals.STORAGE_TURN))
        try:
            at, known = self._failed.pop(pool.uuid, (0.0, None))
            if known is not None and at >= since and not first:
                self._failed[pool.uuid] = at, known
                raise copy.copy(known)  # whoever found it has said it
            state = self._find(pool, first)
        finally:
            lock.release()
        self.say(pool, state)

    def _find(self, pool: PoolOrder, first: bool) -> PoolState:
        """Make a pool ready, and say and keep in mind what is wrong with it."""
        begun = time.monotonic()
        try:
            return self._make_ready(pool, first)
        except (HypervisorUnavailable, Busy):
            raise  # that says nothing of the pool
        except DosvmError as error:
            now = time.monotonic()
            # What is told at once is asked anew: who has just mended it is not told what was.
            if now - begun > intervals.STORAGE_SOON:
                self._failed[pool.uuid] = now, error
            self.say(pool, PoolState(error=json.dumps(error.to_wire(), ensure_ascii=False, default=str)))
            raise

    def ready_all(self, uuids: Collection[str]) -> dict[str, PoolOrder]:
        """As :meth:`ready`, of several pools by UUID; what they are.

        Raises:
            DosvmError: one cannot be used.
        """
        found = self._database.read(lambda session: storage.load_pools(session, uuids)) if uuids else []
        for pool in found:
            self.ready(pool, lately=intervals.STORAGE_LATELY)
        return {pool.uuid: pool for pool in found}

    def look_again(self, pool: PoolOrder) -> None:
        """Let libvirt look which units a pool has by now: storage was changed since it was made active here.

        Raises:
            DosvmError: it does not answer.
        """
        self._pools.refresh(pool.uuid)

    def _lock(self, uuid: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(uuid, threading.Lock())

    def _make_ready(self, pool: PoolOrder, first: bool) -> PoolState:
        if pool.what.files:
            if first:
                self._on_files(pool, lambda: shared.refuse_no_directory(pool))
            self._on_files(pool, lambda: self.own.refuse_place(pool))
        if first and pool.what.files:
            self._refuse_shared(pool)
        self._note(pool)
        if pool.kind == NETFS:
            self._mount(pool)
        elif pool.kind == ISCSI:
            self._log_in(pool)
        else:
            if pool.kind == DOS:
                self._on_files(pool, lambda: shared.check(pool, mark=first))
            elif pool.kind == DISK:
                if first:
                    # Later on guests have written there whatever they like.
                    self._on_files(pool, lambda: blocks.check_disk(pool))
                self._same_disk(pool)
            elif pool.kind == DIR and not first:
                self._same_directory(pool)
            # Made once: what is missing later on is a file system that is not mounted.
            self._ensure(pool, pool_xml(pool), build=pool.kind == DIR and first)
            if pool.kind == DIR and first:
                self._on_files(pool, lambda: shared.check_mark(pool, mark=True))
                self._know(pool, marked=True)
        if pool.kind == NETFS:
            self._proven(pool, first)
        if not pool.what.files:
            space = self._pools.space(pool.uuid)
            return PoolState(size=space.capacity, free=space.available)
        self._on_files(pool, lambda: let_pass(Path(pool.path), self._access))
        return self._on_files(pool, lambda: space_of(pool.path))

    def _refuse_shared(self, pool: PoolOrder) -> None:
        """Refuse a directory that is another pool's here, or a project group's, under another name."""
        mine = self._on_files(pool, lambda: places.place_of(pool.path))
        self._refuse_overlays(pool.path, mine, field="path")
        # Of two that are made at once the younger one is refused.
        for what, name, theirs in self._others(lambda other: other.id < pool.id):
            places.refuse_one(pool.path, mine, name, theirs, what=what)
        if pool.kind == DIR:
            self._on_files(pool, lambda: shared.refuse_marked(pool))

    def refuse_group(self, directory: str) -> None:
        """Refuse a project group's directory that is a pool's here, or an older group's, by a link or a mount.

        Whoever may register and delete images there would read and delete what is others'.

        Raises:
            Refused: it is; whose it is too, the log says.
        """
        try:
            mine = self.touch(directory, lambda: places.place_of(directory))
        except OSError:
            return  # whoever opens a file in it says what is wrong
        self._refuse_overlays(directory, mine, field="group")
        for what, name, theirs in self._others(lambda _other: True, until=directory):
            try:
                places.refuse_one(directory, mine, name, theirs, what=what)
            except Refused as error:
                logger.warning("a project group's directory is not its own %s", fields(reason=error.text()))
                raise Refused(
                    N_("On this host {path} is the directory of others too, by a link or a mount."),
                    remedy=N_("The system administrator gives the project group a directory of its own."),
                    field="group",
                    path=directory,
                ) from error

    def refuse_temporary(self, directory: Path, own: bool = False) -> None:
        """Refuse a directory of temporary files that is something else's here, by whatever name.

        Args:
            directory: which.
            own: it is the one of this host's settings, which may lie among what is DOSVM's own.

        Raises:
            Refused: it is, holds, or lies in what is DOSVM's own, a pool's, or a project group's.
            OSError: it cannot be looked at.
        """
        if not own:
            self.own.refuse_temporary(directory)
        mine = places.place_of(str(directory))
        for what, name, theirs in self._others(lambda _pool: True):
            places.refuse_one(str(directory), mine, name, theirs, what=what)

    def _refuse_overlays(self, path: str, mine: Place, *, field: str) -> None:
        """Refuse a directory in which this host keeps temporary files of VMs: they are no volumes and no images."""
        temporary = self._temporary()
        if temporary is not None and places.holds(mine, temporary):
            raise Refused(
                N_("{path} is, or holds, where this host keeps temporary files of VMs: {other}."),
                remedy=N_("Choose another directory."),
                field=field,
                path=path,
                other=temporary.path,
            )

    def _others(self, wanted: Callable[[PoolOrder], bool], *, until: str = "") -> Iterator[tuple[str, str, Place]]:
        """Where pools of this host and project groups are: ``pool`` or ``group``, its name, its place.

        Args:
            wanted: which pools.
            until: the directory of a group; it and younger ones are left out.
        """
        host_id = self._host_id()
        if host_id is None:
            return

        def read(session: Session) -> tuple[list[PoolOrder], list[tuple[str, str]]]:
            return storage.pools_of_host(session, host_id), storage.group_directories(session)

        pools, groups = self._database.read(read)
        known = [("pool", pool.uuid, pool.name, pool.path) for pool in pools if pool.what.files and wanted(pool)]
        older = itertools.takewhile(lambda group: group[1] != until, groups)
        known += [("group", path, name, path) for name, path in older]
        for what, key, name, path in known:
            try:
                yield what, name, self.touch(key, lambda path=path: places.place_of(path))  # type: ignore[misc]
            except (DosvmError, OSError):
                continue  # it is away: nothing of it is here

    def _on_files(self, pool: PoolOrder, look: Callable[[], T]) -> T:
        try:
            return self.touch(pool.uuid, look)
        except Busy:
            raise  # too much is asked of it, which is nothing that is wrong with it
        except (Stuck, TooSlow) as error:
            raise EngineError(
                N_("The storage of pool {name} does not answer: {path}."),
                remedy=LOOK,
                name=pool.name,
                path=pool.path,
            ) from error
        except OSError as error:
            raise EngineError(
                N_("{path} of storage pool {name} cannot be used: {reason}."),
                remedy=N_("Look at it on the host, then refresh the storage pool."),
                path=pool.path,
                name=pool.name,
                reason=error.strerror or str(error),
            ) from error

    def _mount(self, pool: PoolOrder) -> None:
        """Let libvirt mount a network file system, unless it is."""
        if self._on_files(pool, lambda: netfs.in_place(pool)) and self._pools.is_active(pool.uuid):
            return
        known = self._reached(pool)
        self._on_files(pool, lambda: netfs.check_place(known))
        password = self._secrets.open(pool.secret) if pool.secret is not None else ""
        with netfs.options(known, password, self._notes) as options:
            self._ensure(known, pool_xml(known, options=options), build=True)

    def _log_in(self, pool: PoolOrder) -> None:
        """Log in at a target and let libvirt have it, unless it has."""
        # Asked each time: libvirtd would hold whoever looks at the units of a server that is away, and the pool too.
        known = self._reached(pool)
        iscsi.check(known)
        if iscsi.session_state(known.source) and self._pools.is_active(pool.uuid):
            return
        password = self._secrets.open(pool.secret) if pool.secret is not None else ""
        try:
            self.touch(pool.uuid, lambda: iscsi.log_in(known, password), limit=intervals.LIBVIRT_LONG)
        except EngineError as error:
            raise netfs.explained(pool, error) from error
        self._ensure(known, pool_xml(known))

    def _reached(self, pool: PoolOrder) -> PoolOrder:
        return self.touch(pool.uuid, lambda: netfs.reached(pool), limit=4 * intervals.STORAGE_SERVER)

    def _ensure(self, pool: PoolOrder, xml: str, *, build: bool = False) -> None:
        try:
            self._pools.ensure(pool.uuid, xml, build=build)
        except DosvmError as error:
            raise blocks.explained(pool, netfs.explained(pool, error)) from error

    def _proven(self, pool: PoolOrder, first: bool) -> None:
        """Whether what was mounted is the pool's own and of use here; what is not, is let go of."""

        def look() -> None:
            refuse_home(pool)
            netfs.check_root(pool)
            shared.check_mark(pool, mark=first)
            if first:
                netfs.check_owner(pool, Path(pool.path) / shared.MARK)

        try:
            self._on_files(pool, look)
        except Refused:
            if first:
                self._free(pool)
            self._pools.release(pool.uuid)
            raise

    def say(self, pool: PoolOrder, state: PoolState) -> None:
        """Write how a pool is here."""
        host_id = self._host_id()
        if host_id is None:
            return
        now = self._clock.now()
        try:
            news = self._database.write(lambda s: storage.record_pool(s, pool.id, host_id, state, now))
        except DosvmError as error:
            logger.warning("cannot write how a pool is %s", fields(pool=pool.name, reason=error.text()))
            return
        if news:
            self._bus.changed({"pool"})

    # -- letting go

    def _note(self, pool: PoolOrder) -> None:
        note = self._notes / pool.uuid
        if not note.exists():
            self._notes.mkdir(parents=True, exist_ok=True)
            known: dict[str, Any] = {"kind": pool.kind, "path": pool.path}
            if pool.kind == ISCSI:
                # What this host logged in at, and is to forget the password of.
                known |= {"server": pool.server, "port": pool.port, "source": pool.source}
            note.write_text(json.dumps(known), encoding="utf-8")

    def _known(self, uuid: str) -> dict[str, Any]:
        """What is noted of a pool."""
        known: dict[str, Any] = json.loads((self._notes / uuid).read_text(encoding="utf-8"))
        return known

    def _know(self, pool: PoolOrder, **more: object) -> None:
        """Note more of a pool."""
        known = self._known(pool.uuid)
        if any(known.get(key) != value for key, value in more.items()):
            (self._notes / pool.uuid).write_text(json.dumps({**known, **more}), encoding="utf-8")

    def _same_directory(self, pool: PoolOrder) -> None:
        """Refuse a directory of this host that is not the pool's: nothing is mounted on a mount point, or another one.

        One of a pool that was made before such directories were marked is marked when its volumes are in it.
        """
        if self._known(pool.uuid).get("marked"):
            self._on_files(pool, lambda: shared.check_mark(pool, mark=False))
            return
        known = self._database.read(lambda session: discovery.known(session, pool.id))
        names = [one.name for one in known if one.state in (*discovery.THERE, "missing", "merging")]
        if self._on_files(pool, lambda: shared.adopt(pool, names)):
            self._know(pool, marked=True)

    def _same_disk(self, pool: PoolOrder) -> None:
        """Refuse a disk that has the name of the one that was here first: the kernel numbers disks as they come."""
        now = self._on_files(pool, lambda: blocks.key_of(pool.source))
        known = self._known(pool.uuid)
        if known.setdefault("disk", now) == now:
            self._know(pool, disk=now)
            return
        raise Refused(
            N_("{source} of storage pool {name} is another disk than before: {now} instead of {known}."),
            remedy=N_("Name disks by /dev/disk/by-id: delete the pool and add it under such a name."),
            source=pool.source,
            name=pool.name,
            now=now or "?",
            known=known["disk"] or "?",
        )

    def noted(self) -> set[str]:
        """The UUIDs of the pools that this host may have something of."""
        return {note.name for note in self._notes.iterdir() if is_uuid(note.name)} if self._notes.exists() else set()

    def release(self, uuid: str, *, pool: PoolOrder | None = None, stays: bool = False) -> None:
        """Let go of a pool here; its volumes stay.

        Args:
            uuid: which.
            pool: what it was, when it is being deleted: its storage is given free for others.
            stays: if that cannot be done now, it is a pool as before, and its storage is its own.

        Raises:
            DosvmError: that cannot be done now.
        """
        with self._lock(uuid):
            pool = pool or self._was(uuid)
            freed = pool is not None and pool.kind in (DOS, NETFS, DIR) and self._free(pool)
            try:
                self._pools.release(uuid)
            except DosvmError:
                if pool is not None and freed and stays:
                    self._take_back(pool)
                raise
            self._log_out(uuid)
            (self._notes / uuid).unlink(missing_ok=True)
        self._files.forget(uuid)

    def _was(self, uuid: str) -> PoolOrder | None:
        """What a pool was that is gone, as far as its mark is this host's to take away: none else has its directory."""
        try:
            known = self._known(uuid)
        except FileNotFoundError:
            return None
        return PoolOrder(id=0, uuid=uuid, name=uuid, kind=DIR, path=known["path"]) if known.get("kind") == DIR else None

    def _log_out(self, uuid: str) -> None:
        """Forget the password of a target, if the pool was one."""
        try:
            known = self._known(uuid)
        except FileNotFoundError:
            return
        if known.get("source"):
            pool = PoolOrder(id=0, uuid=uuid, name="", **known)
            self.touch(uuid, lambda: iscsi.forget(pool), limit=intervals.LIBVIRT_LONG)

    def _free(self, pool: PoolOrder) -> bool:
        """Take the mark away; whether there was one."""
        try:
            return self._on_files(pool, lambda: shared.unmark(pool))
        except DosvmError as error:
            # It cannot be reached: whoever makes a pool there again is told of the mark.
            logger.warning("the mark of a pool stays %s", fields(pool=pool.name, reason=error.text()))
            return False

    def _take_back(self, pool: PoolOrder) -> None:
        try:
            self._on_files(pool, lambda: shared.check_mark(pool, mark=True))
        except DosvmError as error:
            # On no host it is used without; deleting it again needs none.
            logger.warning("the mark of a pool is gone %s", fields(pool=pool.name, reason=error.text()))


def space_of(path: str) -> PoolState:
    """What the file system has that a pool's directory is on.

    Raises:
        OSError: it cannot be asked.
    """
    found = os.statvfs(path)
    return PoolState(size=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)
