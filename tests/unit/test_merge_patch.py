"""A change of a JSON object brings it from what it was to what it shall be, and touches nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.merge_patch import difference, merged

_values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.text(max_size=3), max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
_objects = st.dictionaries(st.text(max_size=3), _values, max_size=5)


@given(_objects, _objects)
def test_the_difference_leads_from_one_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, difference(before, after)) == after


@given(_objects)
def test_no_change_is_no_patch(value: dict[str, Any]) -> None:
    assert difference(value, value) == {}


@given(_objects, _objects, _objects)
def test_two_consoles_that_change_different_things_keep_both(
    start: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    """Each changes what is below a key of its own."""
    both = {"mine": start, "theirs": start}
    first = difference(both, {**both, "mine": mine})
    second = difference(both, {**both, "theirs": theirs})
    assert merged(merged(both, first), second) == {"mine": mine, "theirs": theirs}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result
