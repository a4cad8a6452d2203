"""hostd or the database goes away, and comes back: a banner, no crash, nothing on screen lost."""

from __future__ import annotations

import threading
import time

import pytest

from core.errors import DatabaseUnavailable, DosvmError, HostdUnavailable, Refused
from dosvm_tui import reach
from dosvm_tui.app import end_session
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import console_over, notices, opened, rows_are_there, screen_text, shows, table, typed, until

pytestmark = pytest.mark.ui


@pytest.mark.parametrize("error", [HostdUnavailable("/run/hostd.sock"), DatabaseUnavailable("gone away")])
async def test_a_banner_with_a_clock_and_then_all_is_well(cloud: FakeBackend, error: DosvmError) -> None:
    async with opened(cloud) as pilot:
        cloud.away = error
        await until(pilot, lambda: "does not answer" in screen_text(pilot.app))
        await until(pilot, lambda: "again" in screen_text(pilot.app))
        assert "web-front-01" in screen_text(pilot.app)
        await pilot.press("down", "down")
        cloud.rows["vm"] = [{**row, "state": "paused"} for row in cloud.rows["vm"]]
        cloud.away = None
        await until(pilot, lambda: "does not answer" not in screen_text(pilot.app), 20)
        await until(pilot, lambda: "running" not in screen_text(pilot.app))
        assert table(pilot).cursor_row["name"] == "web-front-03"


async def test_the_console_starts_while_hostd_is_away(cloud: FakeBackend) -> None:
    cloud.away = HostdUnavailable("/run/hostd.sock")
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("enter")
        await typed(pilot, "Zha0-secret-9")
        await shows(pilot, "hostd does not answer at", "enter")
        await until(pilot, lambda: "sends it again" in screen_text(pilot.app))
        assert pilot.app.screen.query_one("Form").rows["password"].input.value == "Zha0-secret-9"
        cloud.away = None
        await shows(pilot, "web-front-01", "enter")


async def test_a_form_survives_the_absence(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "new-one")
        pilot.app.screen.form.rows["instance"].input.put("web-front")
        cloud.away = HostdUnavailable("/run/hostd.sock")
        await shows(pilot, "hostd does not answer", "ctrl+s")
        assert pilot.app.screen.form.rows["name"].input.value == "new-one"
        cloud.away = None
        await pilot.press("ctrl+s")
        await until(pilot, lambda: cloud.called("vm.add") and rows_are_there(pilot.app), 20)


async def test_a_list_that_is_refused_says_why_and_goes_on(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        cloud.refuse["volume.list"] = Refused("The project is deactivated.", remedy="Ask the system administrator.")
        await shows(pilot, "The project is deactivated. Ask the system", "2")
        del cloud.refuse["volume.list"]
        await shows(pilot, "disk6", "r")


async def test_an_error_nobody_thought_of_is_a_sentence_too(cloud: FakeBackend) -> None:
    def broken(**_arguments: object) -> None:
        raise ZeroDivisionError("oops")

    cloud.answers["vm.suspend"] = broken
    async with opened(cloud) as pilot:
        await pilot.press("z")
        await until(pilot, lambda: any("ZeroDivisionError: oops" in text for text in notices(pilot)))
        await pilot.press("down")
        assert table(pilot).cursor == 1


async def test_what_vanished_meanwhile_is_said_in_its_details(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("enter")
        await pilot.pause(0.2)
        cloud.rows["vm"] = cloud.rows["vm"][1:]
        cloud.ring()
        await until(pilot, lambda: "It does not exist any more" in screen_text(pilot.app))
        assert "web-front-01" in screen_text(pilot.app)


async def test_what_is_pressed_during_an_absence_is_told_as_not_sent(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        cloud.away = HostdUnavailable("/run/hostd.sock")
        await pilot.press("z")
        await until(pilot, lambda: any("Suspend: web-front-01: not sent" in text for text in notices(pilot)))
        cloud.away = None
        await until(pilot, lambda: "does not answer" not in screen_text(pilot.app), 20)
        # The keys were heard, and not kept for later.
        assert len(cloud.called("vm.suspend")) == 1


async def test_the_banner_is_whole_at_80_columns_and_at_60(cloud: FakeBackend) -> None:
    for width in (80, 60):
        cloud.away = None
        async with opened(cloud, size=(width, 24)) as pilot:
            cloud.away = HostdUnavailable("/var/lib/dosvm/hostd.sock")
            await shows(pilot, "does not answer", "r")
            shown = " ".join(screen_text(pilot.app).split())
            assert "Start it with `dosvm hostd run`, or look at its log. Trying again" in shown, screen_text(pilot.app)


async def test_a_libvirtd_that_is_away_is_said_above_every_list_until_it_is_back(
    cloud: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "LOOK_HERE", 0.1)
    async with opened(cloud) as pilot:
        cloud.hypervisor_error = "Connection refused"
        await until(pilot, lambda: "libvirtd does not answer on server185" in screen_text(pilot.app))
        await shows(pilot, "Storage pool", "2")
        assert "libvirtd does not answer on server185" in screen_text(pilot.app)
        # What is worse is said alone.
        cloud.away = HostdUnavailable("/var/lib/dosvm/hostd.sock")
        await shows(pilot, "hostd does not answer", "r")
        assert "libvirtd does not answer" not in screen_text(pilot.app)
        cloud.away = None
        await until(pilot, lambda: "libvirtd does not answer on server185" in screen_text(pilot.app), 20)
        cloud.hypervisor_error = ""
        await until(pilot, lambda: "libvirtd does not answer" not in screen_text(pilot.app))


def test_leaving_does_not_wait_for_a_hostd_that_hangs(cloud: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(cloud, "logout", lambda: hangs.wait(30))
    app = console_over(cloud)
    begin = time.monotonic()
    end_session(app, 0.3)
    assert time.monotonic() - begin < 5
    hangs.set()
