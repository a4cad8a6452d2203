"""So many at once, in the order they came, and nobody waits long for one that hangs."""

from __future__ import annotations

import threading
import time

from hostd.turns import Turns


def _work(turns: Turns, at_work: list[int], most: list[int], guard: threading.Lock) -> None:
    with turns():
        with guard:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        time.sleep(0.02)
        with guard:
            at_work[0] -= 1


def test_no_more_than_so_many_at_once_and_all_have_their_turn() -> None:
    turns, at_work, most, guard = Turns(2, 60), [0], [0], threading.Lock()
    threads = [threading.Thread(target=_work, args=(turns, at_work, most, guard)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert most == [2]


def test_they_come_in_the_order_in_which_they_asked() -> None:
    turns, came = Turns(1, 60), []

    def work(number: int) -> None:
        with turns():
            came.append(number)

    threads = []
    with turns():
        for number in range(5):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            time.sleep(0.02)
    for thread in threads:
        thread.join(10)
    assert came == [0, 1, 2, 3, 4]


def test_who_hangs_counts_no_more_after_a_while() -> None:
    turns, ends = Turns(1, 0.2), threading.Event()
    holds = threading.Event()

    def hang() -> None:
        with turns():
            holds.set()
            ends.wait(30)

    thread = threading.Thread(target=hang)
    thread.start()
    holds.wait(10)
    begin = time.monotonic()
    for _ in range(3):
        with turns():
            pass
    assert 0.1 < time.monotonic() - begin < 5
    ends.set()
    thread.join(10)
    with turns():
        pass


def test_a_fault_gives_the_place_back() -> None:
    turns = Turns(1, 60)
    for _ in range(3):
        try:
            with turns():
                raise ValueError
        except ValueError:
            pass


def test_nobody_begins_while_somebody_goes_first() -> None:
    turns, came = Turns(2, 60), []

    def work() -> None:
        with turns():
            came.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(3)]
    with turns.after_me():
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        assert came == []
    # The next of those who go first has a moment to come.
    with turns.after_me():
        time.sleep(0.1)
        assert came == []
        ended = time.monotonic()
    for thread in threads:
        thread.join(10)
    assert len(came) == 3
    assert ended < min(came) < ended + 2


def test_those_who_go_first_are_not_waited_for_without_end() -> None:
    turns, ends = Turns(1, 60), threading.Event()

    def first() -> None:
        with turns.after_me():
            ends.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    time.sleep(0.05)
    begin = time.monotonic()
    with turns():
        pass
    assert 0.5 < time.monotonic() - begin < 10
    ends.set()
    thread.join(10)
