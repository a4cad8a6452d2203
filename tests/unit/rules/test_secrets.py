"""What security objects are for, and what their values may be."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from core.rules import secrets


@pytest.mark.parametrize("value", ["a", "iscsi", "web/disks", "a.b_c-d/9", "x" * 128])
def test_what_a_secret_is_used_for(value: str) -> None:
    secrets.usage(value)


@pytest.mark.parametrize("value", ["", "x" * 129, "a b", "盘", "a\n", "a\\b", "é"])
def test_what_it_cannot_be_used_for(value: str) -> None:
    with pytest.raises(InvalidInput):
        secrets.usage(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("volume", "eight888"),
        ("volume", "a phrase with blanks"),
        ("volume", "密码密码密码密码"),
        ("volume", "x" * 512),
        ("iscsi", "short"),
        ("iscsi", "twelve-chars"),
        ("iscsi", "x" * 255),
    ],
)
def test_values(kind: str, value: str) -> None:
    secrets.value_of(kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("volume", ""),
        ("volume", "seven77"),
        ("volume", "x" * 513),
        ("volume", "密" * 171),
        ("volume", " blank-in-front"),
        ("volume", "blank-behind "),
        ("volume", "tab\tinside it"),
        ("volume", "line\nbreak in it"),
        ("iscsi", ""),
        ("iscsi", "two words"),
        ("iscsi", "密码"),
        ("iscsi", "x" * 256),
    ],
)
def test_values_that_are_refused_are_not_repeated(kind: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        secrets.value_of(kind, value)
    assert not value or value not in caught.value.text()
