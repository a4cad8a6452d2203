"""Circles of shares: round, as full as they say, and to be read without colour and with ASCII alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from widgets.glyphs import use_plain
from widgets.pie import FREE, OUTSIDE, USED, Pie, disc, percent


def dots(text: str) -> int:
    return sum((ord(character) - 0x2800).bit_count() for character in text if character >= "⠀")


def cells(columns: int, rows: int, share: float | None, braille: bool = True) -> list[str]:
    return ["".join(character for character, _what in row) for row in disc(columns, rows, share, braille)]


@given(rows=st.integers(3, 30), share=st.floats(0, 1))
def test_it_is_as_full_as_it_says(rows: int, share: float) -> None:
    full = sum(map(dots, cells(rows * 2, rows, 1.0)))
    empty = sum(map(dots, cells(rows * 2, rows, 0.0)))
    shown = sum(map(dots, cells(rows * 2, rows, share)))
    assert abs((shown - empty) / (full - empty) - share) < 0.12 + 0.6 / rows


@given(columns=st.integers(4, 80), rows=st.integers(3, 40))
def test_it_is_round_and_fits(columns: int, rows: int) -> None:
    drawn = disc(columns, rows, 1.0)
    assert len(drawn) == rows
    assert all(len(line) == columns for line in drawn)
    inside = [[what != OUTSIDE for _character, what in line] for line in drawn]
    high = sum(any(line) for line in inside)
    wide = max(sum(line) for line in inside)
    # A cell is twice as high as wide.
    assert abs(wide - 2 * high) <= 4


def test_used_and_free_differ_without_colour() -> None:
    drawn = disc(24, 12, 0.5)
    right, left = drawn[6][18], drawn[6][5]
    assert (right[1], left[1]) == (USED, FREE)
    assert dots(right[0]) == 8
    assert 0 < dots(left[0]) < 4


def test_it_begins_at_twelve_and_goes_as_the_clock_does() -> None:
    quarter = disc(20, 10, 0.25)
    assert quarter[2][13][1] == USED
    assert {quarter[2][6][1], quarter[7][6][1], quarter[7][13][1]} == {FREE}


def test_no_limit_is_a_ring_and_too_much_is_all_full() -> None:
    ring = disc(20, 10, None)
    assert ring[5][10] == (" ", OUTSIDE)
    assert any(what == FREE for line in ring for _character, what in line)
    assert cells(20, 10, 3.0) == cells(20, 10, 1.0)


def test_words_never_say_none_or_all_of_what_is_not() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.299, 0.9999, 1, 1.46)] == [
        "0%",
        "<1%",
        "29%",
        "99%",
        "100%",
        "146%",
    ]


class OnePie(App[None]):
    def compose(self) -> ComposeResult:
        yield Pie()


async def text_of(title: str, share: float | None, *figures: str, chosen: bool = False) -> list[str]:
    app = OnePie()
    async with app.run_test(size=(20, 10)) as pilot:
        app.query_one(Pie).set(title, share, figures, chosen=chosen)
        await pilot.pause()
        return [strip.text for strip in app.screen._compositor.render_strips()]


async def test_title_and_figures_stand_around_it() -> None:
    lines = await text_of("内存 [red]", 0.75, "75%", "96 GiB of 128 GiB", chosen=True)
    assert "内存 [red]" in lines[0]
    assert "▸" in lines[0]
    assert lines[8].strip() == "75%"
    assert lines[9].strip() == "96 GiB of 128 GiB"
    assert all("⣿" in line for line in lines[2:6])


@pytest.mark.parametrize("share", [None, 0.0, 0.4, 1.0, 2.0])
async def test_plain_circles_are_ascii(share: float | None) -> None:
    use_plain(True)
    try:
        lines = await text_of("Disk", share, "40%")
    finally:
        use_plain(False)
    assert "".join(lines).isascii()
    assert ("#" in "".join(lines)) == bool(share)
