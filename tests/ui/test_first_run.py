"""The system administrator's first login to an empty cloud."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, screen_text, typed, until

pytestmark = pytest.mark.ui


async def test_from_the_offer_to_the_administrators_login(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: "Make this machine a cloud of one host" in screen_text(pilot.app))
        assert "/var/lib/dosvm" in screen_text(pilot.app)
        form = pilot.app.screen.form
        form.focus_field("new_password")
        await pilot.pause(0.05)
        await typed(pilot, "demo-secret-9")
        await pilot.press("enter")
        await typed(pilot, "demo-secret-9")
        form.focus_field("own_password")
        await pilot.pause(0.05)
        await typed(pilot, "wrong")
        cloud.refuse["cloud.prepare"] = InvalidInput("This is not your password.", field="own_password")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "This is not your password." in screen_text(pilot.app))
        del cloud.refuse["cloud.prepare"]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "This machine is a cloud now" in screen_text(pilot.app))
        assert "Install the sample image" in screen_text(pilot.app)
        (task,) = cloud.tasks
        cloud.end_task(task)
        await until(pilot, lambda: "The sample image is installed." in screen_text(pilot.app))
        assert cloud.called("cloud.prepare")[-1]["capacity"] == 20 * 1024**3
        await pilot.press("enter")
        await until(pilot, lambda: "Log in with your account." in screen_text(pilot.app))


async def test_later_is_later_and_the_palette_still_has_it(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
        await pilot.press("escape", ":")
        await pilot.pause(0.1)
        await typed(pilot, "prepare")
        await until(pilot, lambda: "Make this machine a cloud of one host" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: "Directory for images" in screen_text(pilot.app))


async def test_a_cloud_that_is_used_is_not_offered_anything(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await until(pilot, lambda: cloud.called("cloud.status"))
        await pilot.pause(0.2)
        assert len(pilot.app.screen_stack) == 2
