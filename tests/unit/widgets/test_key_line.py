"""Which keys the last line of a list names at 80 columns, in both languages, and what is cut of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.i18n import _, set_language
from screens import registry
from screens.generic.offers import actions_of, why_not
from screens.spec import PROJECT, SYSADM, Action, ResourceSpec, Row, Target
from tests.fakes.world import world
from widgets.bar import KeyHint, fitted

EVERY = KeyHint("?", "All keys", short="Keys")
#: What is not named there although it acts, where rows of all states are marked at once; `?` names it.
CUT: dict[tuple[str, str, str], set[str]] = {
    ("en", SYSADM, "host"): {"p"},
    ("en", SYSADM, "project"): {"u", "v"},
    ("en", SYSADM, "volume"): {"t", "u", "v"},
    ("en", PROJECT, "vm"): {"d", "l", "t"},
    ("zh_CN", SYSADM, "host"): {"p"},
    ("zh_CN", SYSADM, "project"): {"u"},
    ("zh_CN", SYSADM, "volume"): {"t", "v"},
    ("zh_CN", PROJECT, "vm"): {"l", "t"},
}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    yield
    set_language("en")


def _lists(role: str) -> list[ResourceSpec]:
    return [registry.resource(name) for section in registry.menu(role) for name in section.resources]


def _hints(spec: ResourceSpec, role: str, rows: list[Row] | None) -> list[KeyHint]:
    """As a list has them; all of them act when no rows are given."""
    hints = []
    for action in (one for one in actions_of(spec, role) if one.key):
        acts = rows is None or action.target is Target.NOTHING or not why_not(action, rows)
        hints.append(KeyHint(action.key, _(action.label), acts, short=_(action.short)))
    related = [one for one in spec.related if role in one.roles]
    return [*hints, *(KeyHint(one.key, _(one.label), short=_(one.short)) for one in related)]


def _named(hints: list[KeyHint]) -> set[str]:
    every = EVERY._replace(label=_(EVERY.label), short=_(EVERY.short))
    return {hint.key for hint in fitted(hints, [every], 80)[0]}


@pytest.mark.parametrize("role", [SYSADM, PROJECT])
@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_of_no_row_anything_that_acts_is_cut(language: str, role: str) -> None:
    set_language(language)
    rows = world()
    for spec in _lists(role):
        for row in rows.get(spec.name, []):
            hints = _hints(spec, role, [row])
            cut = {hint.key for hint in hints if hint.enabled} - _named(hints)
            assert not cut, (spec.name, row["name"], cut)


@pytest.mark.parametrize("role", [SYSADM, PROJECT])
@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_what_is_cut_where_all_keys_act_is_known(language: str, role: str) -> None:
    set_language(language)
    found = {}
    for spec in _lists(role):
        hints = _hints(spec, role, None)
        cut = {hint.key for hint in hints} - _named(hints)
        if cut:
            found[language, role, spec.name] = cut
    assert found == {place: cut for place, cut in CUT.items() if place[:2] == (language, role)}


def test_keys_stand_closer_before_they_say_less_and_say_less_before_one_goes() -> None:
    hints = [KeyHint("a", "Add"), KeyHint("n", "Make a snapshot", short="Snapshot"), KeyHint("d", "Delete", False)]
    last = [KeyHint("?", "All keys", short="Keys")]
    for width, said, close, every in (
        (80, ["Add", "Make a snapshot", "Delete"], False, "All keys"),
        (40, ["Add", "Make a snapshot"], False, "All keys"),
        (37, ["Add", "Make a snapshot"], True, "All keys"),
        (36, ["Add", "Snapshot"], True, "All keys"),
        (28, ["Add", "Snapshot"], True, "Keys"),
        (24, ["Add"], True, "Keys"),
    ):
        shown, kept, stands_close = fitted(hints, last, width)
        assert ([hint.label for hint in shown], stands_close, kept[0].label) == (said, close, every), width


def test_short_labels_are_shorter() -> None:
    for role in (SYSADM, PROJECT):
        for spec in _lists(role):
            declared: list[Action] = [*spec.actions]
            for one in [*declared, *spec.related]:
                assert not one.short or len(one.short) < len(one.label), (spec.name, one.label)
