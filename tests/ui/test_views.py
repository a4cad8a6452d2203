"""A person arranges the console: columns, order, details, colours; and finds it so at the next host."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.i18n import language, set_language
from dosvm_tui.settings import Settings
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, rows_are_there, screen_text, shows, table, typed, until

pytestmark = pytest.mark.ui


async def test_any_column_is_sorted_by_in_three_keys(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "VMs: columns and order", "O")
        table(pilot).go_to("memory")
        await pilot.press("enter")
        await until(pilot, lambda: cloud.called("vm.list")[-1]["sort"] == "memory")
        await until(pilot, lambda: rows_are_there(pilot.app) and "Memory▲" in screen_text(pilot.app))
        await shows(pilot, "smallest first", "O")
        await pilot.press("enter")
        await until(pilot, lambda: cloud.called("vm.list")[-1]["descending"] is True)


async def test_what_no_operation_sorts_by_says_so_and_stays(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "cannot be sorted by", "O")
        table(pilot).go_to("cpu_percent")
        await pilot.press("enter")
        await shows(pilot, "CPU: It changes by the second: hosts are asked")
        assert "columns and order" in screen_text(pilot.app)
        assert {call["sort"] for call in cloud.called("vm.list")} == {""}


async def test_what_only_the_details_show_is_sorted_by_too(cloud: FakeBackend) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        await shows(pilot, "Web shop", "2")
        await shows(pilot, "columns and order", "O")
        table(pilot).go_to("max_vcpus")
        await pilot.press("enter")
        await until(pilot, lambda: cloud.called("project.list")[-1]["sort"] == "max_vcpus")


async def test_columns_are_chosen_and_moved_and_are_so_at_the_next_host(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "columns and order", "O")
        columns = table(pilot)
        columns.go_to("memory")
        await pilot.press("space")
        columns.go_to("vnc_port")
        await shows(pilot, "VNC port", "space", *["K"] * 12, "ctrl+s")
        head = next(line for line in screen_text(pilot.app).splitlines() if "VNC port" in line)
        assert "Memory" not in head
        assert head.index("VNC port") < head.index("Name")
        await until(pilot, lambda: "zhao" in cloud.preferences)
    async with opened(cloud, size=(160, 48)) as pilot:
        head = next(line for line in screen_text(pilot.app).splitlines() if "VNC port" in line)
        assert "Memory" not in head
        await shows(pilot, "columns and order", "O")
        await pilot.click("#usual")
        await until(pilot, lambda: "Uptime" in screen_text(pilot.app))
        await until(pilot, lambda: "lists" not in cloud.preferences["zhao"])


async def test_the_name_cannot_be_taken_away(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "columns and order", "O")
        table(pilot).go_to("name")
        await shows(pilot, "web-front-01", "space", "ctrl+s")


async def test_esc_leaves_the_list_as_it_was(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "columns and order", "O")
        table(pilot).go_to("memory")
        await pilot.press("space", "escape")
        await pilot.pause(0.1)
        assert "Memory" in screen_text(pilot.app)


async def test_details_stand_below_or_at_the_right_and_follow_the_cursor(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        assert "Host address" not in screen_text(pilot.app)
        await shows(pilot, "Host address", "P")
        await pilot.press("down")
        await until(pilot, lambda: screen_text(pilot.app).count("web-front-02") > 1)
        await pilot.press("P")
        await pilot.pause(0.1)
        assert pilot.app.screen.query_one("#pane").region.x == 80 - 44
        assert screen_text(pilot.app).count("web-front-02") > 1
        assert "web-front-19" in screen_text(pilot.app), "the list has its whole height again"
        await until(pilot, lambda: cloud.preferences.get("zhao", {}).get("pane") == "right")
        await pilot.press("P")
        await pilot.pause(0.1)
        assert "Host address" not in screen_text(pilot.app)


async def test_what_is_chosen_goes_to_the_cloud_once_it_rests_or_on_leaving(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("f7", "f7", "f7", "f7", "s", "S")
        await pilot.press("f10")
        await until(pilot, lambda: not cloud.session)
        assert cloud.preferences["zhao"]["theme"] == "plain"
        assert cloud.preferences["zhao"]["lists"] == {"vm": {"sort": "-name"}}
        assert len(cloud.called("profile.set-preferences")) < 5


async def test_the_next_person_at_the_same_terminal_begins_with_their_own(cloud: FakeBackend) -> None:
    cloud.preferences = {"zhao": {"theme": "high-contrast", "lists": {"vm": {"sort": "-name"}}}}
    async with opened(cloud) as pilot:
        assert pilot.app.theme == "high-contrast"
        assert cloud.called("vm.list")[0]["descending"] is True
        await shows(pilot, "Log in with your account.", "f10")
        await typed(pilot, "sysadm")
        await pilot.press("enter")
        await typed(pilot, "Adm1n-secret-9")
        await shows(pilot, "mueller", "enter")
        assert pilot.app.theme == "dark"
        assert "sysadm" not in cloud.preferences


async def test_a_language_chosen_at_the_login_is_the_persons(cloud: FakeBackend) -> None:
    cloud.preferences = {"zhao": {"language": "en"}}
    async with opened(cloud, account=None) as pilot:
        await pilot.press("f6")
        await typed(pilot, "zhao")
        await pilot.press("enter")
        await typed(pilot, "Zha0-secret-9")
        await shows(pilot, "web-front-01", "enter")
        assert language() == "zh_CN"
        await until(pilot, lambda: cloud.preferences["zhao"]["language"] == "zh_CN")


@pytest.mark.parametrize(
    "kept",
    [
        {"lists": {"vm": {"columns": ["nope", "name", "name", 7], "sort": "-nope"}}},
        {"lists": {"vm": {"columns": "name", "sort": 3}}, "pane": "left", "theme": 1, "chart_interval": -1},
        {"lists": [], "folded": "yes"},
    ],
)
async def test_preferences_of_another_console_are_no_obstacle(cloud: FakeBackend, kept: dict[str, object]) -> None:
    cloud.preferences = {"zhao": kept}
    async with opened(cloud) as pilot:
        assert "web-front-" in screen_text(pilot.app)
        assert cloud.called("vm.list")[0]["sort"] == ""


def test_before_the_login_the_console_looks_as_it_was_left_here(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    first = Settings(path=path)
    first.load("zhao", {"theme": "light", "language": "zh_CN"})
    first.save()
    again = Settings(path=path)
    again.recall()
    assert (again.theme, again.language) == ("light", "zh_CN")
    again.load("sysadm", {})
    assert (again.theme, again.language, again.change()) == ("", "", {})
    set_language("en")


def test_what_an_old_console_kept_in_its_file_is_taken_to_the_cloud(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    path.write_text('{"zhao": {"theme": "light", "language": "", "chart_interval": 2}}')
    settings = Settings(path=path)
    settings.load("zhao", {})
    assert settings.change() == {"theme": "light", "chart_interval": 2.0}
    settings = Settings(path=path)
    settings.load("zhao", {"theme": "dark", "of a newer console": 1})
    assert (settings.theme, settings.change()) == ("dark", {})
