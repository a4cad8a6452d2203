"""The system administrator's first login to an empty cloud."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from core.errors import InvalidInput
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, screen_text, shows, typed, until

pytestmark = pytest.mark.ui


async def test_from_the_offer_to_the_administrators_login(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
        await shows(pilot, "Make this machine a cloud of one host", "enter")
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
        await shows(pilot, "This is not your password.", "ctrl+s")
        del cloud.refuse["cloud.prepare"]
        await shows(pilot, "This machine is a cloud now", "ctrl+s")
        assert "Install the sample image" in screen_text(pilot.app)
        pool, task = cloud.tasks
        cloud.end_task(pool)
        cloud.end_task(task)
        await until(pilot, lambda: "The sample image is installed." in screen_text(pilot.app))
        assert cloud.called("cloud.prepare")[-1]["capacity"] == 20 * 1024**3
        await shows(pilot, "Log in with your account.", "enter")


async def _made(cloud: FakeBackend, pilot: Pilot[None], *, sample: bool = True) -> None:
    """Send the form of the helper, with what it needs."""
    await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
    await shows(pilot, "Make this machine a cloud of one host", "enter")
    form = pilot.app.screen.form
    for key in ("new_password", "own_password"):
        form.focus_field(key)
        await pilot.pause(0.05)
        await typed(pilot, "demo-secret-9")
        if key == "new_password":
            await pilot.press("enter")
            await typed(pilot, "demo-secret-9")
    if not sample:
        form.focus_field("sample")
        await pilot.pause(0.05)
        await pilot.press("space")
    await shows(pilot, "This machine is a cloud now", "ctrl+s")


async def test_a_pool_that_could_not_be_made_is_not_called_made(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        await _made(cloud, pilot)
        assert "storage pool local" in screen_text(pilot.app)
        pool, image = cloud.tasks
        cloud.end_task(pool, InvalidInput("The directory is another pool's.").to_wire())
        cloud.end_task(image)
        await until(pilot, lambda: "The sample image is installed." in screen_text(pilot.app))
        await until(pilot, lambda: "The storage pool could not be made" in screen_text(pilot.app))
        assert "The directory is another pool's." in screen_text(pilot.app)
        assert "storage pool local" not in screen_text(pilot.app)


async def test_without_a_sample_none_is_called_installed(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        await _made(cloud, pilot, sample=False)
        (pool,) = cloud.tasks
        cloud.end_task(pool)
        await until(pilot, lambda: "Make the storage pool ready local: done." in screen_text(pilot.app))
        assert "sample image" not in screen_text(pilot.app)


async def test_later_is_later_and_the_palette_still_has_it(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
        await pilot.press("escape", ":")
        await pilot.pause(0.1)
        await typed(pilot, "prepare")
        await until(pilot, lambda: "Make this machine a cloud of one host" in screen_text(pilot.app))
        await shows(pilot, "Directory for images", "enter")


async def test_a_cloud_that_is_used_is_not_offered_anything(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await until(pilot, lambda: cloud.called("cloud.status"))
        await pilot.pause(0.2)
        assert len(pilot.app.screen_stack) == 2


async def test_who_types_into_a_form_higher_than_the_terminal_sees_it(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:

        def seen(label: str) -> bool:
            """The field that has the focus is on screen."""
            lines, line = screen_text(pilot.app).split("\n"), pilot.app.focused.region.y
            return 0 < line < len(lines) and label in lines[line]

        await until(pilot, lambda: "This cloud is empty" in screen_text(pilot.app))
        await shows(pilot, "Make this machine a cloud of one host", "enter")
        form = pilot.app.screen.form
        wrong = {
            "group": "云" * 65,
            "directory": "relative/dir",
            "project": "[red]x",
            "pool": "云",
            "pool_path": "/etc/passwd",
            "capacity": "abc",
        }
        for key, text in wrong.items():
            form.rows[key].input.value = text
        # From the last field, at the end of the form, to the first, of which and above which much is said now.
        form.focus_field("own_password")
        await shows(pilot, "A name has at most 64 characters.", "ctrl+s")
        await until(pilot, lambda: seen("Project group"))
        await pilot.press("backspace")
        await until(pilot, lambda: not form.rows["group"].error and seen("Project group"))
        # Where an input method opens.
        await until(pilot, lambda: pilot.app.focused.region.contains(*pilot.app.cursor_position))
        # What is said above a field goes away and comes back while another one is typed into.
        form.focus_field("capacity")
        await until(pilot, lambda: seen("Capacity") and "20GiB or 20GB." in screen_text(pilot.app))
        for key, text in (("directory", "/srv/vm"), ("pool", "local"), ("group", "云" * 65), ("pool", "云")):
            form.rows[key].input.value = text
            await pilot.pause(0.2)
            assert seen("Capacity"), key
        form.focus_field("own_password")
        await until(pilot, lambda: seen("Your own password"))
