"""A VM that does not start is tried again with growing pauses, and with a clean slate once it has run."""

from __future__ import annotations

from hostd import intervals
from hostd.backoff import Backoff
from tests.fakes.clock import StillClock


def test_the_first_attempt_is_at_once_and_pauses_double_up_to_five_minutes(clock: StillClock) -> None:
    backoff = Backoff(clock)
    pauses = []
    for _ in range(12):
        clock.advance(backoff.pause("vm"))
        assert backoff.due("vm")
        pauses.append(backoff.tried("vm"))
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == 300


def test_it_is_not_due_before_its_pause_is_over(clock: StillClock) -> None:
    backoff = Backoff(clock)
    backoff.tried("vm")
    backoff.tried("vm")
    clock.advance(1.9)
    assert not backoff.due("vm")
    clock.advance(0.2)
    assert backoff.due("vm")


def test_a_vm_that_ran_for_a_minute_has_a_clean_slate(clock: StillClock) -> None:
    backoff = Backoff(clock)
    for _ in range(3):
        backoff.tried("vm")
    clock.advance(intervals.PROVEN - 1)
    backoff.works("vm")
    assert backoff.knows("vm")
    clock.advance(2)
    backoff.works("vm")
    assert not backoff.knows("vm")


def test_one_vms_failures_are_not_anothers(clock: StillClock) -> None:
    backoff = Backoff(clock)
    backoff.tried("a")
    assert backoff.due("b")
