"""Logging in, and what is left of it."""

from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, update

from core.database import Database
from core.errors import AuthenticationFailed, DosvmError, PasswordChangeRequired
from core.model import LoginLog, Session, User
from core.services.sessions import Sessions
from tests.fakes.clock import StillClock
from tests.fakes.office import PASSWORD, Office

HERE = "192.0.2.7"
NEW = "Another-horse-9"


def outcomes(office: Office) -> list[str]:
    return [row["outcome"] for row in office.sysadm("login-log.list", sort="at")["rows"]]


def wrong(sessions: Sessions, times: int, account: str = "zhao", address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(AuthenticationFailed, match="is wrong"):
            sessions.login(account, "no-horse", address)


@pytest.fixture
def zhao(office: Office) -> Office:
    office.project("web", admin="zhao")
    return office


def test_a_login_gives_a_token_and_the_own_row(zhao: Office, sessions: Sessions) -> None:
    token, user = sessions.login("zhao", PASSWORD, HERE)
    assert (user["account"], user["role"], user["project"], user["must_change_password"]) == (
        "zhao",
        "project",
        "web",
        False,
    )
    # What does not change with the project's name: a console tells by it whether it is another one.
    assert user["project_uuid"] == zhao.sysadm("project.show", project="web")["uuid"]
    assert zhao.person("zhao")("profile.show")["project_uuid"] == user["project_uuid"]
    assert zhao.sysadm("profile.show")["project_uuid"] is None
    actor = sessions.authenticate_token(token, HERE)
    assert (actor.account, actor.role, actor.address, actor.project_active) == ("zhao", "project", HERE, True)
    assert outcomes(zhao) == ["right"]
    row = zhao.sysadm("login-log.list")["rows"][0]
    assert (row["account"], row["address"]) == ("zhao", HERE)


def test_the_token_itself_is_nowhere_in_the_database(zhao: Office, sessions: Sessions, database: Database) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    assert len(bytes.fromhex(token)) == 32
    digests = database.read(lambda s: list(s.scalars(select(Session.digest))))
    assert token not in digests
    assert len(digests) == 1


def test_a_logout_ends_the_session_at_once(zhao: Office, sessions: Sessions) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    sessions.authenticate_token(token, HERE)
    sessions.logout(token)
    sessions.logout(token)
    with pytest.raises(AuthenticationFailed):
        sessions.authenticate_token(token, HERE)


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "\ud800", "字"])
def test_no_other_token_is_taken(zhao: Office, sessions: Sessions, token: str) -> None:
    with pytest.raises(AuthenticationFailed):
        sessions.authenticate_token(token, HERE)


def test_a_session_ends_after_twelve_idle_hours(zhao: Office, sessions: Sessions, clock: StillClock) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    for _ in range(3):
        clock.advance(11 * 3600)
        sessions.authenticate_token(token, HERE)
    clock.advance(12 * 3600 + 1)
    with pytest.raises(AuthenticationFailed, match="ended"):
        sessions.authenticate_token(token, HERE)


def test_a_token_costs_no_statement_each_time(zhao: Office, sessions: Sessions, database: Database) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    sessions.authenticate_token(token, HERE)
    database.write(lambda s: s.execute(update(User).values(account=User.account + "!")))
    assert sessions.authenticate_token(token, HERE).account == "zhao"


def test_a_token_is_looked_up_again_after_a_few_seconds(
    zhao: Office, sessions: Sessions, database: Database, clock: StillClock
) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    sessions.authenticate_token(token, HERE)
    database.write(lambda s: s.execute(update(User).where(User.account == "zhao").values(account="zhou")))
    clock.advance(4)
    assert sessions.authenticate_token(token, HERE).account == "zhou"


def test_a_deactivated_project_is_felt_at_once(zhao: Office, sessions: Sessions) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    assert sessions.authenticate_token(token, HERE).project_active
    zhao.sysadm("project.deactivate", project="web")
    assert not sessions.authenticate_token(token, HERE).project_active


