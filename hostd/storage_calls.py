"""What touches files on storage that may hang: in threads of its own, so that no other storage waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from core.i18n import N_
from hostd import intervals
from hostd.handling import Cancelled, Context, Interrupted
from hostd.hypervisor.bounded import Bounded, Pulse, Unwanted, Words
from hostd.hypervisor.errors import Stuck, TooSlow, Underway

T = TypeVar("T")

#: What is to be done about storage that does not answer.
LOOK = N_("Look whether its server and the network are up.")
#: What is said of it.
SILENT = Words(
    stuck=N_("The storage does not answer; an earlier request still waits for it."),
    slow=N_("The storage did not answer within {seconds} s."),
    busy=N_("Too many requests wait for storage: nothing was free for {seconds} s."),
    when_stuck=LOOK,
    when_slow=LOOK,
    when_busy=N_("Nothing was done: repeat it. If this lasts, some storage hangs: look at the storage pools."),
)
#: Of one storage: looks at the same time, and as many changes; long calls (each reads and writes whole disks); and
#: threads of each sort in all.
_SHORT, _LONG, _CAP = 4, 2, 16
#: Threads that nothing was to be done by for so many seconds end.
_LINGER = 30.0


class LeftBehind(Cancelled):
    """A task was cancelled while storage hung: what it waits for may still come back, and changes nothing then."""

    code = "left-behind"


class StorageCalls:
    """Calls by the storage that they touch (a pool's UUID, or a directory): each has its own threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._short: dict[str, Bounded] = {}
        self._changes: dict[str, Bounded] = {}
        self._long: dict[str, Bounded] = {}

    def touch(self, storage: str, look: Callable[[], T], *, limit: float = 0.0) -> T:
        """Run what looks at or changes files, for ``limit`` seconds at most, or as is usual.

        What may take longer than a look has threads of its own: looks, which VMs wait for, do not wait for it.

        Raises:
            Stuck, TooSlow: the storage does not answer.
        """
        calls = self._of(self._short if limit <= intervals.STORAGE else self._changes, storage, _SHORT)
        return calls.call(look, limit=limit or intervals.STORAGE, key=storage)

    def follow(self, storage: str, context: Context, work: Callable[[Context], T]) -> T:
        """Run what may take hours. Two of one storage run at the same time; others wait for their turn.

        Args:
            storage: which it touches.
            context: of the task that it is done for.
            work: told a context of its own: whatever is asked or told through it is a sign of life.

        Raises:
            Stuck, TooSlow: the storage does not answer.
            Cancelled: the task was, while it waited for its turn or for storage that hangs (then `LeftBehind`).
            Interrupted: hostd ends.
        """
        try:
            return self._of(self._long, storage, _LONG).follow(
                lambda pulse: work(_watched(context, pulse)),
                patience=intervals.STORAGE_SILENT,
                grace=intervals.STORAGE_GRACE,
                wanted=lambda: not (context.closing.is_set() or context.cancelled()),
                key=storage,
            )
        except Unwanted as unwanted:
            if context.closing.is_set():
                raise Interrupted from None
            if unwanted.left_behind:
                raise LeftBehind(N_("It was cancelled while its storage did not answer.")) from None
            raise Cancelled(N_("It was cancelled.")) from None

    def forget(self, storage: str) -> None:
        """Nothing is to touch a storage any more; who is about to still may, then its threads end by themselves."""
        with self._guard:
            for calls in (self._short, self._changes, self._long):
                calls.pop(storage, None)

    def close(self) -> None:
        """Let the threads that wait for nothing end."""
        with self._guard:
            every = [each for calls in (self._short, self._changes, self._long) for each in calls.values()]
        for each in every:
            each.close()

    def _of(self, calls: dict[str, Bounded], storage: str, size: int) -> Bounded:
        with self._guard:
            if storage not in calls:
                calls[storage] = Bounded("files", size=size, cap=_CAP, words=SILENT, linger=_LINGER)
            return calls[storage]


def touch_or_never(
    touch: Callable[[Callable[[], T]], T],
    work: Callable[[Callable[[], None]], T],
    held: Callable[[], bool] = lambda: True,
) -> T:
    """Do what cannot be undone, by a call that may hang, but not when nobody waits for it any more.

    Args:
        touch: runs what it is handed, as :meth:`StorageCalls.touch` does.
        work: what is done; what it is handed it calls right before what cannot be undone. That raises when it may not
            happen any more: nobody waited so long, or the task is another host's by now.
        held: whether the task still is this host's.

    Raises:
        Stuck, TooSlow: the storage does not answer; nothing happened, and nothing will.
        Underway: neither does it, but it may still happen.
    """
    given_up, begun = threading.Event(), threading.Event()

    def sure() -> None:
        begun.set()
        if given_up.is_set() or not held():
            raise Interrupted

    try:
        return touch(lambda: work(sure))
    except (Stuck, TooSlow) as error:
        given_up.set()
        if begun.is_set():
            raise Underway(error.message, remedy=error.remedy, **error.parameters) from error
        raise


def _watched(context: Context, pulse: Pulse) -> Context:
    """The context of a task, for work that is given up when it gives no sign of life."""

    def progress(percent: int) -> None:
        pulse.beat()
        if not pulse.given_up:
            context.progress(percent)

    def cancelled() -> bool:
        pulse.beat()
        return pulse.given_up or context.cancelled()

    def held() -> bool:
        pulse.beat()
        return not pulse.given_up and context.held()

    return Context(progress, context.closing, cancelled, held)
