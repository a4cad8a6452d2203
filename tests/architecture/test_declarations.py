"""The declarations and the operations fit: whatever is offered exists, and whatever exists is offered."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

import core.services.registry  # noqa: F401  (declares all operations)
from core.coordination.purging import CLEARED
from core.database import Database
from core.i18n import LANGUAGES, _, set_language
from core.model import State, TaskState
from core.rules import FORM_RULES, RULES
from core.services.machines import HALTED
from core.services.operation import OPERATIONS
from core.services.slowing import Outcome
from screens import registry
from screens.generic.list_view import can_sort
from screens.resources import log, log_purge, login_log, task, vm
from screens.spec import PROJECT, STATE_SIGNS, STATE_WORDS, SYSADM, Action, Field, Kind, ResourceSpec, Target
from tests.fakes.office import Office, Person

SPECS = list(registry.resources())
ACTIONS = [
    pytest.param(spec, action, id=f"{spec.name}.{action.verb}")
    for spec in SPECS
    for action in spec.actions
    if action.operation
]
LISTED = [pytest.param(spec, id=spec.name) for spec in SPECS if spec.lists_by]
ALL = [pytest.param(spec, id=spec.name) for spec in SPECS]

#: Keys of the console itself, which no action or related list may take.
CONSOLE_KEYS = set("jkgGxyrfOPSY/:?*") | {"space", "enter", "escape"}


def _argument(spec: ResourceSpec, action: Action) -> set[str]:
    if action.target is Target.NOTHING or spec.single:
        return set()
    return {action.argument or spec.name.replace("-", "_")}


def _all_fields(fields: tuple[Field, ...]) -> Iterator[Field]:
    for field in fields:
        yield field
        yield from _all_fields(field.fields)


@pytest.mark.parametrize(("spec", "action"), ACTIONS)
def test_an_action_offers_what_its_operation_takes(spec: ResourceSpec, action: Action) -> None:
    operation = OPERATIONS[action.operation]
    offered = {field.key for field in action.fields} | _argument(spec, action)
    assert offered - set(operation.parameters) == set(), "fields that the operation does not know"
    own = {spec.name} if spec.single else set()  # may be named, need not
    assert set(operation.parameters) - offered - own - {"version"} == set(), "arguments that nobody can give"
    required = {field.key for field in action.fields if field.required} | _argument(spec, action)
    assert set(operation.required) <= required, "needed by the operation, not by the form"


@pytest.mark.parametrize(("spec", "action"), ACTIONS)
def test_what_takes_many_rows_by_one_call_says_so_on_both_sides(spec: ResourceSpec, action: Action) -> None:
    argument = OPERATIONS[action.operation].many
    assert action.many == bool(argument)
    if action.many:
        assert _argument(spec, action) == {argument}
        assert action.target is Target.ROWS


@pytest.mark.parametrize(("spec", "action"), ACTIONS)
def test_rules_between_fields_exist_and_speak_of_them(spec: ResourceSpec, action: Action) -> None:
    if action.rule:
        typed = {field.key: field.maximum for field in action.fields if field.kind is Kind.INTEGER}
        assert set(FORM_RULES[action.rule](typed)) <= {field.key for field in action.fields}
    for field in action.fields:
        if field.row_rule:
            assert set(FORM_RULES[field.row_rule]({})) <= {inner.key for inner in field.fields}


@pytest.mark.parametrize(("spec", "action"), ACTIONS)
def test_an_action_is_offered_to_those_who_may(spec: ResourceSpec, action: Action) -> None:
    may = {role.value for role in OPERATIONS[action.operation].roles}
    seen_by = set(action.roles) & set(spec.roles)
    assert seen_by <= may
    assert may <= seen_by | (may - set(spec.roles)), "a role that may is not offered it"


@pytest.mark.parametrize("spec", LISTED)
def test_a_list_sorts_and_filters_as_declared(spec: ResourceSpec) -> None:
    operation = OPERATIONS[spec.lists_by]
    assert {"search", "filters", "sort", "descending", "offset", "limit"} <= set(operation.parameters)
    assert set(spec.roles) <= {role.value for role in operation.roles}
    if spec.default_sort:
        assert spec.default_sort.removeprefix("-") in {c.key for c in spec.columns if c.sort}


@pytest.mark.parametrize("spec", ALL)
def test_keys_are_not_taken_twice(spec: ResourceSpec) -> None:
    for role in spec.roles:
        keys = [a.key for a in spec.actions if a.key and role in a.roles and a.console]
        keys += [r.key for r in spec.related if role in r.roles]
        assert len(keys) == len(set(keys)), sorted(keys)
        assert not set(keys) & CONSOLE_KEYS


@pytest.mark.parametrize("spec", ALL)
def test_references_lead_to_resources(spec: ResourceSpec) -> None:
    fields = [field for action in spec.actions for field in _all_fields(action.fields)]
    for named in [f.resource for f in fields] + [f.resource for f in spec.filters] + [r.resource for r in spec.related]:
        assert named is None or named in registry.NAMES
    for related in spec.related:
        known = {f.key for f in registry.resource(related.resource).filters}
        assert set(related.filters) <= known, f"{related.resource} has no such filter"
    for field in fields:
        assert field.rule is None or field.rule in RULES
        assert (field.resource is not None) == (field.kind in (Kind.REFERENCE, Kind.REFERENCES))
        if field.kind is Kind.SECRET:
            assert field.default is None


@pytest.mark.parametrize("spec", ALL)
def test_texts_say_something(spec: ResourceSpec) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", spec.name)
    assert spec.title
    assert spec.singular
    if spec.lists_by:
        assert spec.help
        assert spec.columns
    for action in spec.actions:
        assert action.label
        assert (action.danger.value == "none") or action.warning


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("spec", ALL)
def test_no_two_columns_are_called_the_same(spec: ResourceSpec, language: str) -> None:
    """In Chinese a host's memory and how much of it is used were; so were the limits of all quotas."""
    set_language(language)
    try:
        for role in spec.roles:
            columns = {column.key: column for column in spec.columns if role in column.roles}
            titles = [_(column.title) for column in columns.values()]
            assert len(set(titles)) == len(titles), sorted(titles)
            # In the list one may be called as another is that stands elsewhere, but not beside it.
            listed = [_(column.heading) for column in columns.values() if not column.details_only]
            assert all(one != other for one, other in itertools.pairwise(listed))
            alone = [_(column.heading) for column in columns.values() if not column.short]
            assert len(set(alone)) == len(alone)
    finally:
        set_language("en")


