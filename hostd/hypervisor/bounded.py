"""Calls that may hang, each bounded in time, with the stuck ones kept apart.

libvirt calls do hang: a VM whose QEMU is stopped keeps every call that needs its monitor. So each call
runs in a thread of a pool; who waits, waits for a limited time; a thread that does not come back is
replaced, up to a hard cap; and while a call for some key (a VM) is overdue, further calls for the same
key fail at once instead of filling the pool.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, NamedTuple, TypeVar

from core.i18n import N_
from hostd.hypervisor.errors import Stuck, TooSlow

T = TypeVar("T")


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
    """What is said of calls that hang (msgids); ``slow`` and ``busy`` may use ``{seconds}``."""

    stuck: str
    slow: str
    busy: str


#: What is said of libvirt.
OF_LIBVIRT = Words(
    stuck=N_("The VM's QEMU does not answer libvirt; an earlier request still waits for it."),
    slow=N_("libvirt did not answer within {seconds} s."),
    busy=N_("libvirt is too busy: nothing was free for {seconds} s."),
)


class Bounded:
    """A pool of threads for calls that may hang."""

    def __init__(self, name: str, *, size: int, cap: int, words: Words = OF_LIBVIRT) -> None:
        """``size`` threads that work, and at most ``cap`` when some of them hang."""
        self._name = name
        self._words = words
        self._size = size
        self._cap = cap
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._threads = 0
        self._idle = 0
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
            TooSlow: this one is, now.
        """
        if key is not None and key in self._stuck:
            raise Stuck(self._words.stuck)
        job = _Job(key, function, arguments)
        with self._guard:
            working = self._threads - self._hanging
            if self._jobs.qsize() >= self._idle and working < self._size and self._threads < self._cap:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._jobs.put(job)
        try:
            result: T = job.future.result(limit)
        except FutureTimeout:
            self._give_up(job, limit)
            result = job.future.result()
        return result

    def _give_up(self, job: _Job, limit: float) -> None:
        """Abandon an overdue call; returns when it ended just now after all."""
        with self._guard:
            if job.finished:
                return
            if job.future.cancel():
                raise TooSlow(self._words.busy, seconds=int(limit))
            job.abandoned = True
            self._hanging += 1
            if job.key is not None:
                self._stuck[job.key] = self._stuck.get(job.key, 0) + 1
        raise TooSlow(self._words.slow, seconds=int(limit))

    def _work(self) -> None:
        while True:
            with self._guard:
                self._idle += 1
            job = self._jobs.get()
            with self._guard:
                self._idle -= 1
            if job is None:
                break
            if not job.future.set_running_or_notify_cancel():
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
        with self._guard:
            self._threads -= 1

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
