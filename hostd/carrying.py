"""Carries a task out that was claimed: runs its handler, tidies up when that fails, and writes its end, once.

The database or libvirtd may be away at any of these steps; what was done is done, and its end is written as soon as it
can be. An end that cannot be written as it was wanted is written as a failure: a task that never ends blocks its object
for ever.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination import tasks
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError, EngineError, HypervisorUnavailable
from core.i18n import N_
from core.model import TaskState
from hostd.bus import Bus
from hostd.faults import point
from hostd.handling import Cancelled, Context, Effect, Handler, Interrupted, Obsolete, Record
from hostd.log import Throttled, fields

logger = logging.getLogger("hostd.executor")

#: Seconds a task waits for a libvirtd that is being restarted, before it fails.
_LIBVIRT_PATIENCE = 10.0
#: Progress is written at most this often, in seconds.
_PROGRESS_EVERY = 1.0


class Carrier:
    """Does tasks, each in the thread that asks."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        boot: str,
        handlers: Mapping[str, Handler],
        bus: Bus,
        closing: threading.Event,
        *,
        libvirt_back: Callable[[float], bool],
        ended: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            database: where the tasks are.
            clock: the time.
            boot: this run of hostd, which claimed the tasks.
            handlers: task kind -> handler.
            bus: told when tasks change.
            closing: set when hostd ends.
            libvirt_back: waits so many seconds for libvirtd; whether it answers.
            ended: called with the origin (a host's UUID) of each ended task.
        """
        self._database = database
        self._clock = clock
        self._boot = boot
        self._handlers = handlers
        self._bus = bus
        self._closing = closing
        self._libvirt_back = libvirt_back
        self._ended = ended
        self._on_record: list[Callable[[Record], None]] = []
        self._throttled = Throttled(logger)

    def on_record(self, hook: Callable[[Record], None]) -> None:
        """Call ``hook(record)`` with what a task wrote of its VM at its end, before others may work on the VM."""
        self._on_record.append(hook)

    def carry(self, task: Claimed) -> None:
        """Do a task that was claimed, and write its end.

        Raises:
            Interrupted: hostd ends, or another host has the task: it is left as it is.
            DosvmError: its end cannot be written.
        """
        begin = time.monotonic()
        handler = self._handlers.get(task.kind)
        effect: Effect | None = None
        error: DosvmError | None = None
        state = TaskState.DONE
        try:
            if handler is None:
                raise EngineError(
                    N_("This hostd does not know the task {kind}."),
                    remedy=N_("Hosts have different versions of DOSVM: install the same one on all."),
                    kind=task.kind,
                )
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
