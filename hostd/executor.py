"""Works on the tasks of this host: looks for them, claims them, and has each carried out, one at a time per target.

How many run at once says :mod:`hostd.seats`; what is done with each, :mod:`hostd.carrying`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

from core.clock import Clock
from core.coordination import tasks
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError
from hostd import intervals
from hostd.bus import Bus
from hostd.carrying import Carrier
from hostd.faults import point
from hostd.handling import Handler, Interrupted, Record
from hostd.log import Throttled, fields
from hostd.runtime import Runtime
from hostd.seats import ASIDE, Seats
from hostd.targets import Targets

logger = logging.getLogger("hostd.executor")

#: Seconds for which a commit that nobody heard of may still come to light, when the network or the engine hung.
_DOUBT = 300.0


class Executor:
    """Runs tasks, many at once, one at a time per target."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        boot: str,
        host_id: Callable[[], int | None],
        handlers: Mapping[str, Handler],
        targets: Targets,
        bus: Bus,
        runtime: Runtime,
        *,
        threads: int,
        libvirt_back: Callable[[float], bool],
        ended: Callable[[str], None],
        resumed: Callable[[], None] = lambda: None,
        entering: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Prepare.

        Args:
            database: where the tasks are.
            clock: the time.
            boot: this run of hostd.
            host_id: this host's id, None while it is not registered.
            handlers: task kind -> handler.
            targets: who works on what.
            bus: told when tasks change.
            runtime: how often tasks are looked for without a doorbell, and how long ended ones are kept.
            threads: how many tasks run at the same time.
            libvirt_back: waits so many seconds for libvirtd; whether it answers.
            ended: called with the origin (a host's UUID) of each ended task.
            resumed: called once, when it has looked what an earlier run left in the middle.
            entering: held while many tasks are being entered.
        """
        self._database = database
        self._clock = clock
        self._boot = boot
        self._host_id = host_id
        self._handlers = handlers
        self._targets = targets
        self._bus = bus
        self._runtime = runtime
        self._when_resumed = resumed
        self._entering = entering
        self._pool = ThreadPoolExecutor(threads + ASIDE, thread_name_prefix="task")
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._guard = threading.Lock()
        self._seats = Seats(threads, handlers)
        self._carrier = Carrier(
            database, clock, boot, handlers, bus, self._closing, libvirt_back=libvirt_back, ended=ended
        )
        self._offered: list[Claimed] = []
        self._uncertain = False
        self._doubt_until = 0.0
        self._left_waiting = True
        self._rings = 2
        self._prune_due = time.monotonic() + intervals.PRUNE / 10
        self._resumed = False
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="executor", daemon=True)
        targets.on_release(lambda _uuid: self._freed())
        runtime.on_change(self.ring)

    def on_record(self, hook: Callable[[Record], None]) -> None:
        """Call ``hook(record)`` with what a task wrote of its VM at its end, before others may work on the VM."""
        self._carrier.on_record(hook)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ring(self, offered: Sequence[Claimed] | None = None) -> None:
        """Look for work now, or take up the tasks that were just entered, when it is told which."""
        with self._guard:
            if offered and not self._database.is_sqlite:
                self._offered += offered
            else:
                # Looking and taking is one statement there, or nobody knows what to take.
                self._rings += 1
        self._wake.set()

    def promise(self, host_id: int, target: str) -> str:
        """See :class:`core.services.operation.Beginner`: there is a thread, and nobody works on the target."""
        if host_id != self._host_id() or self._targets.doing(target):
            return ""
        with self._guard:
            if self._closing.is_set() or not self._resumed or self._uncertain:
                return ""
            return self._boot if self._seats.promise() else ""

    def begin(self, tasks: Sequence[Claimed]) -> None:
        """See :class:`core.services.operation.Beginner`."""
        for task in tasks:
            self._begin(task)

    def entering(self) -> AbstractContextManager[None]:
        """See :class:`core.services.operation.Beginner`."""
        return self._entering()

    def release(self, promises: int, *, unsure: bool) -> None:
        """See :class:`core.services.operation.Beginner`."""
        with self._guard:
            self._seats.release(promises)
            if unsure:
                self._doubt()
            look = self._uncertain or self._left_waiting
        if look:
            self.ring()

    def _doubt(self) -> None:
        """What was to be claimed may have been, or may be yet: what is claimed is looked at, for a while."""
        self._uncertain, self._doubt_until = True, time.monotonic() + _DOUBT

    def _freed(self) -> None:
        """A thread or a target is free again: look whether a task was waiting for it."""
        if self._left_waiting:
            self.ring()

    def close(self, seconds: float = 10.0) -> None:
        """Claim nothing more, and give running tasks some time to end; the next hostd takes up the rest."""
        self._closing.set()
        self._wake.set()
        self._thread.join(2.0)
        give_up = time.monotonic() + seconds
        while self._seats.busy and time.monotonic() < give_up:
            time.sleep(0.02)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        trouble = False
        while not self._closing.is_set():
            pause = float(self._runtime.now.scheduling_interval)
            pause = min(pause, intervals.TRY_AGAIN) if trouble else pause
            aside = threading.TIMEOUT_MAX if trouble else self._until_aside()
            rung = self._wake.wait(min(pause, aside))
            self._wake.clear()
            if not rung and pause <= aside:
                # Whoever entered a task could not tell: nobody knows how many there are.
                self._rings = 2
                self._uncertain |= time.monotonic() < self._doubt_until
            if self._closing.is_set():
                return
            trouble = True
            try:
                self._look()
                trouble = False
                self._throttled.clear("database")
            except DosvmError as error:
                self._throttled.warning("database", "cannot look for tasks", reason=error.text())
            except Exception:
                logger.exception("looking for tasks failed")

    def _look(self) -> None:
        host_id = self._host_id()
        if host_id is None:
            return
        if time.monotonic() >= self._prune_due:
            self._prune_due = time.monotonic() + intervals.PRUNE
            before = self._clock.now() - timedelta(days=self._runtime.now.task_days)
            self._database.write(lambda session: tasks.prune(session, host_id, before))
        if not self._resumed:
            count = self._database.write(lambda session: tasks.take_up_again(session, host_id, self._boot))
            self._resumed = True
            self._when_resumed()
            if count:
                logger.info("taking up tasks of an earlier run %s", fields(count=count))
        while not self._closing.is_set():
            with self._guard:
                free = self._seats.free()
            if free <= 0:
                # Whoever rang meanwhile is heard when a thread is free.
                self._left_waiting = True
                with self._guard:
                    if self._seats.free() <= 0:
                        return
                continue
            claimed, more = self._claim(host_id, free)
            if claimed:
                self._bus.changed({"task"})
            for task in claimed:
                self._begin(task)
            if not more:
                return

    def _until_aside(self) -> float:
        """Seconds until a task steps aside, which is looked for when others wait."""
        if self._host_id() is None:
            return threading.TIMEOUT_MAX  # nothing is looked for
        with self._guard:
            return self._seats.until_aside() if self._left_waiting else threading.TIMEOUT_MAX

    def _claim(self, host_id: int, free: int) -> tuple[list[Claimed], bool]:
        """Claim up to ``free`` tasks; and whether there may be more."""
        with self._guard:
            # While one is promised, what it leads to may be committed and not begun with; its release rings.
            unsure = self._uncertain and not self._seats.promised
            mine = self._seats.tasks
        if unsure:
            # Nobody else adds to them now; one that ends while the database is asked is not lost either.
            held = self._database.read(lambda session: tasks.claimed_by(session, host_id, self._boot))
            self._uncertain = False
            lost = [task for task in held if task.id not in mine]
            if lost:
                self._left_waiting = True
                return lost, True
        with self._guard:
            free, without = self._seats.of_kinds(free)
        if taken := self._take_offered(free, without):
            return taken, False
        # A task is left waiting for another's end when its target is worked on, or two came for one target. Until
        # that is known it is taken for granted: what is released at this very moment must not go unheard.
        self._left_waiting = True
        busy = self._targets.busy()
        with self._guard:
            # What is promised is begun with before long, and its target is not free then.
            quiet = not (busy or self._seats.busy or self._seats.promised)
            self._left_waiting = not quiet or self._rings > 1
            self._rings = 0
            self._offered.clear()
        now = self._clock.now()
        try:
            claimed = self._database.write(
                lambda session: tasks.take(session, host_id, self._boot, now, busy=busy, without=without, limit=free)
            )
        except DatabaseUnavailable:
            # The connection may have broken after the commit: then they are claimed, and nobody knows.
            self._doubt()
            raise
        if len(claimed) == free:
            # There may be more than there are threads, whoever rang how often.
            self._left_waiting = True
        elif quiet and not claimed:
            # Nothing is done, and nothing was there: whoever enters more rings.
            self._left_waiting = False
        return claimed, len(claimed) == free

    def _take_offered(self, free: int, without: Sequence[str]) -> list[Claimed]:
        """Claim the tasks that were offered; none when it takes a look to know what else there is."""
        busy = self._targets.busy()
        with self._guard:
            offered = list(self._offered)
            if self._rings or not offered or len(offered) > free:
                return []
            if any(task.target in busy or task.kind in without for task in offered):
                return []
            self._offered.clear()
        now = self._clock.now()
        try:
            claimed = self._database.write(lambda session: tasks.claim(session, offered, self._boot, now))
        except DatabaseUnavailable:
            self._doubt()
            self._rings = 2
            raise
        if len(claimed) < len(offered):
            # One waits for the end of another, or was taken back: who begins now must not make that unheard.
            self.ring()
        return claimed

    def _begin(self, task: Claimed) -> None:
        with self._guard:
            self._seats.take(task.id, self._handlers.get(task.kind))
        try:
            self._pool.submit(self._work, task)
        except RuntimeError:
            self._forget(task)  # hostd ends: the next one takes it up

    def _work(self, task: Claimed) -> None:
        try:
            point("claimed")
            while not self._targets.take(task.target, task.kind):
                # The reconciler took it between looking and claiming; it will be done soon.
                if self._closing.wait(0.02):
                    raise Interrupted
            try:
                self._carrier.carry(task)
            finally:
                # Before its target is free: who looks then finds a free thread, and knows that nothing waits for it.
                self._forget(task)
                self._targets.release(task.target)
        except Interrupted:
            logger.info("task left for the next run %s", fields(task=task.uuid, kind=task.kind))
        except Exception:
            logger.exception("task broke %s", fields(task=task.uuid, kind=task.kind))
        finally:
            if self._forget(task):
                self._freed()

    def _forget(self, task: Claimed) -> bool:
        with self._guard:
            return self._seats.leave(task.id)
