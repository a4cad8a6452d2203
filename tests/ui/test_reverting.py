"""Edits are taken back from the operation log after a question that shows what becomes what."""

from __future__ import annotations

import pytest

from tests.fakes.backend import FakeBackend
from tests.fakes.world import uuid_of
from tests.ui.conftest import notices, opened, rows_are_there, screen_text, shows, until

pytestmark = pytest.mark.ui


async def test_an_edit_is_taken_back_after_a_question(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm", size=(100, 30)) as pilot:
        pilot.app.open_resource("log", root=True)
        await until(pilot, lambda: rows_are_there(pilot.app))
        await pilot.press("home", "u")
        await until(pilot, lambda: "2 GiB → 1 GiB" in screen_text(pilot.app))
        assert "max_memory" not in screen_text(pilot.app)
        assert not cloud.called("log.revert"), "it is asked first"
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(cloud.called("log.revert")) == 1)
        assert cloud.called("log.revert")[0]["log"] == uuid_of("log-0")


async def test_what_is_no_edit_says_so(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm", size=(100, 30)) as pilot:
        pilot.app.open_resource("log", root=True)
        await until(pilot, lambda: rows_are_there(pilot.app))
        await pilot.press("end", "u")
        await until(pilot, lambda: any("Only edits can be reverted, and of those" in text for text in notices(pilot)))


async def test_the_details_of_a_row_tell_what_changed_with_units(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm", size=(100, 30)) as pilot:
        pilot.app.open_resource("log", root=True)
        await until(pilot, lambda: rows_are_there(pilot.app))
        await shows(pilot, "1 GiB → 2 GiB", "home", "enter")
