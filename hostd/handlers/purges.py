"""The task that clears logs and histories, slowly enough that nobody else waits for it."""

from __future__ import annotations

import time

from sqlalchemy.orm import Session

from core.clock import Clock
from core.coordination import log_names, purging
from core.coordination.tasks import Claimed
from core.database import Database
from core.errors import NotFound
from core.i18n import N_
from hostd import intervals
from hostd.faults import point
from hostd.handling import Context, Effect, Handler, Interrupted

#: Rows of the first batch; what it took decides about the next.
_FIRST, _FEWEST, _MOST = 20, 5, 2000
#: Names that are looked at by one transaction.
_NAMES = 200


class Purges:
    """Clears in batches, with a pause as long as the work after each."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def run(self, task: Claimed, context: Context) -> Effect:
        """``purge``: remove the rows, then the names that nothing speaks of any more."""
        purge = self._database.read(lambda session: purging.load(session, task.target))
        if purge is None:
            raise NotFound(N_("There is no such record of clearing."))
        size, removed = _FIRST, purge.rows
        left = self._database.read(lambda session: purging.count(session, purge.what, purge.before, purge.scope))
        total = max(1, removed + sum(left))
        while True:
            began: list[float] = []
            done = self._database.write(lambda session, s=size, b=began: self._batch(session, purge.id, s, b))  # type: ignore[misc]
            held = time.monotonic() - began[-1]
            if not done:
                break
            point("purge_batch")
            self._database.settle()
            removed += done
            context.progress(min(99, removed * 100 // total))
            size = max(_FEWEST, min(_MOST, 2 * size, int(size * intervals.PURGE_BATCH / max(held, 1e-4))))
            self._rest(context, held)
        if purge.what == "log":
            self._forget_names(context)
        now = self._clock.now()
        return lambda session: purging.finish(session, task.target, now)

    def _batch(self, session: Session, purge: int, size: int, began: list[float]) -> int:
        # From here others wait: what counts is the time from now to the end of the commit, not one's own waiting.
        began.append(time.monotonic())
        return purging.batch(session, purge, size)

    def _forget_names(self, context: Context) -> None:
        at: int | None = 0
        while at is not None:
            begin = time.monotonic()
            at = self._database.write(lambda session, a=at: log_names.forget(session, a, _NAMES))  # type: ignore[misc]
            self._rest(context, time.monotonic() - begin)

    def _rest(self, context: Context, took: float) -> None:
        if context.closing.wait(min(took, 10 * intervals.PURGE_BATCH)):
            raise Interrupted


def handlers(database: Database, clock: Clock) -> dict[str, Handler]:
    """Task kind -> handler."""
    return {"purge": Handler(Purges(database, clock).run, frozenset({"log", "login-log", "log-purge", "host-history"}))}
