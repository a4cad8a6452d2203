"""Keeps what runs on this host as it was asked to be, and the database as it is.

It wakes at libvirt's events, and every few seconds besides. A VM that is on and does not run is started;
one that is off and runs is stopped; a run that the database places elsewhere, under a newer placement, is
ended. It never acts on a VM that has a task, and never without the database: what cannot be confirmed
is left alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination import states, tasks
from core.coordination.states import MachineState
from core.database import Database
from core.errors import DosvmError
from core.model import Power, State
from hostd import intervals
from hostd.backoff import Backoff
from hostd.bus import Bus
from hostd.halts import goes_on
from hostd.handling import Effect, Interrupted, Obsolete, Record, done
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.domains import Domain, Domains
from hostd.hypervisor.events import Event, Events
from hostd.log import Throttled, fields
from hostd.machines import Machines
from hostd.metrics.collector import Collector
from hostd.processes import boot_clock_ms
from hostd.runs import Runs
from hostd.runtime import Runtime
from hostd.targets import Targets

logger = logging.getLogger("hostd.reconciler")


class Reconciler:
    """Compares and acts."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        host_id: Callable[[], int | None],
        connection: Connection,
        domains: Domains,
        events: Events,
        machines: Machines,
        collector: Collector,
        runs: Runs,
        targets: Targets,
        bus: Bus,
        runtime: Runtime,
        *,
        threads: int,
    ) -> None:
        """``threads`` is how many VMs are started or stopped at the same time; ``runtime`` has the round's length."""
        self._database = database
        self._clock = clock
        self._host_id = host_id
        self._connection = connection
        self._domains = domains
        self._machines = machines
        self._collector = collector
        self._runs = runs
        self._targets = targets
        self._bus = bus
        self._runtime = runtime
        self._backoff = Backoff(clock)
        self._halted = Backoff(clock, shortest=intervals.RESUME_MIN)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reconcile")
        self._guard = threading.Lock()
        self._dirty: set[str] = set()
        self._missed: set[str] = set()
        self._recorded: dict[str, tuple[float, Record]] = {}
        self._later: dict[str, float] = {}
        self._submitted: set[str] = set()
        self._everything = True
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        events.listen(self._heard)
        targets.on_release(self._released)
        runtime.on_change(self.look_at_everything)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what is being done is done to its end."""
        self._closing.set()
        self._wake.set()
        self._thread.join(2.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def look(self, uuid: str) -> None:
        """Look at a VM soon."""
        with self._guard:
            self._dirty.add(uuid)
        self._wake.set()

    def look_at_everything(self) -> None:
        """Look at all VMs soon."""
        self._everything = True
        self._wake.set()

    def recorded(self, record: Record) -> None:
        """A task wrote this of its VM at its end: the news that its own work made need not be compared once more."""
        with self._guard:
            self._recorded[record.uuid] = (self._clock.monotonic(), record)

    def _is_recorded(self, uuid: str, domain: Domain | None) -> bool:
        """Whether a task has just written what libvirt says; asked once."""
        with self._guard:
            at, record = self._recorded.pop(uuid, (0.0, None))
        if record is None or self._clock.monotonic() - at > intervals.JUST_WRITTEN:
            return False
        if domain is None:
            return record.values.get("state") == State.OFF.value
        said = (record.epoch, record.values.get("state"), bool(record.values.get("halt_error")))
        return (domain.epoch, domain.state, domain.refused) == said

    def _released(self, uuid: str) -> None:
        # Only what there was news of while it was worked on: looking at all would go round in circles.
        with self._guard:
            missed = uuid in self._missed
            self._missed.discard(uuid)
        if missed:
            self.look(uuid)

    def _heard(self, event: Event) -> None:
        if event.kind == "device":
            self._collector.changed(event.uuid)
        if event.uuid:
            self.look(event.uuid)
        else:
            self.look_at_everything()

    def _run(self) -> None:
        due = self._clock.monotonic()
        while not self._closing.is_set():
            now = self._clock.monotonic()
            self._wake.wait(max(0.0, min([due, *self._later.values()]) - now))
            self._wake.clear()
            if self._closing.is_set():
                return
            now = self._clock.monotonic()
            if now >= due:
                self._everything = True
            with self._guard:
                dirty, self._dirty = self._dirty, set()
            ripe = {uuid for uuid, at in self._later.items() if at <= now}
            dirty |= ripe
            for uuid in ripe:
                del self._later[uuid]
            everything, self._everything = self._everything, False
            if not everything:
                dirty = {uuid for uuid in dirty if not self._left_for_later(uuid)}
            if everything:
                due = self._clock.monotonic() + self._runtime.now.scheduling_interval
            begin = time.monotonic()
            try:
                self._compare(None if everything else dirty)
                self._throttled.clear("compare")
            except DosvmError as error:
                due = min(due, self._clock.monotonic() + intervals.TRY_AGAIN)
                self._throttled.warning("compare", "cannot compare", reason=error.text())
            except Exception:
                logger.exception("comparing failed")
            self._closing.wait(intervals.rest_after(begin))

    def _left_for_later(self, uuid: str) -> bool:
        """Whether somebody works on a VM right now: what that work brings about needs no look, its end does."""
        if not self._targets.doing(uuid):
            return False
        with self._guard:
            self._missed.add(uuid)
        if not self._targets.doing(uuid):
            self._released(uuid)  # it ended just then, before it could know
        return True

    def _compare(self, only: set[str] | None) -> None:
        """Compare some VMs, or all when ``only`` is None."""
        host_id = self._host_id()
        if host_id is None or not self._connection.up or only == set():
            return
        asked = boot_clock_ms()
        ours = {domain.uuid: domain for domain in self._domains.all() if domain.epoch is not None}
        self._collector.running(ours)
        self._runs.running(ours, asked)
        if only is not None:
            only = {uuid for uuid in only if not self._is_recorded(uuid, ours.get(uuid))}
            if not only:
                return
        else:
            with self._guard:
                self._recorded.clear()
        looked_at = set(ours) if only is None else only

        def read(session: Session) -> tuple[dict[str, MachineState], set[str]]:
            if only is None:
                rows = {row.uuid: row for row in states.of_host(session, host_id)}
                rows |= states.of_uuids(session, looked_at - set(rows))
            else:
                rows = states.of_uuids(session, looked_at)
            interesting = [u for u, row in rows.items() if _differs(row, ours.get(u), host_id)]
            return rows, tasks.targets_with_tasks(session, interesting)

        rows, with_tasks = self._database.read(read)
        busy = with_tasks | self._targets.busy()
        for uuid in looked_at | set(rows):
            row, domain = rows.get(uuid), ours.get(uuid)
            if row is None:
                if domain is not None:
                    self._throttled.warning(
                        uuid, "a VM runs that the database does not know", vm=uuid, name=domain.name
                    )
            elif uuid not in busy:
                self._consider(row, domain, host_id)
            elif only is not None:
                with self._guard:
                    self._missed.add(uuid)

    def _consider(self, row: MachineState, domain: Domain | None, host_id: int) -> None:
        if row.host_id != host_id:
            if domain is not None:
                self._stray(row, domain)
            return
        current = domain is not None and domain.epoch == row.epoch
        if row.power == Power.ON.value and not current:
            if row.start_error and not self._backoff.knows(row.uuid):
                # Somebody was told a moment ago that it does not start.
                self._backoff.tried(row.uuid)
            if self._backoff.due(row.uuid):
                self._submit(row.uuid, "start", self._start)
                return
            self._later[row.uuid] = self._clock.monotonic() + self._backoff.pause(row.uuid)
            if domain is None and row.state not in (State.OFF.value, State.FAILED.value, State.STARTING.value):
                self._submit(row.uuid, "observe", self._observe)
            return
        if row.power == Power.ON.value:
            self._backoff.works(row.uuid)
            if domain is not None and domain.refused and goes_on(row.halt_error):
                self._resume_in_time(row.uuid)
                return
            self._halted.works(row.uuid)
        else:
            self._backoff.forget(row.uuid)
            self._halted.forget(row.uuid)
            if domain is not None:
                self._submit(row.uuid, "stop", self._stop)
                return
        if _stale(row, domain):
            self._submit(row.uuid, "observe", self._observe)

    def _resume_in_time(self, uuid: str) -> None:
        """Resume a VM that storage made stand still, after a pause that grows while it does so again."""
        if not self._halted.knows(uuid):
            self._halted.tried(uuid)
        if self._halted.due(uuid):
            self._halted.tried(uuid)
            self._submit(uuid, "resume", self._resume)
        self._later[uuid] = self._clock.monotonic() + self._halted.pause(uuid)

    def _stray(self, row: MachineState, domain: Domain) -> None:
        """A VM runs here that the database places elsewhere, or nowhere."""
        if domain.epoch is None:
            return
        # One of the next placement stands still: a migration that was given up left its copy here.
        left = domain.epoch == row.epoch + 1 and domain.state == State.PAUSED.value
        if row.epoch > domain.epoch or left:
            logger.warning(
                "ending a VM that was placed elsewhere %s",
                fields(vm=row.name, uuid=row.uuid, epoch=domain.epoch, newer=row.epoch),
            )
            self._submit(row.uuid, "end", self._end)
        else:
            self._throttled.warning(row.uuid, "a VM runs here that is placed elsewhere", vm=row.name, uuid=row.uuid)

    def _submit(self, uuid: str, what: str, work: Callable[[str], None]) -> None:
        with self._guard:
            if uuid in self._submitted:
                # What is being done may have looked before the news came: look once more after it.
                self._missed.add(uuid)
                return
            self._submitted.add(uuid)
        self._pool.submit(self._work, uuid, what, work)

    def _work(self, uuid: str, what: str, work: Callable[[str], None]) -> None:
        try:
            if not self._targets.take(uuid, what):
                with self._guard:
                    self._missed.add(uuid)  # its release will have it looked at again
                return
            try:
                if not self._has_task(uuid):
                    work(uuid)
            finally:
                self._targets.release(uuid)
        except Interrupted:
            return
        except DosvmError as error:
            self._throttled.warning(f"{what} {uuid}", f"cannot {what}", vm=uuid, reason=error.text())
        except Exception:
            logger.exception("reconciling failed %s", fields(vm=uuid, what=what))
        finally:
            with self._guard:
                self._submitted.discard(uuid)
                missed = uuid in self._missed
            # News that came while this ended, after its release: if somebody else is at work, its release tells.
            if missed and not self._targets.doing(uuid):
                self._released(uuid)

    def _has_task(self, uuid: str) -> bool:
        """Whether a task came meanwhile; looked at while the target is held, so that none can begin now."""
        return bool(self._database.read(lambda session: tasks.targets_with_tasks(session, [uuid])))

    def _write(self, effect: Effect, topics: Iterable[str] = ("vm",)) -> None:
        self._database.write(effect)
        self._bus.changed(topics)

    def _start(self, uuid: str) -> None:
        row, host_id = self._row(uuid), self._host_id()
        if row is None or host_id is None:
            return
        if not self._database.write(lambda session: states.begin_start(session, uuid, host_id, row.epoch)):
            return
        pause = self._backoff.tried(uuid)
        logger.info("starting a VM that should run %s", fields(vm=uuid))
        try:
            effect = self._machines.start(uuid, row.epoch, self._closing)
        except Obsolete:
            return
        except Interrupted:
            raise
        except DosvmError as error:
            self._throttled.warning(f"start {uuid}", "a VM does not start", vm=uuid, pause=pause, reason=error.text())
            self._write(self._machines.start_failed(uuid, row.epoch, error))
            return
        self._throttled.clear(f"start {uuid}")
        self._write(effect, ("vm", "host"))

    def _stop(self, uuid: str) -> None:
        logger.info("stopping a VM that should be off %s", fields(vm=uuid))
        try:
            self._write(self._machines.stop(uuid, force=False, closing=self._closing), ("vm", "host"))
        except Obsolete:
            return

    def _resume(self, uuid: str) -> None:
        try:
            effect = self._machines.go_on(uuid)
        except Obsolete:
            return
        logger.info("a VM goes on that storage had made stand still %s", fields(vm=uuid))
        self._write(effect)

    def _end(self, uuid: str) -> None:
        self._machines.stop(uuid, force=True, closing=self._closing)

    def _observe(self, uuid: str) -> None:
        """Write what libvirt says now, if it differs from what the database says."""
        row, domain = self._row(uuid), self._domains.find(uuid)
        host_id = self._host_id()
        if row is None or host_id is None or row.host_id != host_id:
            return
        if domain is not None and domain.epoch != row.epoch:
            return
        certain = domain is not None or self._machines.certain(uuid, self._closing)
        now = self._machines.observe(uuid, domain, row)
        values: dict[str, Any] = {key: value for key, value in now.items() if getattr(row, key) != value}
        if domain is None and row.power == Power.ON.value and row.start_error:
            values.pop("state", None)
            if certain and row.state == State.UNKNOWN.value:
                values["state"] = State.FAILED.value  # by now it is
        if values:
            shown = {key: value for key, value in values.items() if key in ("state", "halt_error") and value}
            logger.info("state %s", fields(vm=row.name, **shown))
            self._write(lambda session: done(states.record(session, uuid, host_id, row.epoch, values)))

    def _row(self, uuid: str) -> MachineState | None:
        return self._database.read(lambda session: states.of_uuids(session, [uuid])).get(uuid)


def _stale(row: MachineState, domain: Domain | None) -> bool:
    """Whether the database says something else than libvirt."""
    if domain is None:
        return row.state != State.OFF.value
    # Ports are chosen before a domain is first seen, so an unchanged state with an unknown accelerator is new.
    if row.state != domain.state or bool(row.halt_error) != domain.refused:
        return True
    return not row.accelerator or bool(row.start_error) or row.started is None


def _differs(row: MachineState, domain: Domain | None, host_id: int) -> bool:
    """Whether anything might have to be done about a machine."""
    if row.host_id != host_id:
        return domain is not None
    on = row.power == Power.ON.value
    current = domain is not None and domain.epoch == row.epoch
    return on != current or _stale(row, domain)
