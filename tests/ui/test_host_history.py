"""The history of a host in the console: the table, and the chart by keys."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from screens.registry import resource
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import form_of, notices, opened, screen_text, shows, typed, until
from widgets.chart import LineChart

pytestmark = pytest.mark.ui


async def to_hosts(pilot: Pilot[Any]) -> None:
    await shows(pilot, "server185", "4")


async def to_chart(pilot: Pilot[Any]) -> None:
    """From the hosts to the chart of the first one."""
    await to_hosts(pilot)
    await pilot.press("c")
    await until(pilot, lambda: bool(pilot.app.screen.query(LineChart)) and "%" in screen_text(pilot.app))
    await until(pilot, lambda: bool(pilot.app.screen._samples))


def line(pilot: Pilot[Any]) -> str:
    """The line that says which span, and what the cursor is at."""
    return screen_text(pilot.app).splitlines()[2]


def asked(cloud: FakeBackend) -> dict[str, Any]:
    return cloud.called("host-history.chart")[-1]


async def test_the_table_is_one_hosts_and_leads_to_the_chart_at_that_time(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await to_hosts(pilot)
        await shows(pilot, "2026-11-24 12:59", "h")
        assert "1/120" in screen_text(pilot.app)
        await shows(pilot, "Processor", "down", "down", "c")
        assert "2026-11-24 12:57:30" in line(pilot)


async def test_four_charts_with_units_axes_and_the_value_under_the_cursor(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await to_chart(pilot)
        text = screen_text(pilot.app)
        for words in ("Processor  69% (55%-98%)", "Memory", "Disk", "Network", "MiB/s", "100%", "11-24 13:04"):
            assert words in text
        assert len([chart for chart in pilot.app.screen.query(LineChart) if chart.display]) == 4
        await pilot.press("left", "left", "left")
        assert "Processor  68%" in screen_text(pilot.app)
        assert "2026-11-24 10:" in line(pilot)
        assert "│" in "".join(row[8:38] for row in screen_text(pilot.app).splitlines()[4:12]), "the cursor is not seen"


async def test_zoom_and_pan_by_keys_ask_for_that_span_only(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await to_chart(pilot)
        first = asked(cloud)
        assert (first["since"], first["until"]) == ("2026-11-23T13:04:00", "2026-11-24T13:04:00")
        assert 10 <= first["points"] <= 160
        await pilot.press("+")
        await until(pilot, lambda: asked(cloud)["since"] == "2026-11-24T01:04:00")
        await pilot.press("h")
        await until(pilot, lambda: asked(cloud)["until"] == "2026-11-24T10:04:00")
        await pilot.press("l", "l", "l", "l")
        await until(pilot, lambda: asked(cloud)["until"] == "2026-11-24T13:04:00")
        assert "2026-11-24 01:04 - 2026-11-24 13:04" in line(pilot), "moved on beyond now"
        await pilot.press("0")
        await until(pilot, lambda: asked(cloud)["since"] == "2026-10-25T13:03:30")
        await pilot.press("home")
        assert "2026-10-25 13:03:30" in line(pilot)


async def test_keys_held_down_do_not_ask_each(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await to_chart(pilot)
        before = len(cloud.called("host-history.chart"))
        await pilot.press(*["h"] * 12)
        await until(pilot, lambda: asked(cloud)["until"] == "2026-11-21T13:04:00")
        assert len(cloud.called("host-history.chart")) < before + 12


async def test_the_peak_is_found_and_a_chart_takes_all_the_room(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await to_chart(pilot)
        await pilot.press("p")
        assert "98%)" in screen_text(pilot.app)
        narrow = asked(cloud)["points"]
        await pilot.press("tab")
        await until(pilot, lambda: asked(cloud)["points"] > narrow)
        assert len([chart for chart in pilot.app.screen.query(LineChart) if chart.display]) == 1
        await pilot.press("tab", "tab", "tab", "tab")
        await until(pilot, lambda: len([c for c in pilot.app.screen.query(LineChart) if c.display]) == 4)


async def test_nothing_to_draw_is_said(cloud: FakeBackend) -> None:
    cloud.answers["host-history.chart"] = lambda **_arguments: {"samples": [], "first": None, "last": None}
    async with opened(cloud, account="sysadm") as pilot:
        await to_hosts(pilot)
        await pilot.press("c")
        await until(pilot, lambda: screen_text(pilot.app).count("no rows") == 4)
        await pilot.press("0", "p", "left", "home", "+", "-", "tab")
        assert "Processor" in screen_text(pilot.app)


async def test_clearing_begins_with_the_host_one_is_at_and_says_how_many_rows(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await to_hosts(pilot)
        await shows(pilot, "1/120", "h")
        await form_of(pilot, "d")
        assert pilot.app.screen.query_one("Form").rows["host"].input.get() == "server185"
        await pilot.press("enter")
        await typed(pilot, "2026-11-01")
        await shows(pilot, "1234 rows of the history of server185", "ctrl+s")
        assert not cloud.called("host-history.clear")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(cloud.called("host-history.clear")) == 1)
        assert cloud.called("host-history.clear")[0] == {"host": "server185", "before": "2026-11-01T00:00:00"}


async def test_plain_charts_are_ascii(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm", theme="plain") as pilot:
        await to_chart(pilot)
        assert screen_text(pilot.app).isascii(), [c for c in screen_text(pilot.app) if not c.isascii()]


async def test_where_nothing_was_ever_written_one_does_not_get_lost_in_the_past(cloud: FakeBackend) -> None:
    cloud.answers["host-history.chart"] = lambda **_arguments: {"samples": [], "first": None, "last": None}
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_special("host-history", resource("host"), cloud.rows["host"][0])  # type: ignore[attr-defined]
        await until(pilot, lambda: "no rows" in screen_text(pilot.app))
        screen = pilot.app.screen
        for key in ("-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"):
            screen.press_key(key)  # type: ignore[attr-defined]
        for _turn in range(500):
            screen.press_key("pageup")  # type: ignore[attr-defined]
        await pilot.pause(0.2)
        assert "no rows" in screen_text(pilot.app)


async def test_what_was_cleared_is_called_by_the_readers_time(cloud: FakeBackend, shanghai: None) -> None:
    """It is kept as UTC, in the log and in the task; who typed a time reads that one again."""
    kept = "2026-01-01 00:00:00 UTC"
    cloud.rows["log"] = [{**cloud.rows["log"][0], "operation": "log.clear", "target": kept, "name": kept}]
    cloud.rows["task"] = [{**cloud.rows["task"][0], "kind": "purge", "target_name": f"server185: {kept}"}]
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("log", root=True)
        await shows(pilot, "2026-01-01 08:00:00")
        form = await form_of(pilot, "d")
        form.rows["before"].input.put("2026-01-01T00:00:00")
        await shows(pilot, "before 2026-01-01 08:00", "ctrl+s")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: bool(cloud.tasks))
        cloud.end_task(next(iter(cloud.tasks)))
        await until(pilot, lambda: "Clear 2026-01-01 08:00:00: done." in notices(pilot))
        pilot.app.open_resource("task", root=True)
        await shows(pilot, "server185: 2026-")
        await shows(pilot, "server185: 2026-01-01 08:00:00", "enter")
        assert "UTC" not in screen_text(pilot.app)
