"""Calls that hang do not hang those who make them, nor anybody else's calls."""

from __future__ import annotations

import threading
import time

import pytest

from hostd.hypervisor.bounded import Bounded
from hostd.hypervisor.errors import Stuck, TooSlow


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
