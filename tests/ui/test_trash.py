"""A project is deleted: what hangs on it is read first, its name typed, and it can be taken back."""

from __future__ import annotations

import pytest

from core.errors import AlreadyExists, InUse
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, typed, until

pytestmark = pytest.mark.ui


async def test_what_hangs_on_a_project_is_read_before_it_is_deleted(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "mail" in screen_text(pilot.app))
        await pilot.press("home", "d")
        await until(pilot, lambda: "VMs (40, of which 27 run): web-front-01" in screen_text(pilot.app))
        text = screen_text(pilot.app)
        assert "Volumes (6, 120 GiB)" in text
        assert "> No <" in text
        assert not cloud.called("project.delete")


async def test_everything_is_deleted_only_when_that_is_chosen_and_the_name_typed(cloud: FakeBackend) -> None:
    cloud.refuse["project.delete"] = InUse("Project mail is not empty.", field="everything")
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "mail" in screen_text(pilot.app))
        await pilot.press("home", "d")
        await until(pilot, lambda: "Type mail to confirm" in screen_text(pilot.app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "The name is not typed as it is written." in screen_text(pilot.app))
        await typed(pilot, "mail")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Project mail is not empty." in screen_text(pilot.app))
        del cloud.refuse["project.delete"]
        await pilot.press("space", "ctrl+s")
        await until(pilot, lambda: len(cloud.called("project.delete")) == 2)
        assert cloud.called("project.delete")[-1]["everything"] is True
        assert cloud.called("project.contents")


async def test_something_is_taken_back_from_the_trash_under_another_name(cloud: FakeBackend) -> None:
    cloud.refuse["trash.restore"] = AlreadyExists("The name qian is taken.", field="name")
    async with opened(cloud, account="sysadm") as pilot:
        await pilot.press("6", "]", "]", "]")
        await until(pilot, lambda: "shop-2019" in screen_text(pilot.app))
        await pilot.press("home", "/")
        await typed(pilot, "qian")
        await pilot.press("enter")
        await until(pilot, lambda: "shop-2019" not in screen_text(pilot.app))
        await pilot.press("u")
        await until(pilot, lambda: "Under the name" in screen_text(pilot.app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "The name qian is taken." in screen_text(pilot.app))
        del cloud.refuse["trash.restore"]
        await typed(pilot, "qian-2")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("Restore" in text for text in notices(pilot)))
        assert cloud.called("trash.restore")[-1]["name"] == "qian-2"
