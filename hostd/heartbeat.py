"""Registers this host, says every few seconds that it lives, and looks who else does.

It goes on trying for as long as hostd runs: the database may come later, and may go.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from core.clock import Clock
from core.coordination import hosts
from core.database import Database
from core.errors import DosvmError
from hostd import intervals
from hostd.bus import Bus
from hostd.cloud import LivingCloud
from hostd.hypervisor.probe import Accelerator
from hostd.hypervisor.versions import Versions
from hostd.log import Throttled, fields
from hostd.metrics.collector import Collector
from hostd.metrics.host import facts
from hostd.runs import Runs
from hostd.settings import Settings

logger = logging.getLogger("hostd.heartbeat")


class Heartbeat:
    """This host's row in the database."""

    def __init__(
        self,
        settings: Settings,
        boot: str,
        database: Database,
        clock: Clock,
        collector: Collector,
        cloud: LivingCloud,
        bus: Bus,
        runs: Runs,
        *,
        listens: bool,
    ) -> None:
        """``boot`` identifies this run of hostd; ``listens`` says whether it is on the network."""
        self._settings = settings
        self._boot = boot
        self._database = database
        self._clock = clock
        self._collector = collector
        self._cloud = cloud
        self._bus = bus
        self._runs = runs
        self._listens = listens
        self._host_id: int | None = None
        self._registered = threading.Event()
        self._on_registered: list[Callable[[], None]] = []
        self._closing = threading.Event()
        self._hypervisor: Callable[[], hosts.Hypervisor] | None = None
        self._written: hosts.Hypervisor | None = None
        self._history_due = 0.0
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def hypervisor(self, look: Callable[[], hosts.Hypervisor]) -> None:
        """Where to ask what libvirt and QEMU of this host are; must answer at once."""
        self._hypervisor = look

    def on_registered(self, hook: Callable[[], None]) -> None:
        """Call ``hook()`` when this host has found its row; it must return at once."""
        self._on_registered.append(hook)

    @property
    def host_id(self) -> int | None:
        """This host's id in the database, None until it is registered."""
        return self._host_id

    def wait(self, seconds: float) -> int | None:
        """Wait until the host is registered; its id, or None when it still is not."""
        self._registered.wait(seconds)
        return self._host_id

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            begin = time.monotonic()
            try:
                self._once()
                self._throttled.clear("database")
            except DosvmError as error:
                self._throttled.warning("database", "heartbeat not written", reason=error.text())
            except Exception:
                logger.exception("heartbeat failed")
            self._closing.wait(max(0.05, intervals.HEARTBEAT - (time.monotonic() - begin)))

    def _once(self) -> None:
        if self._host_id is None:
            self._register()
        host_id = self._host_id
        if host_id is None:
            return
        load, proof = self._load(), self._runs.proof()
        if not self._database.write(lambda session: hosts.beat(session, host_id, load, proof)):
            logger.warning("this host was deleted from the database; it registers again")
            self._host_id = None
            self._registered.clear()
            return
        self._write_hypervisor(host_id)
        if time.monotonic() >= self._history_due:
            self._history_due = time.monotonic() + intervals.HOST_HISTORY
            now = self._clock.now()
            since = now - timedelta(seconds=intervals.HOST_HISTORY_KEEP)
            self._database.write(lambda session: hosts.add_sample(session, host_id, now, load, keep_since=since))
        if self._cloud.saw(self._database.read(hosts.all_hosts)):
            self._bus.changed({"host"})

    def _register(self) -> None:
        # What the last heartbeat proves of runs that ended meanwhile must be read before the next one.
        self._runs.take_stock()
        seen = facts()
        registration = hosts.Registration(
            address=self._settings.address if self._listens else "",
            port=self._settings.port if self._listens else 0,
            boot=self._boot,
            cores=seen.cores,
            memory=seen.memory,
            cpu_model=seen.cpu_model,
            architecture=seen.architecture,
            kernel=seen.kernel,
            kernel_boot=self._runs.boot,
            clock_ms=self._runs.proof(),
        )
        self._host_id = self._database.write(
            lambda session: hosts.register(session, self._settings.host_uuid, self._settings.host_name, registration)
        )
        self._written = None
        self._history_due = time.monotonic() + intervals.HOST_HISTORY
        self._registered.set()
        for hook in self._on_registered:
            hook()
        logger.info("registered %s", fields(host=self._settings.host_name, uuid=self._settings.host_uuid))
        self._bus.changed({"host"})

    def _load(self) -> hosts.Load:
        load = self._collector.host_load()
        if load is None:
            return hosts.Load(0.0, 0.0, 0.0, 0.0)
        return hosts.Load(load.cpu_percent, load.memory_percent, load.disk_percent, load.network_rate)

    def _write_hypervisor(self, host_id: int) -> None:
        found = self._hypervisor() if self._hypervisor else None
        if found is not None and found != self._written:
            self._database.write(lambda session: hosts.record_hypervisor(session, host_id, found))
            self._written = found
            self._bus.changed({"host"})


def describe(accelerator: Accelerator | None, versions: Versions, error: str) -> hosts.Hypervisor:
    """What the host's row says of libvirt and QEMU."""
    return hosts.Hypervisor(
        accelerator=accelerator.kind if accelerator else "",
        accelerator_reason=accelerator.reason if accelerator else "",
        libvirt_version=versions.libvirt,
        qemu_version=versions.qemu,
        hypervisor_error=error,
    )
