"""The parameters of the cloud in the console: ranges and units at each field, rules between fields as one types."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, shows, typed, until

pytestmark = pytest.mark.ui

GREATER = "It must be greater than the interval of VM samples"


async def test_each_field_shows_its_range_and_unit(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm", size=(80, 30)) as pilot:
        await shows(pilot, "server186", "7")
        await shows(pilot, "2-1800 s", "e")
        for words in ("4-1800 s", "5-1800 s", "10-3600 s", "2-300 s", "5-300 s", "1-10 beats", "1-65535 TCP"):
            assert words in screen_text(pilot.app)


async def test_a_rule_between_two_fields_is_told_at_its_field_whichever_is_typed(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm", size=(80, 30)) as pilot:
        await shows(pilot, "server186", "7")
        await shows(pilot, "2-1800 s", "e")
        form = pilot.app.screen.query_one("Form")
        await typed(pilot, "60")
        assert form.rows["vm_sample_interval"].input.get() == 60
        assert GREATER in form.rows["vm_flush_interval"].error
        assert not form.rows["vm_sample_interval"].error
        await pilot.press("ctrl+s")
        assert not cloud.called("settings.edit"), "sent although it is wrong"
        assert form.rows["vm_flush_interval"].has_focus_within
        await pilot.press("backspace", "backspace")
        await typed(pilot, "90")
        assert not form.rows["vm_flush_interval"].error
        # Out of its own range counts before what stands beside it.
        await pilot.press("backspace", "backspace")
        await typed(pilot, "3")
        assert "At least 4" in form.rows["vm_flush_interval"].error
        await pilot.press("backspace")
        await typed(pilot, "90")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(cloud.called("settings.edit")) == 1)
        assert cloud.called("settings.edit")[0] == {"vm_sample_interval": 60, "vm_flush_interval": 90, "version": 4}
        await until(pilot, lambda: any("done" in text for text in notices(pilot)))


async def test_what_the_cloud_refuses_is_told_at_its_field(cloud: FakeBackend) -> None:
    cloud.refuse["settings.edit"] = InvalidInput(
        "{path} belongs to the system.", field="temporary_directory", path="/etc"
    )
    async with opened(cloud, account="sysadm", size=(80, 30)) as pilot:
        await shows(pilot, "server186", "7")
        await shows(pilot, "2-1800 s", "e")
        await typed(pilot, "7")
        await shows(pilot, "/etc belongs to the system", "ctrl+s")
