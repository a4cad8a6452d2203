"""What somebody chose for the console goes with the account to every host, and is nobody else's matter."""

from __future__ import annotations

import json

import pytest

from core.clock import SystemClock
from core.errors import DosvmError, InvalidInput
from core.services.preferences import MOST
from core.services.sessions import Sessions
from tests.fakes.office import PASSWORD, Office


def test_what_was_chosen_comes_with_the_login_and_the_profile(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    zhao("profile.set-preferences", preferences='{"theme": "light", "lists": {"vm": {"sort": "-host"}}}')
    services = zhao.services
    sessions = Sessions(services.database, SystemClock(), services.passwords)
    _token, row = sessions.login("zhao", PASSWORD, "192.0.2.9")
    assert row["preferences"] == {"theme": "light", "lists": {"vm": {"sort": "-host"}}}
    assert zhao("profile.show")["preferences"] == row["preferences"]
    assert office.sysadm("profile.show")["preferences"] == {}
    assert "preferences" not in office.sysadm("user.show", user="zhao")


def test_two_consoles_of_one_person_do_not_undo_each_other(office: Office) -> None:
    zhao = office.user("zhao")
    zhao("profile.set-preferences", preferences='{"lists": {"vm": {"sort": "name"}}}')
    zhao("profile.set-preferences", preferences='{"lists": {"image": {"sort": "size"}}}')
    answer = zhao("profile.set-preferences", preferences='{"theme": "dark", "lists": {"vm": null}}')
    assert answer["preferences"] == {"theme": "dark", "lists": {"image": {"sort": "size"}}}


def test_a_choice_of_colours_leaves_no_row_in_the_log(office: Office) -> None:
    before = office.sysadm("log.list")["total"]
    office.sysadm("profile.set-preferences", preferences='{"theme": "plain"}')
    assert office.sysadm("log.list")["total"] == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": ' + "[" * 200 + "]" * 200 + "}",
        '{"a":' * 50 + "1" + "}" * 50,
        '{"a": 99999999999999999999999}',
    ],
)
def test_what_is_no_json_object_is_refused_in_words(office: Office, text: str) -> None:
    office.sysadm("profile.set-preferences", preferences='{"theme": "plain"}')
    with pytest.raises(InvalidInput) as error:
        office.sysadm("profile.set-preferences", preferences=text)
    assert error.value.field == "preferences"
    assert office.sysadm("profile.show")["preferences"] == {"theme": "plain"}


def test_no_more_is_kept_than_a_console_needs(office: Office) -> None:
    half = json.dumps({"a": "云" * (MOST // 2)}, ensure_ascii=False)
    office.sysadm("profile.set-preferences", preferences=half)
    with pytest.raises(DosvmError, match="more preferences than are kept"):
        office.sysadm("profile.set-preferences", preferences=half.replace('"a"', '"b"'))
    assert set(office.sysadm("profile.show")["preferences"]) == {"a"}


def test_what_a_deleted_user_chose_is_gone(office: Office) -> None:
    office.user("zhao")("profile.set-preferences", preferences='{"theme": "light"}')
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    assert office.user("zhao")("profile.show")["preferences"] == {}
