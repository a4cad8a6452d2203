"""Sizes as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.rules import check
from core.rules.sizes import GIB, MIB, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("512MiB", 512 * MIB),
        ("512 mib", 512 * MIB),
        ("1.5 GB", 1_500_000_000),
        ("10G", 10 * GIB),
        ("1EiB", 2**60),
        ("0.5k", 512),
        (" 7 B", 7),
        ("0.0", 0),
        ("9223372036854775807B", 2**63 - 1),
    ],
)
def test_what_people_write(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "1,5GB", "1e3", "10 XB", "٣GiB", "9223372036854775808B", "8388608TiB", "7", "4096", "0.5"]
)
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_size(text)


@pytest.mark.parametrize("text", ["9" * 5000, "1." + "0" * 5000])
def test_thousands_of_digits_are_a_sentence_not_a_fault(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_size(text)


@pytest.mark.parametrize("value", [-1, 2**63])
def test_numbers_the_database_cannot_keep_are_refused(value: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        check("size", "capacity", value)
    assert refused.value.field == "capacity"


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_bytes_survive_being_written_and_read(value: int) -> None:
    assert parse_size(f"{value}B") == value


@given(st.integers(min_value=0, max_value=2**62))  # the very last ones round up to what is too large
def test_a_size_shown_is_within_one_percent_of_what_it_is(value: int) -> None:
    shown = format_size(value)
    assert abs(parse_size(shown) - value) <= value * 0.01
    assert len(shown.split()[0]) <= 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.50 KiB"),
        (MIB - 1, "1.00 MiB"),
        (MIB, "1 MiB"),
        (20 * GIB, "20 GiB"),
        (2**60, "1 EiB"),
    ],
)
def test_what_people_read(value: int, text: str) -> None:
    assert format_size(value) == text
