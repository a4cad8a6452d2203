"""The language is switched while one works; nothing typed, chosen or marked is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from dosvm_tui.settings import Settings
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import opened, screen_text, shows, table, typed, until

pytestmark = pytest.mark.ui


async def test_a_list_keeps_its_cursor_marks_and_search(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await typed(pilot, "/front-1")
        await until(pilot, lambda: table(pilot).total == 10)
        await pilot.press("enter", "down", "space", "f6")
        await pilot.pause(0.1)
        text = screen_text(pilot.app)
        assert "虚拟机" in text
        assert "名称" in text
        assert "运行" in text
        assert len(table(pilot).marked) == 1
        assert table(pilot).cursor == 2
        assert table(pilot).total == 10


async def test_a_form_keeps_what_was_typed_and_its_error(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("a")
        await pilot.pause(0.1)
        await typed(pilot, "not right")
        before = screen_text(pilot.app)
        await pilot.press("f6")
        await pilot.pause(0.1)
        after = screen_text(pilot.app)
        assert "not right" in after
        assert "Name" in before
        assert "Name" not in after
        assert pilot.app.screen.form.rows["name"].error
        assert pilot.app.focused is pilot.app.screen.form.rows["name"].input


async def test_everything_under_a_dialog_is_translated_as_well(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("f1", "f6")
        await pilot.pause(0.1)
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert "虚拟机管理" in screen_text(pilot.app)


async def test_the_choice_is_kept_for_the_account(cloud: FakeBackend, tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    cloud.session = False
    async with opened(cloud, account=None, settings=Settings(path=path)) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("enter")
        await typed(pilot, "Zha0-secret-9")
        await shows(pilot, "web-front-01", "enter")
        await pilot.press("f6", "f7")
        await pilot.pause(0.1)
    again = Settings(path=path)
    again.load("zhao")
    assert again.language == "zh_CN"
    assert again.theme == "light"
    other = Settings(path=path)
    other.load("sysadm")
    assert other.language == ""
    assert other.theme == ""


async def test_who_never_chose_a_language_is_not_spoken_to_in_that_of_who_was_here_before(cloud: FakeBackend) -> None:
    cloud.preferences["zhao"] = {"language": "zh_CN"}
    cloud.session = False
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "zhao")
        await pilot.press("enter")
        await typed(pilot, "Zha0-secret-9")
        await shows(pilot, "虚拟机", "enter")
        await shows(pilot, "密码", "f10")
        await typed(pilot, "sysadm")
        await pilot.press("enter")
        await typed(pilot, "Adm1n-secret-9")
        await shows(pilot, "Users", "enter")
        assert "用户" not in screen_text(pilot.app)
        assert "language" not in cloud.preferences.get("sysadm", {}), "nothing was chosen"


async def test_the_own_page_says_whether_the_account_is_frozen(cloud: FakeBackend) -> None:
    """Manual 5.5.1 lists it."""
    async with opened(cloud) as pilot:
        pilot.app.open_resource("profile")
        await shows(pilot, "Frozen")


def test_a_damaged_settings_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    for text in ("", "[]", "{", '{"zhao": 3}', '{"zhao": {"theme": "nope", "chart_interval": "x"}}'):
        path.write_text(text)
        settings = Settings(path=path)
        settings.load("zhao")
        assert settings.theme == ""
        settings.save()
        again = Settings(path=path)
        again.load("zhao")


async def test_who_goes_on_under_the_name_that_the_helper_made_is_spoken_to_as_before(cloud: FakeBackend) -> None:
    cloud.session = False
    async with opened(cloud, account=None) as pilot:
        await typed(pilot, "sysadm")
        await pilot.press("enter")
        await typed(pilot, "Adm1n-secret-9")
        await shows(pilot, "Users", "enter")
        await shows(pilot, "用户", "f6")
        pilot.app.log_out("zhao")
        await until(pilot, lambda: "密码" in screen_text(pilot.app))
        await typed(pilot, "Zha0-secret-9")
        await shows(pilot, "虚拟机", "enter")
