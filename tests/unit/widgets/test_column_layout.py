"""Which columns fit, and how wide they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from widgets.column_layout import GUTTER, TableColumn, arrange
from widgets.glyphs import glyphs
from widgets.table_lines import Plan, head_strip
from widgets.virtual_table import Cell


def column(key: str, width: int, **options: bool) -> TableColumn:
    return TableColumn(key, key.title(), width, **options)


NAME = column("name", 20, flexible=True)


def lines(*texts: tuple[str, ...]) -> list[list[Cell]]:
    return [[Cell(text) for text in row] for row in texts]


def test_columns_are_as_wide_as_they_need_and_the_name_takes_the_rest() -> None:
    found = arrange([NAME, column("host", 20), column("cpu", 5, right=True)], lines(("a", "server1", "5%")), 60)
    assert found.places == [(0, 60 - GUTTER - 7 - 4 - 2 * found.gap), (1, 7), (2, 4)]
    assert found.gap == 2
    assert found.cut == (False, False)


def test_texts_shrink_before_columns_go() -> None:
    columns = [NAME, column("host", 30), column("path", 40)]
    found = arrange(columns, lines(("n" * 20, "h" * 30, "p" * 40)), 60)
    assert len(found.places) == 3
    assert sum(width for _n, width in found.places) + 2 * found.gap + GUTTER == 60


def test_figures_are_never_cut_rather_left_out_and_said_to_be() -> None:
    columns = [NAME, *(column(f"c{n}", 10, shrinks=False) for n in range(6))]
    found = arrange(columns, lines(("name", *["123456789"] * 6)), 50)
    assert found.cut == (False, True)
    assert all(width >= 9 for n, width in found.places if n)
    after = arrange(columns, lines(("name", *["123456789"] * 6)), 50, skipped=3)
    assert after.cut == (True, False)
    assert [n for n, _width in after.places] == [0, 4, 5, 6]


@given(
    st.lists(st.integers(min_value=1, max_value=60), min_size=1, max_size=12),
    st.integers(min_value=24, max_value=240),
)
def test_what_is_shown_never_is_wider_than_there_is(widths: list[int], width: int) -> None:
    columns = [NAME, *(column(f"c{n}", w) for n, w in enumerate(widths))]
    found = arrange(columns, lines(tuple("x" * 50 for _c in columns)), width)
    used = GUTTER + sum(cells for _n, cells in found.places) + found.gap * (len(found.places) - 1)
    assert used <= width or len(found.places) == 1


@pytest.mark.parametrize("width", range(20, 60))
def test_that_columns_are_left_out_is_seen_however_full_the_line_is(width: int) -> None:
    """Of a list whose columns filled the line to its end nobody saw that Right would show more."""
    columns = [TableColumn("name", "Name", 18, flexible=True), *(TableColumn(f"c{n}", f"Col {n}", 6) for n in range(9))]
    places, cut, gap = arrange(columns, [], width)
    head = head_strip(Plan(columns, places, cut, gap), ("", False), width, Style())
    assert head.cell_length == width
    assert head.text.endswith(glyphs().more_right) == cut[1]