def test_frozen_users_cannot_log_in_but_go_on_where_they_are(zhao: Office, sessions: Sessions) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    zhao.sysadm("user.freeze", user="zhao")
    with pytest.raises(AuthenticationFailed, match="frozen"):
        sessions.login("zhao", PASSWORD, HERE)
    with pytest.raises(AuthenticationFailed, match="frozen"):
        sessions.authenticate_password("zhao", PASSWORD, HERE, log=True)
    with pytest.raises(AuthenticationFailed, match="is wrong"):
        sessions.login("zhao", "no-horse", HERE)  # who does not know the password is not told
    assert sessions.authenticate_token(token, HERE).account == "zhao"
    zhao.sysadm("user.unfreeze", user="zhao")
    sessions.login("zhao", PASSWORD, HERE)
    assert outcomes(zhao) == ["right", "frozen", "frozen", "wrong", "right"]


def test_a_changed_password_ends_the_other_sessions_and_the_old_password(zhao: Office, sessions: Sessions) -> None:
    mine, _user = sessions.login("zhao", PASSWORD, HERE)
    other, _user = sessions.login("zhao", PASSWORD, "192.0.2.8")
    sessions.authenticate_token(other, "192.0.2.8")
    actor = sessions.authenticate_token(mine, HERE)
    zhao.services.call("profile.change-password", {"old_password": PASSWORD, "new_password": NEW}, actor, "r1")
    assert sessions.authenticate_token(mine, HERE).account == "zhao"
    with pytest.raises(AuthenticationFailed, match="ended"):
        sessions.authenticate_token(other, "192.0.2.8")
    with pytest.raises(AuthenticationFailed):
        sessions.authenticate_password("zhao", PASSWORD, HERE, log=False)
    assert sessions.authenticate_password("zhao", NEW, HERE, log=False).account == "zhao"


def test_a_password_set_by_the_system_administrator_ends_all_sessions(zhao: Office, sessions: Sessions) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    sessions.authenticate_token(token, HERE)
    zhao.sysadm("user.set-password", user="zhao", new_password=NEW, own_password=PASSWORD)
    with pytest.raises(AuthenticationFailed, match="ended"):
        sessions.authenticate_token(token, HERE)
    sessions.login("zhao", NEW, HERE)


def test_the_first_password_must_be_changed_before_anything_else(
    zhao: Office, sessions: Sessions, database: Database
) -> None:
    database.write(lambda s: s.execute(update(User).values(must_change_password=True)))
    token, user = sessions.login("zhao", PASSWORD, HERE)
    assert user["must_change_password"]
    actor = sessions.authenticate_token(token, HERE)
    with pytest.raises(PasswordChangeRequired):
        zhao.services.call("profile.show", {}, actor, "r1")
    change = {"old_password": PASSWORD, "new_password": PASSWORD}
    with pytest.raises(DosvmError) as error:
        zhao.services.call("profile.change-password", change, actor, "r2")
    assert error.value.field == "new_password"  # the old one again is no change
    zhao.services.call("profile.change-password", {**change, "new_password": NEW}, actor, "r3")
    zhao.services.call("profile.show", {}, sessions.authenticate_token(token, HERE), "r4")


def test_a_deleted_user_is_out(zhao: Office, sessions: Sessions) -> None:
    token, _user = sessions.login("zhao", PASSWORD, HERE)
    sessions.authenticate_token(token, HERE)
    zhao.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    with pytest.raises(AuthenticationFailed):
        sessions.authenticate_token(token, HERE)


def test_after_three_wrong_passwords_the_wait_doubles_up_to_a_minute(
    zhao: Office, sessions: Sessions, clock: StillClock
) -> None:
    wrong(sessions, 3)
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        with pytest.raises(AuthenticationFailed, match="Too many") as error:
            sessions.login("zhao", PASSWORD, HERE)  # not even the right one
        assert error.value.parameters["seconds"] == wait
        clock.advance(wait)
        wrong(sessions, 1)
    clock.advance(60)
    sessions.login("zhao", PASSWORD, HERE)
    wrong(sessions, 2)
    sessions.login("zhao", PASSWORD, HERE)


def test_waiting_does_not_get_longer_by_trying_too_early(zhao: Office, sessions: Sessions, clock: StillClock) -> None:
    wrong(sessions, 3)
    for _ in range(20):
        with pytest.raises(AuthenticationFailed, match="Too many"):
            sessions.login("zhao", PASSWORD, HERE)
    clock.advance(1)
    sessions.login("zhao", PASSWORD, HERE)