def test_every_operation_can_be_reached_by_a_command() -> None:
    reached = {spec.lists_by for spec in SPECS} | {spec.rows_by for spec in SPECS} | {spec.shows_by for spec in SPECS}
    reached |= {action.operation for spec in SPECS for action in spec.actions if action.command_line}
    reached |= {action.preview for spec in SPECS for action in spec.actions if action.command_line}
    assert set(OPERATIONS) - reached == set()
    assert reached - set(OPERATIONS) - {""} == set()


@pytest.mark.parametrize("role", [SYSADM, PROJECT])
def test_the_menu_shows_what_the_role_may_list(role: str) -> None:
    for section in registry.menu(role):
        for name in section.resources:
            spec = registry.resource(name)
            assert role in spec.roles
            looks_by = spec.lists_by or spec.shows_by  # or by neither: what is of this machine, not of the cloud
            assert not looks_by or role in {r.value for r in OPERATIONS[looks_by].roles}


@pytest.fixture
def database(sqlite: Database) -> Database:
    """One engine is enough: what is looked at is whether names fit."""
    return sqlite


def _callers(spec: ResourceSpec, office: Office) -> list[Person]:
    web = office.project("web")
    return [person for role, person in ((SYSADM, office.sysadm), (PROJECT, web)) if role in spec.roles]


@pytest.mark.parametrize("spec", LISTED)
def test_lists_know_their_columns_and_filters(spec: ResourceSpec, office: Office) -> None:
    values: dict[Kind, Any] = {Kind.BOOLEAN: True, Kind.TIME: "2026-01-31"}
    for person in _callers(spec, office):
        for column in spec.columns:
            if can_sort(column) and {person.actor.role.value} & set(column.roles):
                person(spec.rows_by, sort=column.key, descending=True)
        for known in spec.filters:
            person(spec.rows_by, filters={known.key: values.get(known.kind, "x")})


def test_words_of_the_database_are_words_for_people() -> None:
    assert set(log.ACTIONS) == {operation.action for operation in OPERATIONS.values() if operation.action}
    changes = {name for name, operation in OPERATIONS.items() if operation.action}
    assert set(log.KINDS) == {name.partition(".")[0] for name in changes}
    assert set(login_log.OUTCOMES) == {outcome.value for outcome in Outcome}
    assert set(log_purge.CLEARED) == set(CLEARED)
    assert set(task.STATES) == {state.value for state in TaskState}
    # A VM that storage made stand still is paused in libvirt, and shown as halted.
    assert set(vm.STATES) <= {state.value for state in State} | {HALTED} <= set(STATE_WORDS)
    assert set(STATE_WORDS) == set(STATE_SIGNS)
