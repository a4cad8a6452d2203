"""Text in cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from widgets.glyphs import use_plain
from widgets.text import fit, one_line, strip_of, wrap


@given(st.text(max_size=80), st.integers(min_value=0, max_value=60), st.booleans())
def test_a_fitted_text_has_exactly_the_cells_it_was_given(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(text, width, right=right)) == width


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 5, "abcd…"),
        ("云云云", 6, "云云云"),
        ("云云云", 5, "云云…"),
        ("云云云", 4, "云 …"),
        ("[red]x", 8, "[red]x  "),
        ("a\nb\x1b[31m", 7, "a b [3…"),
    ],
)
def test_texts_are_cut_between_characters_and_stay_literal(text: str, width: int, fitted: str) -> None:
    assert fit(text, width) == fitted


def test_plain_terminals_get_an_ascii_ellipsis() -> None:
    use_plain(True)
    try:
        assert fit("abcdef", 5) == "abcd~"
    finally:
        use_plain(False)


def test_what_turns_or_moves_text_is_taken_out() -> None:
    assert one_line("a\u202eb\u2066c\r\nd\x9b") == "abc  d "


@given(st.text(max_size=200), st.integers(min_value=2, max_value=40))
def test_wrapped_lines_fit_and_lose_no_letter(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    letters = [c for c in one_line(text.replace("\n", " ")) if c != " "]
    assert [c for c in "".join(lines) if c != " "] == letters


def test_words_are_kept_whole_and_chinese_breaks_anywhere() -> None:
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrap("云计算平台", 4) == ["云计", "算平", "台"]
    assert wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("默认为虚拟机；设置", 12, ["默认为虚拟", "机；设置"]),
        ("请设置密码（8 到 128 个）后继续", 22, ["请设置密码（8 到 128 ", "个）后继续"]),
        ("一二三四（五六）", 10, ["一二三四", "（五六）"]),
        ("说：“好。”", 8, ["说：", "“好。”"]),
        ("；；；；；；", 4, ["；；", "；；", "；；"]),
    ],
)
def test_no_line_of_chinese_begins_with_a_sign_that_closes(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


def test_neighbours_of_one_style_are_one_segment() -> None:
    plain, bold = Style(), Style(bold=True)
    strip = strip_of([("ab", plain), ("cd", plain), ("e", bold), ("f", plain)], 10, plain)
    assert [segment.text for segment in strip] == ["abcd", "e", "f    "]
    assert strip.cell_length == 10


def test_a_strip_is_never_wider_than_asked() -> None:
    strip = strip_of([("云云云", Style()), ("abc", Style(bold=True))], 5, Style())
    assert sum(cell_len(segment.text) for segment in strip) == 5
