"""Calls that hang do not hang those who make them, nor anybody else's calls."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hostd.hypervisor.bounded import Bounded, Pulse, Unwanted
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.errors import Busy, Stuck, TooSlow
from hostd.storage_calls import SILENT
from tests.waiting import until


@pytest.fixture
def hanging() -> threading.Event:
    """Set at the end: what hangs on it ends."""
    return threading.Event()


def test_a_result_and_an_error_come_back() -> None:
    calls = Bounded("t", size=2, cap=4)
    assert calls.call(lambda a: a + 1, 1, limit=1) == 2
    with pytest.raises(KeyError):
        calls.call({}.__getitem__, "x", limit=1)


def test_a_timeout_error_of_the_call_itself_is_its_own() -> None:
    def fail() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        Bounded("t", size=2, cap=4).call(fail, limit=1)


def test_who_waits_too_long_is_told(hanging: threading.Event) -> None:
    calls = Bounded("t", size=1, cap=2)
    with pytest.raises(TooSlow):
        calls.call(hanging.wait, limit=0.05)
    assert calls.hanging == 1
    hanging.set()


def test_a_stuck_vm_fails_at_once_and_others_go_on(hanging: threading.Event) -> None:
    calls = Bounded("t", size=1, cap=3)
    with pytest.raises(TooSlow):
        calls.call(hanging.wait, limit=0.05, key="vm-1")
    begin = time.monotonic()
    with pytest.raises(Stuck):
        calls.call(lambda: 1, limit=5, key="vm-1")
    assert time.monotonic() - begin < 4
    assert calls.call(lambda: 2, limit=1, key="vm-2") == 2
    hanging.set()


def test_what_hangs_is_told_with_what_to_do_and_on_which_host(hanging: threading.Event) -> None:
    """In the middle of the night "did not answer" alone helps nobody."""
    calls = Bounded("t", size=1, cap=1, host="server185")
    with pytest.raises(TooSlow, match=r"within 0 s\. The task has ended.*server185.*systemctl status libvirtd") as slow:
        calls.call(hanging.wait, limit=0.05, key="vm-1")
    assert not isinstance(slow.value, Busy)
    with pytest.raises(Busy, match=r"nothing was free.*Nothing was done.*server185.*restart libvirtd"):
        calls.call(hanging.wait, limit=0.05, key="vm-2")
    with pytest.raises(Stuck, match=r"Look on host server185"):
        calls.call(hanging.wait, limit=0.05, key="vm-1")
    hanging.set()


def test_storage_that_hangs_is_told_with_what_to_do(hanging: threading.Event) -> None:
    calls = Bounded("t", size=1, cap=1, words=SILENT)
    for key, kind, remedy in (("a", TooSlow, "server"), ("b", Busy, "storage pools"), ("a", Stuck, "server")):
        with pytest.raises(kind, match=remedy):
            calls.call(hanging.wait, limit=0.05, key=key)
    hanging.set()


@pytest.mark.parametrize(
    ("url", "given", "host"),
    [
        ("qemu:///system", "server185", "server185"),
        ("qemu:///system", "", socket.gethostname()),
        ("qemu+tls://192.0.2.7/system", "", "192.0.2.7"),
    ],
)
def test_the_host_of_a_connection_is_named(url: str, given: str, host: str) -> None:
    assert Connection(url, host=given)._calls._host == host


class _Slow(queue.SimpleQueue[Any]):
    """Who takes something out of it is interrupted right then, while ``go_on`` is not set."""

    def __init__(self) -> None:
        self.go_on, self.taken = threading.Event(), threading.Event()
        self.go_on.set()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        found = super().get(block, timeout)
        self.taken.set()
        self.go_on.wait(10)
        return found


def test_nobody_relies_on_a_thread_that_has_just_taken_what_hangs(hanging: threading.Event) -> None:
    calls, jobs = Bounded("t", size=2, cap=4), _Slow()
    calls._jobs = jobs
    calls.call(lambda: 1, limit=5)
    time.sleep(0.2)  # its thread is idle again
    jobs.taken.clear()
    jobs.go_on.clear()
    first = threading.Thread(target=lambda: calls.call(hanging.wait, limit=10))
    first.start()
    assert jobs.taken.wait(5)
    told: list[int] = []
    second = threading.Thread(target=lambda: told.append(calls.call(lambda: 2, limit=3)))
    second.start()
    time.sleep(0.2)
    jobs.go_on.set()
    second.join(5)
    assert told == [2], "it waits for what hangs, though another thread may be had"
    hanging.set()
    first.join(5)


def test_a_vm_that_answers_again_is_asked_again(hanging: threading.Event) -> None:
    calls = Bounded("t", size=1, cap=3)
    with pytest.raises(TooSlow):
        calls.call(hanging.wait, limit=0.05, key="vm-1")
    hanging.set()
    deadline = time.monotonic() + 2
    while calls.is_stuck("vm-1") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert calls.call(lambda: 3, limit=1, key="vm-1") == 3
    assert calls.hanging == 0


def test_when_all_hang_the_next_is_told_that_nothing_is_free(hanging: threading.Event) -> None:
    calls = Bounded("t", size=1, cap=2)
    for key in ("a", "b"):
        with pytest.raises(TooSlow):
            calls.call(hanging.wait, limit=0.05, key=key)
    with pytest.raises(TooSlow):
        calls.call(lambda: 1, limit=0.05)
    hanging.set()
    assert calls.call(lambda: 4, limit=2) == 4


def test_many_callers_at_once(hanging: threading.Event) -> None:
    calls = Bounded("t", size=4, cap=8)
    results: list[int] = []
    threads = [threading.Thread(target=lambda n=n: results.append(calls.call(lambda: n, limit=5))) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(results) == list(range(200))


def follow(calls: Bounded, work: object, wanted: object = lambda: True, patience: float = 5.0) -> object:
    return calls.follow(work, patience=patience, grace=0.2, wanted=wanted, key="disk")  # type: ignore[arg-type]


def test_what_takes_long_is_waited_for_while_it_gives_signs_of_life() -> None:
    def work(pulse: Pulse) -> str:
        for _ in range(10):
            time.sleep(0.1)
            pulse.beat()
        return "whole"

    assert follow(Bounded("t", size=1, cap=2), work, patience=0.5) == "whole"


def test_what_gives_no_sign_of_life_is_given_up_and_knows_it(hanging: threading.Event) -> None:
    calls, knew = Bounded("t", size=1, cap=2), threading.Event()

    def work(pulse: Pulse) -> None:
        hanging.wait(30)
        if pulse.given_up:
            knew.set()

    with pytest.raises(TooSlow):
        follow(calls, work, patience=0.2)
    with pytest.raises(Stuck):
        follow(calls, work)
    hanging.set()
    assert knew.wait(5)


def test_what_hangs_can_be_cancelled(hanging: threading.Event) -> None:
    calls = Bounded("t", size=1, cap=2)
    with pytest.raises(Unwanted) as told:
        follow(calls, lambda _pulse: hanging.wait(30), wanted=lambda: False)
    assert told.value.left_behind
    hanging.set()


def test_what_waits_for_its_turn_waits_as_long_as_it_takes_or_until_it_is_cancelled(hanging: threading.Event) -> None:
    calls, ends = Bounded("t", size=1, cap=1), []
    begun = threading.Event()

    def first(pulse: Pulse) -> None:
        begun.set()
        while not hanging.wait(0.05):
            pulse.beat()

    thread = threading.Thread(target=lambda: ends.append(follow(calls, first)))
    thread.start()
    assert begun.wait(5)
    wait_until = time.monotonic() + 0.6
    with pytest.raises(Unwanted) as told:
        follow(calls, lambda _pulse: "never", wanted=lambda: time.monotonic() < wait_until, patience=0.2)
    assert not told.value.left_behind
    hanging.set()
    thread.join(5)
    assert ends == [None]


def test_threads_that_nothing_is_to_be_done_by_end() -> None:
    calls = Bounded("t", size=2, cap=2, linger=0.1)
    assert calls.call(lambda: 1, limit=1) == 1
    until(lambda: not calls._threads)
    assert calls.call(lambda: 2, limit=1) == 2


def silent(hanging: threading.Event) -> Callable[[Pulse], object]:
    """What gives no sign of life."""
    return lambda _pulse: hanging.wait(30)


def test_what_waits_behind_calls_that_were_given_up_is_told(hanging: threading.Event) -> None:
    calls, told = Bounded("t", size=2, cap=2), []

    def ask(work: Callable[[Pulse], object]) -> None:
        try:
            follow(calls, work, patience=0.3)
        except (TooSlow, Stuck) as error:
            told.append(type(error))

    waiting = [threading.Thread(target=ask, args=(silent(hanging),)) for _ in range(2)]
    waiting += [threading.Thread(target=ask, args=(lambda _pulse: None,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
        time.sleep(0.05)
    for thread in waiting:
        thread.join(5)
    alive = [thread for thread in waiting if thread.is_alive()]
    hanging.set()
    assert not alive, "it would wait for ever"
    assert told.count(TooSlow) == 2
    assert told.count(Stuck) == 3


def test_what_waits_behind_calls_for_others_that_were_given_up_is_done(hanging: threading.Event) -> None:
    calls = Bounded("t", size=1, cap=3)

    def block() -> None:
        with pytest.raises(TooSlow):
            calls.call(hanging.wait, limit=0.5, key="vm-1")

    blocker = threading.Thread(target=block)
    blocker.start()
    time.sleep(0.1)
    begin = time.monotonic()
    assert calls.call(lambda: 2, limit=5, key="vm-2") == 2
    assert time.monotonic() - begin < 4
    hanging.set()
    blocker.join(5)
