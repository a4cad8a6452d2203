"""The tasks of storage pools, and their upkeep: libvirt forgets them when the machine is switched off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from core.coordination import storage
from core.coordination.storage import PoolOrder
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DosvmError, HypervisorUnavailable
from core.i18n import N_
from core.libvirt_xml.storage import pool_xml
from hostd import intervals
from hostd.access import let_pass
from hostd.bus import Bus
from hostd.executor import Context, Effect, Handler, Obsolete, done
from hostd.faults import point
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.pools import Pools
from hostd.log import Throttled

logger = logging.getLogger("hostd.pools")

_TOPICS = frozenset({"pool"})


def activate(pools: Pools, pool: PoolOrder, record: Path) -> None:
    """Make a pool usable: active in libvirt, and within reach of QEMU's user.

    Raises:
        DosvmError: it cannot be.
    """
    xml = pool_xml(name=pool.name, uuid=pool.uuid, path=pool.path, vendor=pool.vendor, product=pool.product)
    pools.ensure(pool.uuid, xml)
    let_pass(Path(pool.path), record)


def handlers(database: Database, pools: Pools, state: Path) -> dict[str, Handler]:
    """Task kind -> handler; ``state`` is hostd's own directory."""
    record = state / "access.log"

    def load(task: Claimed) -> PoolOrder:
        pool = database.read(lambda session: storage.load_pool(session, task.target))
        if pool is None:
            raise Obsolete(N_("The storage pool has been deleted."))
        return pool

    def run_activate(task: Claimed, _context: Context) -> Effect:
        pool = load(task)
        point("before_pool")
        activate(pools, pool, record)
        point("after_pool")
        return lambda session: done(storage.record_pool(session, task.target, error=""))

    def activate_failed(task: Claimed, _error: DosvmError) -> Effect:
        try:
            pools.release(task.target)
        except DosvmError as error:
            logger.warning("a pool that failed stays in libvirt: %s", error.text())
        return lambda session: done(storage.remove_pool(session, task.target))

    def release(task: Claimed, _context: Context) -> Effect:
        load(task)
        point("before_pool")
        pools.release(task.target)
        point("after_pool")
        return lambda session: done(storage.remove_pool(session, task.target))

    return {
        "pool.activate": Handler(run_activate, _TOPICS, activate_failed),
        "pool.release": Handler(release, _TOPICS),
    }


class Upkeep:
    """Makes this host's pools active again whenever libvirt does not have them."""

    def __init__(
        self,
        database: Database,
        host_id: Callable[[], int | None],
        connection: Connection,
        pools: Pools,
        bus: Bus,
        state: Path,
    ) -> None:
        """``state`` is hostd's own directory."""
        self._database = database
        self._host_id = host_id
        self._connection = connection
        self._pools = pools
        self._bus = bus
        self._record = state / "access.log"
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

    def look(self) -> None:
        """Compare once, and act."""
        host_id = self._host_id()
        if host_id is None or not self._connection.up:
            return
        wanted = self._database.read(lambda session: storage.pools_of_host(session, host_id))
        if not wanted:
            return
        active = self._pools.active()
        for pool in wanted:
            problem = "" if pool.uuid in active else self._activate(pool)
            if problem is not None and problem != pool.error:
                self._write(pool.uuid, problem)

    def _activate(self, pool: PoolOrder) -> str | None:
        """Make it active; what is wrong with it, or None when that cannot be said now."""
        try:
            activate(self._pools, pool, self._record)
        except HypervisorUnavailable:
            return None
        except DosvmError as error:
            self._throttled.warning(pool.uuid, "a pool cannot be made active", pool=pool.name, reason=error.text())
            return error.text()
        if self._database.read(lambda session: storage.load_pool(session, pool.uuid)) is None:
            # It was released between looking and acting: libvirt shall not keep what nobody knows.
            self._pools.release(pool.uuid)
            return None
        logger.info("pool active again: %s", pool.name)
        return ""

    def _write(self, uuid: str, problem: str) -> None:
        def work(session: Session) -> None:
            storage.record_pool(session, uuid, error=problem)

        self._database.write(work)
        self._bus.changed({"pool"})
