"""Calls that may hang, each bounded in time, with the stuck ones kept apart.

libvirt calls do hang: a VM whose QEMU is stopped keeps every call that needs its monitor. So each call
runs in a thread of a pool; who waits, waits for a limited time; a thread that does not come back is
replaced, up to a hard cap; and while a call for some key (a VM) is overdue, further calls for the same
key fail at once instead of filling the pool.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, NamedTuple, TypeVar

from core.i18n import N_
from hostd.hypervisor.errors import Busy, Stuck, TooSlow

T = TypeVar("T")


#: How often a call that is followed is looked at, in seconds.
_LOOK = 0.1


class Unwanted(Exception):
    """Nobody wants a call any more; ``left_behind``: it does not come back, and goes on without anybody."""

    def __init__(self, *, left_behind: bool) -> None:
        super().__init__()
        self.left_behind = left_behind


class Pulse:
    """The sign of life of a call that is followed, as long as somebody waits for it."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._given_up = threading.Event()

    def beat(self) -> None:
        """It goes on."""
        self._last = time.monotonic()

    @property
    def silent(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._last

    @property
    def given_up(self) -> bool:
        """Whether nobody waits any more: what cannot be undone may not be begun."""
        return self._given_up.is_set()

    def give_up(self) -> None:
        """Nobody waits any more."""
        self._given_up.set()


class _Job:
    __slots__ = ("abandoned", "arguments", "finished", "function", "future", "key")

    def __init__(self, key: str | None, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.key = key
        self.function = function
        self.arguments = arguments
        self.future: Future[Any] = Future()
        self.abandoned = False
        self.finished = False


class Words(NamedTuple):
    """What is said of calls that hang (msgids), each with its remedy; they may use ``{seconds}`` and ``{host}``."""

    stuck: str
    slow: str
    busy: str
    when_stuck: str
    when_slow: str
    when_busy: str


#: What is said of libvirt.
OF_LIBVIRT = Words(
    stuck=N_("The VM's QEMU does not answer libvirt; an earlier request still waits for it."),
    slow=N_("libvirt did not answer within {seconds} s."),
    busy=N_("libvirt is too busy: nothing was free for {seconds} s."),
    when_stuck=N_(
        "Look on host {host} whether the storage of its disks answers; if its QEMU hangs by itself, end that process."
    ),
    when_slow=N_(
        "The task has ended, and what it asked for may still happen: look at the state before you repeat it. If this"
        " lasts, look on host {host} at `systemctl status libvirtd`, and restart libvirtd: running VMs go on."
    ),
    when_busy=N_(
        "Nothing was done: repeat it. If this lasts, look on host {host} at `systemctl status libvirtd`, and restart"
        " libvirtd: running VMs go on."
    ),
)


class Bounded:
    """A pool of threads for calls that may hang."""

    def __init__(
        self,
        name: str,
        *,
        size: int,
        cap: int,
        words: Words = OF_LIBVIRT,
        host: str = "",
        linger: float | None = None,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        """``size`` threads that work, at most ``cap`` when some hang; one idle for ``linger`` seconds ends.

        ``left()`` is what each thread does last; ``host`` is the name of that on which to look after what hangs.
        """
        self._name = name
        self._words = words
        self._host = host
        self._size = size
        self._cap = cap
        self._linger = linger
        self._left = left
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._threads = 0
        #: Idle threads less the jobs that wait for one. Counted by who enters a job and not by the thread that takes
        #: it: between taking and counting it, somebody else would rely on a thread that is about to hang.
        self._spare = 0
        self._stuck: dict[str, int] = {}
        self._hanging = 0

    @property
    def hanging(self) -> int:
        """How many calls are overdue now."""
        return self._hanging

    def is_stuck(self, key: str) -> bool:
        """Whether a call for this key is overdue."""
        return key in self._stuck

    def call(self, function: Callable[..., T], *arguments: Any, limit: float, key: str | None = None) -> T:
        """Run ``function(*arguments)`` and wait at most ``limit`` seconds for it.

        Args:
            function: what may hang.
            arguments: its arguments.
            limit: seconds.
            key: what a hanging call is to be held against, such as a VM's UUID.

        Raises:
            Stuck: an earlier call for the key is overdue.
            TooSlow: this one is, now; or (Busy) it was not begun with.
        """
        job = self._enter(key, function, arguments)
        try:
            result: T = job.future.result(limit)
        except FutureTimeout:
            self._give_up(job, limit)
            result = job.future.result()
        return result

    def follow(
        self,
        function: Callable[[Pulse], T],
        *,
        patience: float,
        grace: float,
        wanted: Callable[[], bool],
        key: str | None = None,
    ) -> T:
        """Run ``function(pulse)``, which may take hours, as long as it gives signs of life and is wanted.

        Args:
            function: what may hang; it calls ``pulse.beat()``, and ends early by itself when it is not wanted.
            patience: seconds without a sign of life after which it is given up. Its turn is waited for without end.
            grace: seconds it has to end by itself when it is not wanted any more.
            wanted: asked now and then.
            key: as of :meth:`call`.

        Raises:
            Stuck: an earlier call for the key is overdue.
            TooSlow: this one gives no sign of life.
            Unwanted: it was not wanted any more, and had not begun or did not end by itself.
        """
        pulse = Pulse()
        job = self._enter(key, function, (pulse,))
        future: Future[T] = job.future
        unwanted_since = None
        while True:
            try:
                return future.result(_LOOK)
            except FutureTimeout:
                if future.done():
                    return future.result()
            if unwanted_since is None and not wanted():
                unwanted_since = time.monotonic()
            if not future.running():
                pulse.beat()
                if unwanted_since is not None and future.cancel():
                    raise Unwanted(left_behind=False)
                if key is not None and key in self._stuck and future.cancel():
                    raise self._is_stuck()
                continue
            late = unwanted_since is not None and time.monotonic() - unwanted_since > grace
            if late or pulse.silent > patience:
                pulse.give_up()
                try:
                    self._give_up(job, patience)
                except TooSlow:
                    if unwanted_since is not None:
                        raise Unwanted(left_behind=True) from None
                    raise

    def _enter(self, key: str | None, function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Job:
        if key is not None and key in self._stuck:
            raise self._is_stuck()
        job = _Job(key, function, arguments)
        with self._guard:
            self._spare -= 1
            if self._spare < 0:
                self._grow()
            self._jobs.put(job)
        return job

    def _is_stuck(self) -> Stuck:
        return Stuck(self._words.stuck, remedy=self._words.when_stuck, host=self._host)

    def _grow(self) -> None:
        """Have one thread more, if there may be one. To be called under the guard."""
        if self._threads - self._hanging < self._size and self._threads < self._cap:
            self._threads += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def _give_up(self, job: _Job, limit: float) -> None:
        """Abandon an overdue call; returns when it ended just now after all."""
        with self._guard:
            if job.finished:
                return
            if job.future.cancel():
                raise Busy(self._words.busy, remedy=self._words.when_busy, seconds=int(limit), host=self._host)
            job.abandoned = True
            self._hanging += 1
            if job.key is not None:
                self._stuck[job.key] = self._stuck.get(job.key, 0) + 1
            if not self._jobs.empty():
                self._grow()  # what waits was to be done by this thread
        raise TooSlow(self._words.slow, remedy=self._words.when_slow, seconds=int(limit), host=self._host)

    def _work(self) -> None:
        try:
            self._serve()
        finally:
            self._left()

    def _serve(self) -> None:
        while True:
            with self._guard:
                self._spare += 1
            job = self._take()
            if job is None:
                return
            if not job.future.set_running_or_notify_cancel():
                continue
            if job.key is not None and job.key in self._stuck:
                # It waited for its turn meanwhile: it would only hang as well.
                job.finished = True
                job.future.set_exception(self._is_stuck())
                continue
            try:
                result = job.function(*job.arguments)
            except BaseException as error:  # noqa: BLE001  (it is the waiter's to judge)
                self._done(job)
                job.future.set_exception(error)
            else:
                self._done(job)
                job.future.set_result(result)
            with self._guard:
                if self._threads - self._hanging > self._size:
                    self._threads -= 1
                    return

    def _take(self) -> _Job | None:
        """The next job; None when the thread ends, which nobody counts on any more then."""
        while True:
            try:
                job, told = self._jobs.get(timeout=self._linger), True
            except queue.Empty:
                job, told = None, False
            if job is not None:
                return job
            with self._guard:
                # Who entered a job at this moment counted on this thread.
                if told or self._jobs.empty():
                    self._spare -= 1
                    self._threads -= 1
                    return None

    def _done(self, job: _Job) -> None:
        with self._guard:
            job.finished = True
            if not job.abandoned:
                return
            self._hanging -= 1
            if job.key is not None:
                self._stuck[job.key] -= 1
                if not self._stuck[job.key]:
                    del self._stuck[job.key]

    def close(self) -> None:
        """Let the idle threads end; hanging ones die with the process."""
        with self._guard:
            threads = self._threads
        for _ in range(threads):
            self._jobs.put(None)
