"""Works on the tasks of this host: claims them, runs their handlers, ends them once.

A handler may be run again at any time, because hostd may die at any time: it looks before it acts. What it
changes in the database at the end is committed together with the end of its task.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination import states, tasks
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError, EngineError, HypervisorUnavailable
from core.i18n import N_
from core.model import TaskState
from hostd import intervals
from hostd.bus import Bus
from hostd.faults import point
from hostd.log import Throttled, fields
from hostd.runtime import Runtime
from hostd.targets import Targets

logger = logging.getLogger("hostd.executor")

#: What a handler leaves to be written together with the end of its task.
Effect = Callable[[Session], object]
#: Seconds a task waits for a libvirtd that is being restarted, before it fails.
_LIBVIRT_PATIENCE = 10.0
#: Progress is written at most this often, in seconds.
_PROGRESS_EVERY = 1.0
#: Tasks of slow storage that run beside the others, at most; and those of them that may take hours, many of which wait
#: for others of their storage.
_ASIDE, _LONG = 32, 16
#: Seconds for which a commit that nobody heard of may still come to light, when the network or the engine hung.
_DOUBT = 300.0


class Interrupted(Exception):
    """hostd ends while a handler waits: the task stays as it is, and the next hostd takes it up again."""


class Obsolete(DosvmError):
    """The task speaks of a placement that is over: it ends as cancelled."""

    code = "obsolete"


class Cancelled(DosvmError):
    """Somebody wanted the task to end in its middle: it ends as cancelled, and what it had begun is undone."""

    code = "cancelled"


@dataclass(frozen=True)
class Record:
    """The effect most tasks of VMs have: what libvirt says of the VM, under the placement that the task speaks of."""

    uuid: str
    host_id: int
    epoch: int
    values: Mapping[str, Any]
    written: Callable[[], None] = lambda: None

    def __call__(self, session: Session) -> bool:
        """Write it, if the VM is still placed here; whether it is."""
        placed = states.record(session, self.uuid, self.host_id, self.epoch, self.values)
        self.written()
        return placed

    def with_end(self, session: Session, task: int, boot: str, now: datetime) -> bool:
        """Write it together with the task's end where one statement can, and say whether it could."""
        ended = states.end_and_record(
            session, task, boot, now, uuid=self.uuid, host_id=self.host_id, epoch=self.epoch, values=self.values
        )
        if not ended:
            return False
        self.written()
        return True


def done(_written: bool) -> None:
    """End of an effect: whether a row was still there to be written does not matter."""


@dataclass(frozen=True)
class Context:
    """What a handler is handed beside its task."""

    progress: Callable[[int], None]
    closing: threading.Event
    cancelled: Callable[[], bool] = lambda: False
    """Whether somebody wants the task to end; the database is asked once a second at most."""
    held: Callable[[], bool] = lambda: True
    """Whether the task is still this host's; the database is asked each time."""