def test_wrong_passwords_count_by_account_from_anywhere(zhao: Office, sessions: Sessions) -> None:
    for number in range(3):
        wrong(sessions, 1, address=f"192.0.2.{number}")
    with pytest.raises(AuthenticationFailed, match="Too many"):
        sessions.login("zhao", PASSWORD, "192.0.2.99")


def test_wrong_passwords_count_by_address_for_any_account(zhao: Office, sessions: Sessions) -> None:
    for account in ("a", "b", "c"):
        wrong(sessions, 1, account)
    with pytest.raises(AuthenticationFailed, match="Too many"):
        sessions.login("zhao", PASSWORD, HERE)
    sessions.login("zhao", PASSWORD, "192.0.2.99")


def test_wrong_passwords_are_forgotten_after_fifteen_minutes(
    zhao: Office, sessions: Sessions, clock: StillClock
) -> None:
    wrong(sessions, 3)
    clock.advance(15 * 60 + 1)
    wrong(sessions, 3)


def test_a_remembered_password_waits_like_any_other(zhao: Office, sessions: Sessions) -> None:
    sessions.authenticate_password("zhao", PASSWORD, HERE, log=False)
    wrong(sessions, 3)
    with pytest.raises(AuthenticationFailed, match="Too many"):
        sessions.authenticate_password("zhao", PASSWORD, HERE, log=False)


def test_guessing_all_at_once_is_no_way_around(zhao: Office, sessions: Sessions, database: Database) -> None:
    said: list[str] = []

    def guess(number: int) -> None:
        try:
            sessions.login("zhao", f"guess-{number}", HERE)
        except AuthenticationFailed as error:
            said.append(error.message)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("wrong" in message and "Too" not in message for message in said) == 3
    assert database.read(lambda s: s.scalar(select(func.count()).select_from(LoginLog))) == 12


def test_right_passwords_all_at_once_are_all_right(zhao: Office, sessions: Sessions) -> None:
    said: list[str] = []

    def work() -> None:
        said.append(sessions.authenticate_password("zhao", PASSWORD, HERE, log=True).account)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["zhao"] * 12
    assert outcomes(zhao) == ["right"] * 12


def test_guessing_the_own_password_in_a_session_is_slowed_too(zhao: Office) -> None:
    for _ in range(3):
        with pytest.raises(DosvmError, match="not your password"):
            zhao.person("zhao")("profile.change-password", old_password="no-horse", new_password=NEW)
    with pytest.raises(AuthenticationFailed, match="Too many"):
        zhao.person("zhao")("profile.change-password", old_password=PASSWORD, new_password=NEW)


@pytest.mark.parametrize("account", ["", "nobody", "x" * 500, "[red]x", "' OR 1=1 --", "\ud800", "\0"])
def test_who_is_nobody_is_told_no_more_than_who_is_wrong(zhao: Office, sessions: Sessions, account: str) -> None:
    with pytest.raises(AuthenticationFailed) as nobody:
        sessions.login(account, PASSWORD, "x" * 500)
    with pytest.raises(AuthenticationFailed) as known:
        sessions.login("zhao", "no-horse", HERE)
    assert nobody.value.text() == known.value.text()
    assert outcomes(zhao) == ["wrong", "wrong"]


def test_a_hash_of_yesterdays_cost_is_renewed(zhao: Office, sessions: Sessions, database: Database) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    database.write(lambda s: s.execute(update(User).where(User.account == "zhao").values(password_hash=old)))
    sessions.login("zhao", PASSWORD, HERE)
    stored = database.read(lambda s: s.scalar(select(User.password_hash).where(User.account == "zhao")))
    assert stored != old
    sessions.login("zhao", PASSWORD, HERE)


def test_a_clock_set_back_locks_nobody_out(zhao: Office, sessions: Sessions, clock: StillClock) -> None:
    wrong(sessions, 3)
    clock.set_wall(clock.now().replace(year=2025))
    sessions.login("zhao", PASSWORD, HERE)
