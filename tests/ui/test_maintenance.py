"""A host is emptied from the list of hosts: the plan is read first, and the list says how far it is."""

from __future__ import annotations

import pytest

from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, shows, until

pytestmark = pytest.mark.ui


async def test_a_host_is_emptied_and_brought_back(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "server185", "4")
        await pilot.press("home", "b")
        await until(pilot, lambda: any("makes no sense" in text for text in notices(pilot)))
        await shows(pilot, "stopped in any case (1): mail-1.", "m")
        assert "A disk of VM mail-1 is not on host server186." in screen_text(pilot.app)
        assert not cloud.called("host.drain")
        await pilot.press("right", "right", "ctrl+s")
        await until(pilot, lambda: bool(cloud.called("host.drain")))
        assert cloud.called("host.drain")[-1]["policy"] == "stop"
        await until(pilot, lambda: "◐ draining" in screen_text(pilot.app))
        await shows(pilot, "Start what was stopped", "b")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(cloud.called("host.undrain")))
        assert cloud.called("host.undrain")[-1]["start"] is True
        await until(pilot, lambda: "draining" not in screen_text(pilot.app))
