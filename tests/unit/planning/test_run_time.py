"""How long a run ran: whatever is reported, in whatever order, no moment counts twice and none is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.planning.run_time import RunTime

STEPS = st.lists(st.tuples(st.integers(0, 100_000), st.sampled_from(["pause", "resume", "seen"])), max_size=30)


@given(begin=st.integers(0, 10**12), steps=STEPS, rest=st.integers(0, 100_000))
def test_it_ran_whenever_it_did_not_stand_still(begin: int, steps: list[tuple[int, str]], rest: int) -> None:
    run, now, stands, ran = RunTime(begin), begin, False, 0
    for pause, verb in steps:
        now += pause
        ran += 0 if stands else pause
        assert run.ran(now) == ran
        stands = verb == "pause" if verb != "seen" else stands
        run = getattr(run, verb)(now)
    now += rest
    ran += 0 if stands else rest
    run = run.finish(now)
    assert run.ran(now) == run.ran(now + 10**9) == ran
    assert run.pause(now + 5).resume(now + 7).finish(now + 9) == run, "what is over stays as it was"


@given(
    begin=st.integers(0, 10**9), steps=st.lists(st.tuples(st.integers(0, 2 * 10**9), st.integers(0, 3)), max_size=30)
)
def test_what_is_reported_out_of_order_never_counts_more_than_there_was(
    begin: int, steps: list[tuple[int, int]]
) -> None:
    run, latest = RunTime(begin), begin
    for at, verb in steps:
        run = (run.pause, run.resume, run.seen, run.finish)[verb](at)
        latest = max(latest, at)
        assert 0 <= run.ran(at) <= latest - begin
        assert 0 <= run.paused <= latest - begin


def test_a_pause_that_is_told_twice_is_one() -> None:
    run = RunTime(1000).pause(3000).pause(5000)
    assert run.ran(9000) == 2000
    assert run.resume(6000).resume(7000).ran(8000) == 4000