@dataclass(frozen=True)
class Handler:
    """How a kind of task is done, what is written when it cannot be done, and what follows when it was done."""

    run: Callable[[Claimed, Context], Effect | None]
    topics: frozenset[str]
    failed: Callable[[Claimed, DosvmError], Effect | None] | None = None
    then: Callable[[Claimed], None] | None = None
    storage: bool = False
    """It works on storage, which may be slow or hang: after a while other tasks are begun as if it were not there."""
    long: bool = False
    """It works on storage, and may take hours."""


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
        self._threads = threads
        self._libvirt_back = libvirt_back
        self._ended = ended
        self._on_record: list[Callable[[Record], None]] = []
        self._when_resumed = resumed
        self._entering = entering
        self._pool = ThreadPoolExecutor(threads + _ASIDE, thread_name_prefix="task")
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._guard = threading.Lock()
        self._mine: set[int] = set()
        #: Tasks of storage by when they step aside, and those that did: they keep no others waiting.
        self._slow: dict[int, float] = {}
        self._aside: set[int] = set()
        #: All tasks of storage, and those that may take hours.
        self._of_storage: set[int] = set()
        self._long: set[int] = set()
        self._offered: list[Claimed] = []
        self._uncertain = False
        self._doubt_until = 0.0
        self._promised = 0
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
        self._on_record.append(hook)

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
            # Nobody knows yet whether it is one of storage.
            if self._free() <= 0 or self._rooms()[0][0] <= 0:
                return ""
            self._promised += 1
        return self._boot

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
            self._promised -= promises
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
        while self._mine and time.monotonic() < give_up:
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
                free = self._free()
            if free <= 0:
                # Whoever rang meanwhile is heard when a thread is free.
                self._left_waiting = True
                with self._guard:
                    if self._free() <= 0:
                        return
                continue
            claimed, more = self._claim(host_id, free)
            if claimed:
                self._bus.changed({"task"})
            for task in claimed:
                self._begin(task)
            if not more:
                return

    def _free(self) -> int:
        """How many tasks may be begun with. To be asked under the guard."""
        now = time.monotonic()
        for task in [task for task, due in self._slow.items() if due <= now]:
            if len(self._aside) >= _ASIDE:
                break
            del self._slow[task]
            self._aside.add(task)
        return self._threads - (len(self._mine) - len(self._aside)) - self._promised

    def _rooms(self) -> tuple[tuple[int, list[str]], ...]:
        """How many tasks of storage may be begun with, and their kinds; and of those that may take hours.

        Some threads are never theirs: VMs are started whatever waits for storage. To be asked under the guard.
        """
        kinds = [kind for kind, handler in self._handlers.items() if handler.storage]
        long = [kind for kind, handler in self._handlers.items() if handler.long]
        most = _ASIDE + self._threads - max(1, self._threads // 2)
        return (most - len(self._of_storage) - self._promised, kinds), (_LONG - len(self._long), long)

    def _left_out(self, free: int) -> tuple[int, list[str]]:
        """How many of ``free`` tasks may be claimed at once, and which kinds are left out."""
        without: list[str] = []
        with self._guard:
            for room, kinds in self._rooms():
                if room <= 0:
                    without += kinds
                else:
                    free = min(free, room)
        return free, without

    def _until_aside(self) -> float:
        """Seconds until a task steps aside, which is looked for when others wait."""
        if self._host_id() is None:
            return threading.TIMEOUT_MAX  # nothing is looked for
        with self._guard:
            if not self._left_waiting or not self._slow or len(self._aside) >= _ASIDE:
                return threading.TIMEOUT_MAX
            return max(0.01, min(self._slow.values()) - time.monotonic())

    def _claim(self, host_id: int, free: int) -> tuple[list[Claimed], bool]:
        """Claim up to ``free`` tasks; and whether there may be more."""
        with self._guard:
            # While one is promised, what it leads to may be committed and not begun with; its release rings.
            unsure = self._uncertain and not self._promised
            mine = set(self._mine)
        if unsure:
            # Nobody else adds to them now; one that ends while the database is asked is not lost either.
            held = self._database.read(lambda session: tasks.claimed_by(session, host_id, self._boot))
            self._uncertain = False
            lost = [task for task in held if task.id not in mine]
            if lost:
                self._left_waiting = True
                return lost, True
        free, without = self._left_out(free)
        if taken := self._take_offered(free, without):
            return taken, False
        # A task is left waiting for another's end when its target is worked on, or two came for one target. Until
        # that is known it is taken for granted: what is released at this very moment must not go unheard.
        self._left_waiting = True
        busy = self._targets.busy()
        with self._guard:
            # What is promised is begun with before long, and its target is not free then.
            quiet = not (busy or self._mine or self._promised)
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
        handler = self._handlers.get(task.kind)
        with self._guard:
            self._mine.add(task.id)
            if handler is not None and handler.storage:
                self._slow[task.id] = time.monotonic() + intervals.STORAGE_ASIDE
                self._of_storage.add(task.id)
                if handler.long:
                    self._long.add(task.id)
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
                self._do(task)
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
            mine = task.id in self._mine
            self._mine.discard(task.id)
            self._aside.discard(task.id)
            self._slow.pop(task.id, None)
            self._of_storage.discard(task.id)
            self._long.discard(task.id)
        return mine

    def _do(self, task: Claimed) -> None:
        begin = time.monotonic()
        handler = self._handlers.get(task.kind)
        effect: Effect | None = None
        error: DosvmError | None = None
        state = TaskState.DONE
        try:
            if handler is None:
                raise EngineError(N_("This hostd does not know the task {kind}."), kind=task.kind)
            effect = self._attempt(handler, task)
        except (Obsolete, Cancelled) as reason:
            error, state = reason, TaskState.CANCELLED
        except DosvmError as reason:
            error, state = reason, TaskState.FAILED
        except Interrupted:
            raise
        except Exception:
            logger.exception("handler broke %s", fields(task=task.uuid, kind=task.kind))
            error, state = _inside(task), TaskState.FAILED
        if state is TaskState.FAILED or isinstance(error, Cancelled):
            effect = self._failure(handler, task, error)
        point("before_finish")
        ours, state, error = self._end(handler, task, state, effect, error)
        point("finished")
        if not ours:
            return  # what is there now is another host's, also to tidy up
        logger.info(
            "task ended %s",
            fields(
                task=task.uuid,
                kind=task.kind,
                target=task.target_name,
                state=state.value,
                seconds=f"{time.monotonic() - begin:.3f}",
                attempt=task.attempts if task.attempts > 1 else None,
                error=error.text() if error else None,
            ),
        )
        self._bus.changed({"task", *(handler.topics if handler else ())})
        self._ended(task.origin)
        if handler is not None and handler.then is not None and state is TaskState.DONE:
            handler.then(task)

    def _attempt(self, handler: Handler, task: Claimed) -> Effect | None:
        """Run the handler; again when the database was away, and once more when libvirtd was restarted."""
        patient, pause, again = True, 0.2, False
        while True:
            try:
                if again and not self._held(task):
                    raise Interrupted  # while it waited it was given to another host
                again = True
                return handler.run(task, self._context(task))
            except DatabaseUnavailable:
                if self._closing.wait(pause):
                    raise Interrupted from None
                pause = min(pause * 2, 5.0)
            except HypervisorUnavailable:
                if not patient or not self._libvirt_back(_LIBVIRT_PATIENCE):
                    raise
                patient = False

    def _failure(self, handler: Handler | None, task: Claimed, error: DosvmError | None) -> Effect | None:
        """What is to be written when a task failed. Cleaning up waits for the database; that it breaks ends nothing."""
        if handler is None or handler.failed is None or error is None:
            return None
        pause = 0.2
        while True:
            try:
                if not self._held(task):
                    return None  # another host has taken it over: what is left of it is that one's
                return handler.failed(task, error)
            except DatabaseUnavailable:
                if self._closing.wait(pause):
                    raise Interrupted from None
                pause = min(pause * 2, 5.0)
            except Exception:
                logger.exception("cleaning up broke %s", fields(task=task.uuid, kind=task.kind))
                return None

    def _end(
        self, handler: Handler | None, task: Claimed, state: TaskState, effect: Effect | None, error: DosvmError | None
    ) -> tuple[bool, TaskState, DosvmError | None]:
        """End a task, if need be without what it wanted to write: one that never ends blocks its object for ever.

        Returns:
            Whether it still was this host's to end, and how it ended.
        """
        try:
            return self._finish(task, state, effect, error), state, error
        except Interrupted:
            raise
        except DosvmError as reason:
            # What was to be written is refused: a quota that only shows once the work is done.
            refused: DosvmError = reason
        except Exception:
            logger.exception("the end of a task cannot be written %s", fields(task=task.uuid, kind=task.kind))
            refused = _inside(task)
        if state is TaskState.DONE:
            state, error = TaskState.FAILED, refused
            try:
                return self._finish(task, state, self._failure(handler, task, error), error), state, error
            except Interrupted:
                raise
            except Exception:
                logger.exception("what failed cannot be written %s", fields(task=task.uuid, kind=task.kind))
        # Of its own failure nothing could be written but that it failed: the log has the rest.
        return self._finish(task, state, None, error or refused), state, error

    def _context(self, task: Claimed) -> Context:
        last = [0.0]

        def progress(percent: int) -> None:
            now = time.monotonic()
            if now - last[0] < _PROGRESS_EVERY:
                return
            last[0] = now
            try:
                self._database.write(lambda session: tasks.progress(session, task.id, self._boot, percent))
                self._bus.changed({"task"})
            except DosvmError:
                return

        asked = [0.0, False]

        def cancelled() -> bool:
            now = time.monotonic()
            if not asked[1] and now - asked[0] >= _PROGRESS_EVERY:
                asked[0] = now
                try:
                    asked[1] = self._database.read(lambda session: tasks.is_cancelled(session, task.id))
                except DosvmError:
                    return False
            return bool(asked[1])

        return Context(progress, self._closing, cancelled, lambda: self._held(task))

    def _held(self, task: Claimed) -> bool:
        return self._database.read(lambda session: tasks.is_held(session, task.id, self._boot))

    def _finish(self, task: Claimed, state: TaskState, effect: Effect | None, error: DosvmError | None) -> bool:
        """Write the end of a task; whether it still was this host's to end."""
        wire = error.to_wire() if error else None

        record = effect if state is TaskState.DONE and isinstance(effect, Record) else None

        def work(session: Session) -> bool:
            """End it; whether what its host says of the VM is written."""
            now = self._clock.now()
            if record is not None and record.with_end(session, task.id, self._boot, now):
                return True
            if not tasks.finish(session, task.id, self._boot, state, now, error=wire):
                raise _NotMine
            return bool(effect(session)) if effect is not None else False

        pause = 0.2
        while True:
            try:
                written = self._database.write(work)
                if written and record is not None:
                    for hook in self._on_record:
                        hook(record)
                return True
            except _NotMine:
                logger.warning("task was ended by somebody else %s", fields(task=task.uuid, kind=task.kind))
                return False
            except DatabaseUnavailable as reason:
                # What was done is done: its end is written as soon as it can be.
                self._throttled.warning("finish", "cannot write the end of a task", reason=reason.text())
                if self._closing.wait(pause):
                    raise Interrupted from None
                pause = min(pause * 2, 5.0)


def _inside(task: Claimed) -> DosvmError:
    return EngineError(
        N_("Something went wrong inside hostd (id {number})."),
        remedy=N_("Its log says more under this id."),
        number=task.uuid[:8],
    )


class _NotMine(Exception):
    """The task is no longer this run's."""
