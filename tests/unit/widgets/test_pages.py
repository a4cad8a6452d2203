"""Rows held in pages."""

from __future__ import annotations

from widgets.pages import Pages, Want


def pages(size: int = 10, keep: int = 3) -> Pages:
    return Pages(str, size, keep)


def fill(held: Pages, want: Want, total: int = 100) -> bool:
    rows = list(range(want.offset, min(want.offset + want.limit, total)))
    return held.put(want, rows, total)


def test_what_is_on_screen_is_asked_for_in_whole_pages() -> None:
    held = pages()
    assert held.missing(0, 5) == Want(0, 0, 10)
    fill(held, Want(0, 0, 10))
    assert held.missing(0, 9) is None
    assert held.missing(5, 14) == Want(0, 10, 10)
    assert held.covering(5, 14) == Want(0, 0, 20)
    assert held.row(3) == 3
    assert held.row(13) is None


def test_nothing_is_asked_for_beyond_the_end() -> None:
    held = pages()
    fill(held, Want(0, 0, 10), total=7)
    assert held.missing(0, 20) is None
    fill(held, Want(0, 0, 10), total=0)
    assert held.missing(0, 20) is None


def test_the_least_recently_seen_page_goes_first() -> None:
    held = pages()
    for offset in (0, 10, 20):
        fill(held, Want(0, offset, 10))
    held.touch(0, 5)
    fill(held, Want(0, 30, 10))
    assert held.row(0) == 0
    assert held.row(10) is None


def test_answers_of_a_past_order_are_dropped_and_old_rows_stay_until_the_new_come() -> None:
    held = pages()
    fill(held, Want(0, 0, 10))
    held.restart()
    assert not held.current
    assert held.row(0) == 0
    assert not fill(held, Want(0, 10, 10))
    assert held.missing(0, 5) == Want(1, 0, 10)
    assert held.put(Want(1, 0, 10), list("abc"), 3)
    assert held.row(0) == "a"
    assert held.row(5) is None


def test_when_rows_come_or_go_other_pages_mean_something_else() -> None:
    held = pages()
    fill(held, Want(0, 0, 10))
    fill(held, Want(0, 10, 10))
    fill(held, Want(0, 0, 10), total=101)
    assert held.row(10) is None


def test_a_row_is_found_by_its_identity() -> None:
    held = pages()
    fill(held, Want(0, 20, 10))
    assert held.find("25") == 25
    assert held.find("5") is None


def test_an_answer_may_hold_several_pages() -> None:
    held = pages()
    fill(held, Want(0, 10, 20))
    assert held.row(10) == 10
    assert held.row(29) == 29


def test_a_total_that_was_not_counted_to_its_end_grows_as_one_goes_on() -> None:
    pages = Pages(key=str, size=10, keep=10)
    pages.restart()
    assert pages.put(Want(1, 0, 10), range(10), 100, more=True)
    assert pages.put(Want(1, 90, 10), range(90, 100), 200, more=True)
    assert (pages.total, pages.more) == (200, True)
    assert pages.row(0) == 0, "what is held stays: rows were only not counted before"
    assert pages.put(Want(1, 0, 10), range(10), 100, more=True)
    assert (pages.total, pages.row(95)) == (200, 95), "a page at the beginning does not take it back"
    assert pages.put(Want(1, 190, 10), range(190, 195), 195, more=False)
    assert (pages.total, pages.more) == (195, False)
    assert pages.put(Want(1, 0, 10), range(10), 100, more=True)
    assert (pages.total, pages.more) == (195, False), "nor the end that is known"
    assert pages.put(Want(1, 0, 10), range(10), 80, more=False)
    assert (pages.total, pages.row(95)) == (80, None), "rows went"
