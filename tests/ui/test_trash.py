"""A project is deleted: what hangs on it is read first, its name typed, and it can be taken back."""

from __future__ import annotations

import pytest

from core.errors import AlreadyExists, InUse
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, shows, typed, until

pytestmark = pytest.mark.ui


async def test_what_hangs_on_a_project_is_read_before_it_is_deleted(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "mail", "2")
        await shows(pilot, "VMs (40, of which 27 run): web-front-01", "home", "d")
        text = screen_text(pilot.app)
        assert "Volumes (6, 120 GiB)" in text
        assert "> No <" in text
        assert not cloud.called("project.delete")


async def test_everything_is_deleted_only_when_that_is_chosen_and_the_name_typed(cloud: FakeBackend) -> None:
    cloud.refuse["project.delete"] = InUse("Project mail is not empty.", field="everything")
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "mail", "2")
        await shows(pilot, "Type mail to confirm", "home", "d")
        await shows(pilot, "The name is not typed as it is written.", "ctrl+s")
        await typed(pilot, "mail")
        await shows(pilot, "Project mail is not empty.", "ctrl+s")
        del cloud.refuse["project.delete"]
        await pilot.press("space", "ctrl+s")
        await until(pilot, lambda: len(cloud.called("project.delete")) == 2)
        assert cloud.called("project.delete")[-1]["everything"] is True
        assert cloud.called("project.contents")


async def test_something_is_taken_back_from_the_trash_under_another_name(cloud: FakeBackend) -> None:
    cloud.refuse["trash.restore"] = AlreadyExists("The name qian is taken.", field="name")
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "shop-2019", "6", "]", "]", "]")
        await pilot.press("home", "/")
        await typed(pilot, "qian")
        await pilot.press("enter")
        await until(pilot, lambda: "shop-2019" not in screen_text(pilot.app))
        await shows(pilot, "Under the name", "u")
        await shows(pilot, "The name qian is taken.", "ctrl+s")
        del cloud.refuse["trash.restore"]
        await typed(pilot, "qian-2")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("Restore" in text for text in notices(pilot)))
        assert cloud.called("trash.restore")[-1]["name"] == "qian-2"
