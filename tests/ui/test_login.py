"""Somebody logs in for the first time, wrongly, again after a while, and as somebody else."""

from __future__ import annotations

import pytest

from core.errors import AuthenticationFailed
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, rows_are_there, screen_text, shows, table, typed, until

pytestmark = pytest.mark.ui


async def test_account_password_enter(cloud: FakeBackend) -> None:
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("enter")
        await typed(pilot, "Zha0-secret-9")
        assert "secret" not in screen_text(pilot.app)
        await shows(pilot, "web-front-01", "enter")


async def test_a_wrong_password_is_typed_anew(cloud: FakeBackend) -> None:
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("tab")
        await typed(pilot, "wrong")
        await shows(pilot, "The account or the password is wrong.", "enter")
        form = pilot.app.screen.query_one("Form")
        assert form.rows["account"].input.value == "zhao"
        assert form.rows["password"].input.value == ""
        await typed(pilot, "Zha0-secret-9")
        await shows(pilot, "web-front-01", "enter")


async def test_nothing_typed_says_what_is_needed(cloud: FakeBackend) -> None:
    async with opened(cloud, account=None) as pilot:
        await pilot.press("ctrl+s")
        await pilot.pause(0.1)
        assert screen_text(pilot.app).count("This is needed.") == 2


async def test_a_slow_check_says_why_it_is_slow(cloud: FakeBackend) -> None:
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("tab")
        await typed(pilot, "x")
        cloud.delay = 2.5
        await shows(pilot, "after wrong passwords this takes longer", "enter")
        cloud.delay = 0.0
        await until(pilot, lambda: "is wrong." in screen_text(pilot.app))


async def test_the_language_is_switched_and_nothing_typed_is_lost(cloud: FakeBackend) -> None:
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zha")
        await pilot.press("f6")
        await pilot.pause(0.1)
        assert "账号" in screen_text(pilot.app)
        await typed(pilot, "o")
        assert pilot.app.screen.query_one("Form").rows["account"].input.value == "zhao"
        await pilot.press("f6")
        await pilot.pause(0.1)
        assert "Account" in screen_text(pilot.app)


async def test_a_first_password_must_be_changed(cloud: FakeBackend) -> None:
    cloud.must_change.add("zhao")
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("enter")
        await typed(pilot, "Zha0-secret-9")
        await shows(pilot, "Choose a new password", "enter")
        await typed(pilot, "Zha0-secret-9")
        await pilot.press("enter")
        await typed(pilot, "short")
        assert "at least 8" in screen_text(pilot.app)
        await typed(pilot, "er-one-9")
        await pilot.press("enter")
        await typed(pilot, "shorter-one-9")
        await shows(pilot, "web-front-01", "ctrl+s")
        assert cloud.passwords["zhao"] == "shorter-one-9"


async def test_an_ended_session_asks_again_and_comes_back_to_the_same_place(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk6", "2")
        await pilot.press("down", "down")
        cloud.session = False
        await until(pilot, lambda: "The session has ended." in screen_text(pilot.app))
        await typed(pilot, "Zha0-secret-9")
        await pilot.press("enter")
        await until(pilot, lambda: "disk6" in screen_text(pilot.app) and rows_are_there(pilot.app))
        assert table(pilot).cursor_row["name"] == "disk3"
        cloud.change("volume", "disk3", state="creating")
        await until(pilot, lambda: "creating" in screen_text(pilot.app))


async def test_after_an_ended_session_somebody_else_begins_anew(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        cloud.refuse["vm.list"] = AuthenticationFailed("The session has ended.")
        await shows(pilot, "Log in again", "r")
        del cloud.refuse["vm.list"]
        form = pilot.app.screen.query_one("Form")
        form.rows["account"].input.put("sysadm")
        await typed(pilot, "Adm1n-secret-9")
        await shows(pilot, "赵小明", "enter")
        assert len(pilot.app.screen_stack) == 2


async def test_logging_out_leaves_nothing_on_screen(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "Log in with your account.", "f10")
        await until(pilot, lambda: not cloud.session)
        assert len(pilot.app.screen_stack) == 2
        assert "web-front" not in screen_text(pilot.app)
