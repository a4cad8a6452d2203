"""Details of hosts and VMs: facts and four charts; usage as circles."""

from __future__ import annotations

import pytest

from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, shows, typed, until
from widgets.chart import LineChart

pytestmark = pytest.mark.ui


async def test_a_host_shows_facts_and_four_charts_at_80x24(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "server185", "4")
        await pilot.press("enter")
        await until(pilot, lambda: "no samples yet" not in screen_text(pilot.app) and cloud.called("host.samples"))
        text = screen_text(pilot.app)
        for words in ("Processor", "Memory", "Disk", "Network", "71%", "MiB/s", "server185"):
            assert words in text
        assert any("⠁" <= character <= "⣿" for character in text)
        assert len(list(pilot.app.screen.query(LineChart))) == 4


async def test_tab_gives_the_room_to_charts_then_to_facts(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("enter")
        await pilot.pause(0.2)
        await pilot.press("tab")
        await pilot.pause(0.1)
        assert "Instance" not in screen_text(pilot.app)
        await pilot.press("tab")
        await pilot.pause(0.1)
        assert "Processor" not in screen_text(pilot.app)
        assert "Accelerator" in screen_text(pilot.app)


async def test_a_short_interval_is_warned_about_and_kept(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("enter")
        await pilot.pause(0.2)
        await pilot.press("i")
        await pilot.pause(0.1)
        await typed(pilot, "2")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("load the host" in text for text in notices(pilot)))
        assert pilot.app.context.settings.chart_interval == 2.0
        before = len(cloud.called("vm.samples"))
        await until(pilot, lambda: len(cloud.called("vm.samples")) >= before + 2)
        assert cloud.called("vm.samples")[-1]["since"] > cloud.called("vm.samples")[0]["since"]


async def test_charts_say_when_there_is_nothing(cloud: FakeBackend) -> None:
    from core.errors import HostdUnavailable

    cloud.answers["vm.samples"] = lambda **_arguments: {"samples": []}
    async with opened(cloud) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: screen_text(pilot.app).count("no samples yet") == 4)

        def silent(**_arguments: object) -> None:
            raise HostdUnavailable("server9")

        cloud.answers["vm.samples"] = silent
        pilot.app.screen._ask_samples()
        await until(pilot, lambda: "hostd does not answer" in screen_text(pilot.app))
        assert "does not answer" not in screen_text(pilot.app).splitlines()[2], "another host's silence is no banner"


async def test_usage_is_seven_circles_with_their_figures(cloud: FakeBackend) -> None:
    cloud.rows["usage"][0].update(used_disk=3 << 40, max_snapshots=0, used_snapshots=0)
    async with opened(cloud) as pilot:
        await shows(pilot, "Inst.", "4")
        await shows(pilot, "60 of 64", "enter")
        text = screen_text(pilot.app)
        for words in ("93%", "100%", "96 GiB of 128 GiB", "150%, over", "none allowed", "7 d 00:01:11", "used", "free"):
            assert words in text
        titles = ("Instances", "VCPUs", "Memory", "Disk", "Images", "Image space", "Snapshots")
        assert all(title in text for title in titles), "all seven at 80x24"
        assert "⣿" in text


async def test_a_circle_is_chosen_by_arrows_and_seen_large(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "Inst.", "4")
        await shows(pilot, "60 of 64", "enter")
        await pilot.press("down", "right", "enter")
        await until(pilot, lambda: "VCPUs" not in screen_text(pilot.app))
        text = screen_text(pilot.app)
        assert "▸Image space" in text
        assert "quota: 100 GiB" in text
        assert "free: 67 GiB" in text
        await shows(pilot, "▸Images", "left")
        await shows(pilot, "VCPUs", "escape")
        await pilot.press("escape")
        await until(pilot, lambda: "Enter" not in screen_text(pilot.app).splitlines()[-1])


async def test_the_system_administrator_sees_the_circles_of_any_project(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await shows(pilot, "60 of 64", "end", "p")
        web = next(row for row in cloud.rows["usage"] if row["name"] == "web")
        assert cloud.called("usage.show")[-1] == {"usage": web["uuid"]}


async def test_actions_work_in_the_details_too(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("enter")
        await pilot.pause(0.2)
        await pilot.press("z")
        await until(pilot, lambda: len(cloud.called("vm.suspend")) == 1)
        cloud.change("vm", "web-front-01", state="paused")
        await until(pilot, lambda: "‖ paused" in screen_text(pilot.app))


async def test_plain_draws_with_ascii_only(cloud: FakeBackend) -> None:
    async with opened(cloud, theme="plain") as pilot:
        for keys in ((), ("enter",), ("escape", "b"), ("escape", "a"), ("escape", "ctrl+p"), ("escape", "f3")):
            await pilot.press(*keys)
            await pilot.pause(0.15)
            assert screen_text(pilot.app).isascii(), [c for c in screen_text(pilot.app) if not c.isascii()]


@pytest.mark.parametrize("area", ["log", "login-log", "log-purge", "host-history"])
async def test_times_of_logs_and_histories_have_seconds_in_the_list(cloud: FakeBackend, area: str) -> None:
    """Rows of the same minute are told apart; the manual shows seconds there."""
    cloud.rows[area] = [{**row, "at": "2026-11-24T09:00:37"} for row in cloud.rows[area]]
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource(area)
        await shows(pilot, "2026-11-24 09:00:37")


async def test_what_was_cleared_before_is_read_to_the_second(cloud: FakeBackend) -> None:
    cloud.rows["log-purge"][0]["before"] = "2026-11-24T08:16:30"
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("log-purge")
        await shows(pilot, "2026-11-24 08:16:30")


async def test_times_have_seconds_in_the_details_though_short_columns_have_not(cloud: FakeBackend) -> None:
    cloud.rows["user"][0]["created"] = "2026-11-24T09:00:37"
    async with opened(cloud, account="sysadm", size=(140, 20)) as pilot:
        await until(pilot, lambda: "2026-11-24 09:00" in screen_text(pilot.app))
        assert "09:00:37" not in screen_text(pilot.app)
        await shows(pilot, "2026-11-24 09:00:37", "end", "enter")
