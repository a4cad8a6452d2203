"""Secrets in the console: typed twice, shown never, offered where volumes are encrypted."""

from __future__ import annotations

import pytest

from tests.fakes.backend import FakeBackend
from tests.fakes.world import uuid_of
from tests.ui.conftest import opened, screen_text, shows, typed, until

pytestmark = pytest.mark.ui
CANARY = "Canary-of-the-console-6"


async def test_a_secret_is_added_by_keys_and_its_value_is_not_seen() -> None:
    cloud = FakeBackend()
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "disk-key", "5")
        await shows(pilot, "Add: secret", "a")
        for text in ("Archive", "archive-key", None, "mail/archive", None, None, CANARY, CANARY):
            if text is not None:
                await typed(pilot, text)
            await pilot.press("tab")
        assert CANARY not in screen_text(pilot.app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(cloud.called("secret.add")))
        assert cloud.called("secret.add") == [
            {
                "name": "archive-key",
                "display_name": "Archive",
                "kind": "volume",
                "usage": "mail/archive",
                "value": CANARY,
            }
        ]
        await until(pilot, lambda: "archive-key" in screen_text(pilot.app))
        assert CANARY not in screen_text(pilot.app)


async def test_an_edit_sends_what_was_changed_and_no_empty_value() -> None:
    cloud = FakeBackend()
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "disk-key", "5")
        await shows(pilot, "Edit: disk-key", "e")
        pilot.app.screen.form.focus_field("usage")
        await pilot.press("end")
        await typed(pilot, "-2")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(cloud.called("secret.edit")))
        assert cloud.called("secret.edit") == [{"secret": uuid_of("disk-key"), "usage": "web/disks-2", "version": 1}]


async def test_a_new_volume_picks_among_the_secrets_that_encrypt_volumes(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "disk1", "2")
        await shows(pilot, "Encrypted by", "a")
        pilot.app.screen.form.focus_field("secret")
        await shows(pilot, "mail-key", "f4")
        assert "iscsi-189" not in screen_text(pilot.app)
        assert all(asked["filters"] == {"kind": "volume"} for asked in cloud.called("secret.list"))
        await pilot.press("escape")
        pilot.app.screen.form.focus_field("format")
        await pilot.press("right", "right")
        await until(pilot, lambda: "Encrypted by" not in screen_text(pilot.app))


async def test_a_secret_that_is_used_cannot_be_deleted_and_shows_by_what(cloud: FakeBackend) -> None:
    cloud.account = "sysadm"
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "disk-key", "5")
        await pilot.press("d")
        await pilot.pause(0.2)
        assert cloud.called("secret.delete") == []
        await shows(pilot, "local/disk1", "enter")
        await shows(pilot, "The secret iscsi-189 goes to the trash", "escape", "down", "d")
