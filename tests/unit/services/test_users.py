"""Accounts as the system administrator manages them."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import AlreadyExists, Conflict, InvalidInput, NotFound, PasswordChangeRequired, Refused
from core.services.sessions import Sessions
from tests.fakes.office import PASSWORD, Office


def test_accounts_that_differ_in_case_only_are_one(office: Office) -> None:
    office.user("zhao")
    for other in ("ZHAO", "Zhao"):
        with pytest.raises(AlreadyExists) as caught:
            office.user(other)
        assert caught.value.field == "account"
    with pytest.raises(AlreadyExists):
        office.user("SysAdm")
    office.user("qian")
    with pytest.raises(AlreadyExists):
        office.sysadm("user.edit", user="qian", account="zhaO")
    assert office.sysadm("user.edit", user="zhao", account="Zhao")["name"] == "Zhao", (
        "one's own may be written otherwise"
    )
    office.sysadm("user.delete", user="qian", own_password=PASSWORD)
    office.user("QIAN")
    with pytest.raises(AlreadyExists):
        office.sysadm("trash.restore", trash="qian")


def test_a_new_admin_is_listed_with_its_project(office: Office) -> None:
    office.project("web", admin="zhao")
    (row,) = office.sysadm("user.list")["rows"]
    assert set(row) == {
        "uuid",
        "name",
        "account",
        "display_name",
        "role",
        "project",
        "phone",
        "email",
        "address",
        "description",
        "frozen",
        "created",
        "version",
    }
    assert (row["name"], row["account"], row["project"], row["frozen"]) == ("zhao", "zhao", "web", False)


def test_an_account_is_taken_once(office: Office) -> None:
    office.user("zhao")
    with pytest.raises(AlreadyExists) as error:
        office.user("zhao")
    assert error.value.field == "account"


@pytest.mark.parametrize("password", ["short-1", "x" * 129])
def test_a_password_has_8_to_128_characters(office: Office, password: str) -> None:
    with pytest.raises(InvalidInput) as error:
        office.sysadm("user.add", account="zhao", new_password=password, own_password=PASSWORD)
    assert error.value.field == "new_password"


@pytest.mark.parametrize("by", ["user.add", "user.set-password"])
def test_a_password_that_must_be_changed_opens_nothing_else(office: Office, sessions: Sessions, by: str) -> None:
    if by == "user.set-password":
        office.user("zhao")
        given = {"user": "zhao"}
    else:
        given = {"account": "zhao"}
    office.sysadm(by, **given, new_password="Given-horse-9", own_password=PASSWORD, must_change_password=True)
    zhao = office.person("zhao")
    _token, user = sessions.login("zhao", "Given-horse-9", "192.0.2.9")
    assert user["must_change_password"]
    with pytest.raises(PasswordChangeRequired):
        zhao("profile.show")
    zhao("profile.change-password", new_password="Mine-horse-99", old_password="Given-horse-9")
    assert not zhao("profile.show")["must_change_password"]


def test_the_own_password_is_asked_again_for_adding_somebody(office: Office) -> None:
    with pytest.raises(InvalidInput) as error:
        office.sysadm("user.add", account="zhao", new_password=PASSWORD, own_password="Wrong-horse-9")
    assert error.value.field == "own_password"
    assert office.sysadm("user.list")["total"] == 0
    outcomes = [row["outcome"] for row in office.sysadm("login-log.list")["rows"]]
    assert outcomes == ["own-wrong"]


@pytest.mark.parametrize("name", ["[red]x", "../../etc", "字" * 64, "🙂", "'; DROP TABLE user; --", '"><b>', "%", "_"])
def test_odd_names_are_only_names(office: Office, name: str) -> None:
    office.user("zhao")
    office.sysadm("user.edit", user="zhao", display_name=name, description=name)
    row = office.sysadm("user.show", user="zhao")
    assert (row["display_name"], row["description"]) == (name, name)
    assert office.sysadm.names("user.list", search=name) == ["zhao"]


@pytest.mark.parametrize("search", ["%", "_", "\\", "' OR 1=1"])
def test_search_takes_signs_for_what_they_are(office: Office, search: str) -> None:
    office.user("zhao")
    assert office.sysadm.names("user.list", search=search) == []


@pytest.mark.parametrize(("search", "found"), [("ZHA", ["zhao"]), ("Жук", ["li"]), ("жУК", ["li"]), ("小", ["zhao"])])
def test_search_does_not_mind_case(office: Office, search: str, found: list[str]) -> None:
    office.user("zhao")
    office.user("li")
    office.sysadm("user.edit", user="zhao", display_name="赵小明")
    office.sysadm("user.edit", user="li", display_name="Жуков")
    assert office.sysadm.names("user.list", search=search) == found


def test_pages_are_whole_and_in_order(office: Office) -> None:
    for number in range(7):
        office.user(f"u{number}")
        office.sysadm("user.edit", user=f"u{number}", display_name="same")
    pages = [
        office.sysadm.names("user.list", sort="display_name", descending=True, offset=offset, limit=3)
        for offset in (0, 3, 6, 9)
    ]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [name for page in pages for name in page] == [f"u{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"sort": "password_hash"}, "sort"),
        ({"filters": {"password_hash": "x"}}, "filters"),
        ({"filters": {"project": ["x"]}}, "filters"),
        ({"search": "\ud800"}, "search"),
        ({"nonsense": 1}, "nonsense"),
        ({"limit": "10"}, "limit"),
        ({"limit": True}, "limit"),
    ],
)
def test_a_list_asked_for_wrongly_says_where(office: Office, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        office.sysadm("user.list", **arguments)
    assert error.value.field == field


def test_filters(office: Office) -> None:
    office.project("web", admin="zhao")
    office.user("li")
    office.sysadm("user.freeze", user="li")
    assert office.sysadm.names("user.list", filters={"frozen": True}) == ["li"]
    assert office.sysadm.names("user.list", filters={"frozen": "false"}) == ["zhao"]
    assert office.sysadm.names("user.list", filters={"project": "web"}) == ["zhao"]
    assert office.sysadm.names("user.list", filters={"project": ""}) == ["li", "zhao"]


def test_of_two_edits_of_the_same_version_the_second_is_told_what_the_first_did(office: Office) -> None:
    office.user("zhao")
    seen = office.sysadm("user.show", user="zhao")["version"]
    office.sysadm("user.edit", user="zhao", phone="123", version=seen)
    with pytest.raises(Conflict) as error:
        office.sysadm("user.edit", user="zhao", phone="456", email="z@example.com", version=seen)
    assert "sysadm" in error.value.text()
    assert "Phone" in error.value.text()
    assert office.sysadm("user.show", user="zhao")["phone"] == "123"


def test_an_edit_that_changes_nothing_is_no_new_version(office: Office) -> None:
    office.user("zhao")
    before = office.sysadm("user.show", user="zhao")
    assert office.sysadm("user.edit", user="zhao", phone="")["version"] == before["version"]


@pytest.mark.parametrize(
    "change",
    [
        {"account": "root"},
        {"account": "a b"},
        {"display_name": "x" * 65},
        {"display_name": " x"},
        {"email": "nobody"},
        {"phone": "1" * 65},
        {"address": "line\nbreak"},
        {"description": "x" * 4001},
    ],
)
def test_a_broken_rule_names_its_field_and_changes_nothing(office: Office, change: dict[str, str]) -> None:
    office.user("zhao")
    office.user("root")
    before = office.sysadm("user.show", user="zhao")
    with pytest.raises((InvalidInput, AlreadyExists)) as error:
        office.sysadm("user.edit", user="zhao", **{"phone": "1", **change})
    assert error.value.field == next(iter(change))
    assert office.sysadm("user.show", user="zhao") == before


def test_sysadm_is_never_renamed_frozen_or_deleted(office: Office) -> None:
    refused = [
        ("user.edit", {"account": "boss"}),
        ("user.freeze", {}),
        ("user.delete", {"own_password": PASSWORD}),
        ("user.set-password", {"own_password": PASSWORD, "new_password": "Another-horse-9"}),
    ]
    for operation, arguments in refused:
        with pytest.raises(Refused):
            office.sysadm(operation, user="sysadm", **arguments)


def test_a_deleted_user_is_gone_and_what_was_done_stays_in_the_log(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    zhao("profile.edit", phone="1")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    with pytest.raises(NotFound):
        office.sysadm("user.show", user="zhao")
    assert "zhao" in {row["account"] for row in office.sysadm("log.list")["rows"]}


def test_who_has_no_project_is_told_so(office: Office) -> None:
    li = office.user("li")
    assert li("profile.show")["project"] == ""
    with pytest.raises(Exception, match="no project"):
        li("usage.show")


def test_no_password_is_in_the_log(office: Office) -> None:
    office.user("zhao")
    office.sysadm("user.set-password", user="zhao", new_password="Another-horse-9", own_password=PASSWORD)
    assert "horse" not in str(office.sysadm("log.list"))


def test_those_who_manage_no_project_are_found(office: Office) -> None:
    office.project("web")
    office.user("li")
    assert office.sysadm.names("user.list", filters={"free": True}) == ["li"]
    assert office.sysadm.names("user.list", filters={"free": False}) == ["web-admin"]


def test_who_is_the_last_to_manage_a_project_is_remarked_upon(office: Office) -> None:
    """Freezing or deleting that account is allowed, and leaves a project with VMs to nobody."""
    office.project("web", admin="zhao")
    office.user("frozen", "web")
    office.sysadm("user.freeze", user="frozen")
    office.user("free")

    def said(account: str) -> list[str]:
        return [line["parameters"]["project"] for line in office.sysadm("user.show", user=account)["lines"]]

    assert said("zhao") == ["web"]
    assert said("frozen") == said("free") == []
    office.user("qian", "web")
    assert said("zhao") == said("qian") == []
    office.sysadm("user.delete", user="qian", own_password=PASSWORD)
    assert said("zhao") == ["web"]
