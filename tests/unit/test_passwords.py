"""Password hashes and the short memory for scripts."""

from __future__ import annotations

import pytest

from core.security import passwords as module
from core.security.passwords import MEMORY_SECONDS, Passwords
from tests.fakes.clock import StillClock


def test_the_stored_hash_has_the_costs_that_are_promised() -> None:
    stored = Passwords().hash("Correct-horse-9")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert len(stored) <= 255
    assert Passwords().verify("Correct-horse-9", stored)


def test_two_hashes_of_one_password_differ(passwords: Passwords) -> None:
    assert passwords.hash("same") != passwords.hash("same")


@pytest.mark.parametrize("password", ["Correct-horse-9", "密码🙂", "\ud800", "\0", " " * 8, "x" * 128])
def test_any_text_is_a_password(passwords: Passwords, password: str) -> None:
    stored = passwords.hash(password)
    assert passwords.verify(password, stored)
    assert not passwords.verify(password + "x", stored)


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$m=65536,t=3,p=4$broken", "$2b$12$x"])
def test_a_damaged_hash_is_nobodys_password(passwords: Passwords, stored: str) -> None:
    assert not passwords.verify("Correct-horse-9", stored)


def test_a_right_password_is_remembered_for_five_minutes(passwords: Passwords, clock: StillClock) -> None:
    stored = passwords.hash("right")
    assert not passwords.remembers("right", stored)
    passwords.verify("right", stored)
    clock.advance(MEMORY_SECONDS - 1)
    assert passwords.remembers("right", stored)
    clock.advance(1)
    assert not passwords.remembers("right", stored)


def test_a_wrong_password_is_never_remembered(passwords: Passwords) -> None:
    stored = passwords.hash("right")
    passwords.verify("wrong", stored)
    assert not passwords.remembers("wrong", stored)


def test_a_changed_password_ends_the_memory_at_once(passwords: Passwords) -> None:
    stored = passwords.hash("right")
    passwords.verify("right", stored)
    assert not passwords.remembers("right", passwords.hash("right"))


def test_the_memory_is_bounded(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_ENTRIES", 2)
    stored = [passwords.hash("right") for _ in range(3)]
    for hashed in stored:
        passwords.verify("right", hashed)
    assert [passwords.remembers("right", hashed) for hashed in stored] == [False, True, True]


def test_who_does_not_exist_costs_as_much_work(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    compute = passwords._compute

    def noting(password: str, stored: str) -> bool:
        computed.append(stored)
        return compute(password, stored)

    monkeypatch.setattr(passwords, "_compute", noting)
    passwords.verify("wrong", None)
    passwords.verify("wrong", passwords.hash("right"))
    nobody, somebody = (stored.rsplit("$", 2)[0] for stored in computed)
    assert nobody == somebody


def test_a_hash_of_other_costs_is_to_be_renewed(passwords: Passwords) -> None:
    assert not passwords.needs_rehash(passwords.hash("x"))
    assert passwords.needs_rehash(Passwords(memory_kib=128, passes=1, lanes=1).hash("x"))
