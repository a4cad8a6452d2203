"""The tasks of storage pools, and their upkeep: libvirt forgets them when the machine is switched off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy.orm import Session

from core.coordination import storage, tasks
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DosvmError, HypervisorUnavailable
from core.i18n import N_
from core.specs.pool import PoolOrder
from hostd import intervals
from hostd.allocations import Allocations
from hostd.faults import point
from hostd.handling import Context, Effect, Handler, Obsolete, done
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.pools import Pools
from hostd.log import Throttled
from hostd.pools import Keeper

logger = logging.getLogger("hostd.pools")

_TOPICS = frozenset({"pool"})


def handlers(database: Database, keeper: Keeper) -> dict[str, Handler]:
    """Task kind -> handler."""

    def load(task: Claimed) -> PoolOrder:
        pool = database.read(lambda session: storage.load_pool(session, task.target))
        if pool is None:
            raise Obsolete(N_("The storage pool has been deleted."))
        return pool

    def run_activate(task: Claimed, _context: Context) -> Effect | None:
        pool = load(task)
        point("before_pool")
        keeper.ready(pool, first=True)
        point("after_pool")
        return None

    def activate_failed(task: Claimed, _error: DosvmError) -> Effect:
        pool = database.read(lambda session: storage.load_pool(session, task.target))
        try:
            keeper.release(task.target, pool=pool)
        except DosvmError as error:
            # Its note stays: it is tried again as for any pool that is gone.
            logger.warning("a pool that failed stays in libvirt: %s", error.text())
        return lambda session: done(storage.remove_pool(session, task.target))

    def release(task: Claimed, _context: Context) -> Effect:
        pool = load(task)
        point("before_pool")
        keeper.release(pool.uuid, pool=pool, stays=True)
        point("after_pool")
        return lambda session: done(storage.remove_pool(session, task.target))

    return {
        "pool.activate": Handler(run_activate, _TOPICS, activate_failed, storage=True),
        "pool.release": Handler(release, _TOPICS, storage=True),
    }


class Upkeep:
    """Keeps the pools that this host has active, and lets go of those that are gone."""

    def __init__(
        self,
        database: Database,
        host_id: Callable[[], int | None],
        connection: Connection,
        pools: Pools,
        keeper: Keeper,
        allocations: Allocations | None = None,
    ) -> None:
        """``allocations`` measures now and then what volumes of a pool that is ready take."""
        self._allocations = allocations
        self._database = database
        self._host_id = host_id
        self._connection = connection
        self._pools = pools
        self._keeper = keeper
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="pools", daemon=True)
        connection.on_change(lambda up: self._wake.set() if up else None)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._wake.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            # Until the host is registered and libvirtd answers there is nothing to compare.
            ready = self._host_id() is not None and self._connection.up
            self._wake.wait(intervals.POOLS if ready else 0.5)
            self._wake.clear()
            if self._closing.is_set():
                return
            try:
                self.look()
                self._throttled.clear("pools")
            except DosvmError as error:
                self._throttled.warning("pools", "cannot look at the pools", reason=error.text())
            except Exception:
                logger.exception("looking at the pools failed")

    def heard(self, topics: frozenset[str], heard: bool) -> None:
        """There are news; what another host deleted (``heard``) is let go of here."""
        if heard and "pool" in topics:
            self._wake.set()

    def written(self, pool: str) -> None:
        """A VM with a volume in a pool (its UUID) has ended: what it takes is measured the next time."""
        if self._allocations is not None:
            self._allocations.written(pool)

    def look(self) -> None:
        """Compare once, and act."""
        host_id = self._host_id()
        if host_id is None or not self._connection.up:
            return
        noted = self._keeper.noted()

        def read(session: Session) -> tuple[list[PoolOrder], set[str], set[str]]:
            wanted = storage.pools_of_host(session, host_id)
            unmade = tasks.targets_with_tasks(session, [pool.uuid for pool in wanted], kind="pool.activate")
            return wanted, unmade, storage.unknown_pools(session, noted)

        wanted, unmade, gone = self._database.read(read)
        for uuid in gone:
            self._release(uuid)
        for pool in wanted:
            # Who makes it marks its storage; until then it is nobody's.
            if pool.uuid not in unmade:
                self._activate(pool)

    def _release(self, uuid: str) -> None:
        try:
            self._keeper.release(uuid)
            logger.info("let go of a pool that is gone: %s", uuid)
        except DosvmError as error:
            self._throttled.warning(uuid, "cannot let go of a pool", pool=uuid, reason=error.text())

    def _activate(self, pool: PoolOrder) -> None:
        try:
            was_active = self._pools.is_active(pool.uuid)
            self._keeper.ready(pool)
            if self._allocations is not None:
                self._allocations.look(pool)
        except HypervisorUnavailable:
            return
        except OSError as error:
            self._throttled.warning(pool.uuid, "a pool cannot be measured", pool=pool.name, reason=error.strerror)
            return
        except DosvmError as error:
            self._throttled.warning(pool.uuid, "a pool cannot be made active", pool=pool.name, reason=error.text())
            return
        self._throttled.clear(pool.uuid)
        if was_active:
            return
        if self._database.read(lambda session: storage.load_pool(session, pool.uuid)) is None:
            # It was released between looking and acting: libvirt shall not keep what nobody knows.
            self._keeper.release(pool.uuid)
        else:
            logger.info("pool active again: %s", pool.name)
