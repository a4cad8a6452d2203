"""All operations x all kinds of callers x whose things they are.

Deny by default: an operation that nobody wrote down in ``rights.py`` fails here. Who is refused changes
nothing, learns nothing of what others have, and is refused by name as by UUID.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import core.services.registry  # noqa: F401  (the whole table of operations)
from core.errors import DosvmError
from core.services.operation import OPERATIONS
from tests.architecture.rights import RIGHTS, Right
from tests.architecture.world import IN, World

CALLERS = ("anonymous", "frozen", "newcomer", "idle", "homeless", "other", "sysadm", "own")


def expected(right: Right, who: str) -> str:
    """What a caller must get."""
    if who in ("anonymous", "frozen"):
        return "who are you"
    if who == "newcomer":
        return IN if right.first else "change your password"
    if who == "sysadm":
        return IN if "S" in right.who else "denied"
    if "P" not in right.who or (who in ("idle", "homeless") and not right.idle):
        return "denied"
    if who == "other" and right.owned:
        return "not found"
    return IN


def filled(arguments: Any, references: dict[str, str]) -> Any:
    """Arguments with ``$things`` replaced."""
    if isinstance(arguments, dict):
        return {key: filled(value, references) for key, value in arguments.items()}
    if isinstance(arguments, list):
        return [filled(value, references) for value in arguments]
    if isinstance(arguments, str) and arguments.startswith("$"):
        return references[arguments[1:]]
    return arguments


def test_every_operation_has_its_rights_written_down() -> None:
    assert sorted(OPERATIONS) == sorted(RIGHTS)


@pytest.mark.parametrize("operation", sorted(RIGHTS))
def test_the_declaration_names_the_same_roles(operation: str) -> None:
    letters = {"sysadm": "S", "project": "P"}
    assert sorted(letters[role.value] for role in OPERATIONS[operation].roles) == sorted(RIGHTS[operation].who)


@pytest.mark.parametrize("operation", sorted(RIGHTS))
@pytest.mark.parametrize("by", ["name", "uuid"])
def test_rights(operation: str, by: str, world: World) -> None:
    right = RIGHTS[operation]
    arguments = filled(right.arguments, world.names if by == "name" else world.uuids)
    before = world.everything()
    table: dict[str, str] = {}
    for who in sorted(CALLERS, key=lambda who: expected(right, who) == IN):
        table[who] = world.attempt(who, operation, arguments)
        if table[who] != IN:
            assert world.everything() == before, f"{who} was refused and yet changed something"
    assert table == {who: expected(right, who) for who in CALLERS}


@pytest.mark.parametrize(
    "operation", sorted(name for name, right in RIGHTS.items() if name.endswith(".list") and "P" in right.who)
)
def test_a_list_shows_nothing_of_another_project(operation: str, world: World) -> None:
    rows = world.services.call(operation, {}, world.actor("other"), "")["rows"]
    foreign = {*world.uuids.values(), *world.names.values(), "web"}
    told = {value for row in rows for value in _values(row)}
    assert not told & foreign


@pytest.mark.parametrize("operation", sorted(RIGHTS))
@pytest.mark.parametrize("who", ["sysadm", "own"])
def test_nonsense_is_refused_in_words(operation: str, who: str, world: World) -> None:
    """Whatever a caller sends instead of each argument, the answer is an answer or an error of ours."""
    good = filled(RIGHTS[operation].arguments, world.names)
    actor = world.actor(who)
    nonsense: list[Any] = [
        None,
        "",
        "[red]x",
        "../../etc",
        "'; DROP TABLE user; --",
        -1,
        2**63,
        True,
        [],
        {},
        "\0",
        "\ud800",
    ]
    for name in good:
        for value in nonsense:
            with contextlib.suppress(DosvmError):
                world.services.call(operation, {**good, name: value}, actor, str(uuid.uuid4()))


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for element in value.values():
            yield from _values(element)
    elif isinstance(value, list):
        for element in value:
            yield from _values(element)
    else:
        yield value
