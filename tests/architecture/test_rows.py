"""Rows have what the declarations show of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import core.services.registry  # noqa: F401  (the whole table of operations)
from dosvm_tui.commands.options import values_from_file
from dosvm_tui.commands.whole import given_back
from screens import registry
from screens.spec import ResourceSpec
from tests.architecture.roles import CALLERS, SEEN
from tests.architecture.world import World


@pytest.mark.parametrize(("spec", "role"), SEEN)
def test_each_column_is_in_the_rows(spec: ResourceSpec, role: str, world: World) -> None:
    actor = world.actor(CALLERS[role])
    listed = world.services.call(spec.rows_by, {}, actor, "")
    assert listed["rows"], "the world has one of everything"
    for row in listed["rows"]:
        assert row[spec.reference]
        assert spec.label in row
    row = listed["rows"][0]
    shown = row
    if spec.shows_by:
        arguments = {spec.name.replace("-", "_"): row[spec.reference]}
        shown = world.services.call(spec.shows_by, arguments, actor, "")
        assert set(row) <= set(shown) | ({"project", "member", "groups"} if spec.row_key else set())
    for column in spec.columns:
        if role in column.roles:
            assert column.key in (shown if column.details_only else row), column.key


@pytest.mark.parametrize(("spec", "role"), SEEN)
def test_a_related_list_finds_its_rows_keys(spec: ResourceSpec, role: str, world: World) -> None:
    actor = world.actor(CALLERS[role])
    rows = world.services.call(spec.lists_by, {}, actor, "")["rows"]
    for related in spec.related:
        if role in related.roles and rows:
            filters = {key: rows[0][of] for key, of in related.filters.items()}
            world.services.call(registry.resource(related.resource).lists_by, {"filters": filters}, actor, "")


@pytest.mark.parametrize(("spec", "role"), [seen for seen in SEEN if seen.values[0].shows_by])
def test_what_show_prints_can_be_given_with_f(spec: ResourceSpec, role: str, world: World, tmp_path: Path) -> None:
    """`-f FILE` takes values "in the form that `show -o yaml` prints": of every kind, not of most."""
    actor = world.actor(CALLERS[role])
    rows = world.services.call(spec.lists_by, {}, actor, "")["rows"]
    shown = world.services.call(spec.shows_by, {spec.name.replace("-", "_"): rows[0][spec.reference]}, actor, "")
    path = tmp_path / "shown.yaml"
    path.write_text(yaml.safe_dump(shown))
    for action in spec.actions:
        if action.fields and action.command_line and role in action.roles:
            values, _rest = values_from_file(str(path), action.fields, given_back(spec))
            assert values.keys() <= {field.key for field in action.fields}, action.verb
            assert values.keys() >= {field.key for field in action.fields} & shown.keys(), action.verb
