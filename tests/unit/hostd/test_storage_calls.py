"""Calls into storage: what is quick does not wait for what is not, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from hostd import intervals
from hostd.handling import Context
from hostd.hypervisor.errors import TooSlow, Underway
from hostd.storage_calls import StorageCalls, touch_or_never


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What waits for it ends at the end."""
    event = threading.Event()
    yield event
    event.set()


def test_looks_do_not_wait_for_changes_of_the_same_storage(hanging: threading.Event) -> None:
    calls = StorageCalls()
    busy = [
        threading.Thread(target=lambda: calls.touch("pool", lambda: hanging.wait(30), limit=60.0)) for _ in range(20)
    ]
    for thread in busy:
        thread.start()
    begin = time.monotonic()
    assert calls.touch("pool", lambda: "there", limit=intervals.STORAGE) == "there"
    assert time.monotonic() - begin < 5
    hanging.set()
    for thread in busy:
        thread.join(10)


def test_who_is_about_to_touch_a_storage_that_is_let_go_of_is_not_left_waiting() -> None:
    calls, results = StorageCalls(), []
    context = Context(lambda _percent: None, threading.Event())
    old = StorageCalls._of

    def late(self: StorageCalls, *which: object) -> object:
        found = old(self, *which)  # type: ignore[arg-type]
        for _ in range(2):
            assert found.call(lambda: 1, limit=5) == 1  # its threads are there, idle
        self.forget("pool")
        time.sleep(0.1)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StorageCalls, "_of", late)
        thread = threading.Thread(target=lambda: results.append(calls.follow("pool", context, lambda _own: "done")))
        thread.daemon = True
        thread.start()
        thread.join(5)
    assert results == ["done"]


def test_what_was_begun_before_nobody_waited_may_still_happen() -> None:
    def slow(work: object) -> None:
        work()  # type: ignore[operator]
        raise TooSlow("The storage did not answer.")

    with pytest.raises(Underway):
        touch_or_never(slow, lambda sure: sure())
    with pytest.raises(TooSlow) as told:
        touch_or_never(slow, lambda _sure: None)
    assert not isinstance(told.value, Underway)
