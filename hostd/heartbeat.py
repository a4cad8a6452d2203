"""Registers this host, says every few seconds that it lives, looks who else does, and what the parameters are.

It goes on trying for as long as hostd runs: the database may come later, and may go. An interval that was changed is
announced before it is lived by: with its row a host says how often it beats, and others judge it by that. So a slower
heart is expected before it slows, and a faster one is not until it is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination import hosts
from core.database import Database
from core.errors import DosvmError, Refused
from core.migrations.state import check_schema
from core.rules.parameters import Parameters
from hostd import intervals
from hostd.bus import Bus
from hostd.cloud import LivingCloud
from hostd.hypervisor.probe import Accelerator
from hostd.hypervisor.versions import Versions
from hostd.identity import Identity
from hostd.log import Throttled, fields
from hostd.metrics.collector import Collector
from hostd.metrics.host import HostLoad, facts
from hostd.runs import Runs
from hostd.runtime import Runtime
from hostd.settings import Settings
from hostd.settler import Settler

logger = logging.getLogger("hostd.heartbeat")


class Heartbeat:
    """This host's row in the database."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        database: Database,
        clock: Clock,
        collector: Collector,
        cloud: LivingCloud,
        bus: Bus,
        runs: Runs,
        runtime: Runtime,
        settler: Settler,
    ) -> None:
        """``identity`` tells this run of hostd from others; ``settler`` knows where it listens."""
        self._settings = settings
        self._identity = identity
        self._database = database
        self._clock = clock
        self._collector = collector
        self._cloud = cloud
        self._bus = bus
        self._runs = runs
        self._runtime = runtime
        self._settler = settler
        self._host_id: int | None = None
        self._registered = threading.Event()
        self._on_registered: list[Callable[[], None]] = []
        self._refused: Callable[[DosvmError], None] = lambda _error: None
        self._away = False
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._hypervisor: Callable[[], hosts.Hypervisor] | None = None
        self._written: dict[type, hosts.Hypervisor | hosts.Settled] = {}
        self._announced = runtime.now.heartbeat_interval
        self._beat_due = 0.0
        self._kept_at = 0.0
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def hypervisor(self, look: Callable[[], hosts.Hypervisor]) -> None:
        """Where to ask what libvirt and QEMU of this host are; must answer at once."""
        self._hypervisor = look

    def on_registered(self, hook: Callable[[], None]) -> None:
        """Call ``hook()`` when this host has found its row; it must return at once."""
        self._on_registered.append(hook)

    def on_refused(self, hook: Callable[[DosvmError], None]) -> None:
        """Call ``hook(error)`` when this hostd must not go on: it is not the one who is this host, or too old."""
        self._refused = hook

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
        self._wake.set()
        self._thread.join(2.0)

    def soon(self) -> None:
        """Beat and look around now: there is news of the parameters, or of how this host lives by them."""
        self._beat_due = 0.0
        self._wake.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            begin = time.monotonic()
            # Slower only once it was announced, faster at once.
            interval = min(self._announced, self._runtime.now.heartbeat_interval)
            try:
                if begin >= self._beat_due:
                    self._beat_due = begin + min(interval, intervals.TRY_AGAIN)
                    if self._beat():
                        self._beat_due = begin + interval
                    else:
                        self._beat_due = 0.0
                self._keep()
                self._throttled.clear("database")
            except (hosts.Taken, Refused) as error:
                self._host_id = None
                self._refused(error)
                return
            except DosvmError as error:
                self._away = True
                self._throttled.warning("database", "heartbeat not written", reason=error.text())
            except Exception:
                logger.exception("heartbeat failed")
            due = min(self._beat_due, self._history_due) if self._host_id is not None else self._beat_due
            self._wake.wait(max(0.05, due - time.monotonic()))

    def _beat(self) -> bool:
        """Say that this host lives, and look around; False when there is something new to be said at once."""
        if self._away:
            # Whoever upgraded the database meanwhile saw no heartbeat of this host.
            check_schema(self._database)
            self._away = False
        if self._host_id is None:
            self._register()
        host_id = self._host_id
        if host_id is None:
            return True
        lives_by, load, proof = self._runtime.now, self._load(), self._runs.proof()
        boot = self._identity.boot

        def work(session: Session) -> tuple[list[hosts.HostRow], Parameters] | None:
            # Last of all, right before the commit: who dies in between leaves its own row locked for its next run.
            seen = hosts.look_around(session, lives_by)
            return seen if hosts.beat(session, host_id, boot, load, lives_by, proof) else None

        around = self._database.write(work)
        if around is None:
            other = self._holder()
            if other is not None and other.boot != boot:
                raise hosts.Taken(other)
            logger.warning("this host was deleted from the database; it registers again")
            self._host_id = None
            self._registered.clear()
            return True
        self._announced = lives_by.heartbeat_interval
        news = False
        if self._hypervisor is not None:
            news = self._record(host_id, self._hypervisor())
        news |= self._record(host_id, self._settler.settled)
        if news:
            # What this host has just told of itself is seen as well.
            around = self._database.read(lambda session: hosts.look_around(session, lives_by))
        rows, parameters = around
        if self._cloud.saw(rows):
            self._bus.changed({"host"})
        return not self._runtime.take(parameters)

    @property
    def _history_due(self) -> float:
        return self._kept_at + self._runtime.now.host_history_interval

    def _keep(self) -> None:
        """Write a row of the host's history when it is time."""
        host_id = self._host_id
        if host_id is None or time.monotonic() < self._history_due:
            return
        pause = time.monotonic() - self._kept_at
        self._kept_at = time.monotonic()
        now, load = self._clock.now(), self._collector.mean_load(pause)
        if load is None:
            return
        since = now - timedelta(days=self._runtime.now.host_history_days)
        self._database.write(lambda session: hosts.add_sample(session, host_id, now, _written(load), keep_since=since))

    def _holder(self) -> hosts.Holder | None:
        return self._database.read(lambda session: hosts.holder(session, self._settings.host_uuid))

    def _may_follow(self) -> Callable[[hosts.Holder], bool]:
        """Find out from whom this host's row may be taken.

        A run that was in this place before has ended. Anybody else may be another machine with a copy of the
        settings: it is watched for as many beats as others may miss, if these do not come too seldom to be waited for.

        Raises:
            Taken: it lives.
        """
        earlier = self._identity.earlier()
        first = self._holder()
        if first is None or first.boot in earlier:
            return lambda holder: holder.boot in earlier
        logger.info("looking whether another hostd works as this host %s", fields(name=first.name))
        missed = self._runtime.now.missed_heartbeats
        give_up = time.monotonic() + min(first.interval * (missed + 1), intervals.WATCH_MOST)
        while time.monotonic() < give_up and not self._closing.wait(0.5):
            now = self._holder()
            if now is not None and now != first:
                raise hosts.Taken(now)
        return lambda holder: holder == first

    def _register(self) -> None:
        may_follow = self._may_follow()
        self._identity.remember()
        if self._closing.is_set():
            return
        # What the last heartbeat proves of runs that ended meanwhile must be read before the next one.
        self._runs.take_stock()
        seen = facts()
        registration = hosts.Registration(
            address=self._settings.address if self._settler.settled.port else "",
            port=self._settler.settled.port,
            boot=self._identity.boot,
            cores=seen.cores,
            memory=seen.memory,
            cpu_model=seen.cpu_model,
            architecture=seen.architecture,
            kernel=seen.kernel,
            kernel_boot=self._runs.boot,
            clock_ms=self._runs.proof(),
        )
        self._host_id = self._database.write(
            lambda session: hosts.register(
                session, self._settings.host_uuid, self._settings.host_name, registration, may_follow
            )
        )
        self._written = {}
        self._kept_at = time.monotonic()
        self._registered.set()
        for hook in self._on_registered:
            hook()
        logger.info("registered %s", fields(host=self._settings.host_name, uuid=self._settings.host_uuid))
        self._bus.changed({"host"})

    def _load(self) -> hosts.Load:
        load = self._collector.host_load()
        return _written(load) if load is not None else hosts.Load(0.0, 0.0, 0.0, 0.0)

    def _record(self, host_id: int, found: hosts.Hypervisor | hosts.Settled) -> bool:
        """Write what was found out about this host, when it is not written already; whether it was."""
        if found == self._written.get(type(found)):
            return False
        self._database.write(lambda session: hosts.record(session, host_id, found))
        self._written[type(found)] = found
        self._bus.changed({"host"})
        return True


def _written(load: HostLoad) -> hosts.Load:
    return hosts.Load(load.cpu_percent, load.memory_percent, load.disk_percent, load.network_rate)


def describe(accelerator: Accelerator | None, versions: Versions, error: str, migration_url: str) -> hosts.Hypervisor:
    """What the host's row says of libvirt and QEMU."""
    return hosts.Hypervisor(
        accelerator=accelerator.kind if accelerator else "",
        accelerator_reason=accelerator.reason if accelerator else "",
        libvirt_version=versions.libvirt,
        qemu_version=versions.qemu,
        hypervisor_error=error,
        migration_url=migration_url,
    )
