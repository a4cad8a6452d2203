"""The language is switched while one works; nothing typed, chosen or marked is lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from core.errors import AlreadyExists, Refused
from core.i18n import set_language
from dosvm_tui.settings import Settings
from screens.special.first_run import WhatNext
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import (
    console_over,
    form_of,
    notices,
    opened,
    rows_are_there,
    screen_text,
    shows,
    still,
    table,
    typed,
    until,
)
from tests.ui.test_looks import SCREENS, steps

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


async def _said(start: str, account: str | None, keys: tuple[str, ...], switches: int) -> list[str]:
    """What a screen says when it was opened in a language, and after each F6."""
    set_language(start)
    app = console_over(FakeBackend(), account=account, settings=Settings(language=start))
    said = []
    async with app.run_test(size=(80, 24)) as pilot:
        await steps(keys)(pilot)
        for key in ("", *["f6"] * switches):
            await pilot.press(*filter(None, [key]))
            await still(pilot)
            said.append(screen_text(app))
    return said


@pytest.mark.parametrize("screen", list(SCREENS)[::4])
async def test_a_screen_says_after_the_switch_what_it_says_when_it_is_opened(screen: str) -> None:
    account, keys = SCREENS[screen]
    english, to_chinese, back = await _said("en", account, keys, 2)
    (chinese,) = await _said("zh_CN", account, keys, 0)
    assert to_chinese == chinese
    assert back == english


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


async def _switched(pilot: Pilot[Any], words: Mapping[str, str]) -> None:
    """F6 there and back: the words of one language stand there, never those of the other."""
    for here, there in ((words.keys(), words.values()), (words.values(), words.keys())):
        text = screen_text(pilot.app)
        assert all(word in text for word in here), text
        await pilot.press("f6")
        await until(pilot, lambda there=there: all(word in screen_text(pilot.app) for word in there))
        await still(pilot)
        assert not any(word in screen_text(pilot.app) for word in here), screen_text(pilot.app)


async def test_charts_without_samples(cloud: FakeBackend) -> None:
    cloud.answers["vm.samples"] = lambda **_about: {"samples": []}
    async with opened(cloud) as pilot:
        pilot.app.context.settings.chart_interval = 3600.0  # no later answer says it
        await shows(pilot, "no samples yet", "enter")
        await _switched(pilot, {"no samples yet": "还没有采样"})


async def test_charts_that_are_refused(cloud: FakeBackend) -> None:
    cloud.refuse["vm.samples"] = Refused("It was cancelled.")
    async with opened(cloud) as pilot:
        pilot.app.context.settings.chart_interval = 3600.0  # no later answer says it
        await shows(pilot, "It was cancelled.", "enter")
        await _switched(pilot, {"It was cancelled.": "已取消"})


async def test_details_of_what_is_gone(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "CPU", "enter")
        cloud.rows["vm"] = cloud.rows["vm"][1:]
        cloud.ring()
        await until(pilot, lambda: "It does not exist any more" in screen_text(pilot.app))
        await _switched(pilot, {"It does not exist any more": "已不存在"})


async def test_a_list_that_is_refused(cloud: FakeBackend) -> None:
    cloud.refuse["volume.list"] = Refused("It was cancelled.")
    async with opened(cloud) as pilot:
        await shows(pilot, "It was cancelled.", "2")
        await _switched(pilot, {"It was cancelled.": "已取消"})


async def test_the_rule_of_a_field_and_what_is_missing(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await form_of(pilot, "a")
        await shows(pilot, "This is needed.", "ctrl+s")
        await _switched(
            pilot,
            {"This is needed.": "此项必填。", "letters, digits": "字母"},
        )


async def test_what_the_service_found_wrong_with_a_field_until_it_is_typed_anew(cloud: FakeBackend) -> None:
    cloud.refuse["vm.add"] = AlreadyExists("It was cancelled.", field="name")
    async with opened(cloud) as pilot:
        form = await form_of(pilot, "a")
        await typed(pilot, "new-one")
        form.rows["instance"].input.put("web-front")
        await shows(pilot, "It was cancelled.", "ctrl+s")
        await _switched(pilot, {"It was cancelled.": "已取消"})
        await pilot.press("x", "f6")
        await still(pilot)
        assert "It was cancelled." not in screen_text(pilot.app)
        await pilot.press("f6")
        await still(pilot)
        assert "It was cancelled." not in screen_text(pilot.app)


async def test_a_name_that_is_not_typed_as_it_is_written(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: rows_are_there(pilot.app))
        await pilot.press("end")
        await shows(pilot, "to confirm:", "d")
        await shows(pilot, "not typed as it is written", "ctrl+s")
        await _switched(pilot, {"not typed as it is written": "名称"})


async def test_a_picker_that_is_empty(cloud: FakeBackend) -> None:
    cloud.rows["instance"] = []
    async with opened(cloud) as pilot:
        form = await form_of(pilot, "a")
        form.focus_field("instance")
        await shows(pilot, "No instances yet.", "f4")
        await _switched(pilot, {"No instances yet.": "还没有虚拟机实例"})


async def test_the_palette_with_what_was_found(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "Power on: web-front-01", "ctrl+p")
        await _switched(pilot, {"Power on: web-front-01": "开启电源: web-front-01"})
        await typed(pilot, "web-front-0")
        await until(pilot, lambda: "web-front-06" in screen_text(pilot.app))
        await pilot.press("f6")
        await until(pilot, lambda: "web-front-06" in screen_text(pilot.app))


async def test_what_was_started_here_and_what_comes_of_it(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("z")
        await until(pilot, lambda: bool(cloud.tasks))
        await shows(pilot, "Suspend web-front-01", "f3")
        await _switched(pilot, {"Suspend web-front-01": "挂起 web-front-01"})
        cloud.end_task(next(iter(cloud.tasks)))
        await until(pilot, lambda: "Suspend web-front-01: done." in notices(pilot))


async def test_what_to_do_after_the_first_run(cloud: FakeBackend) -> None:
    cloud.empty = True
    async with opened(cloud, account="sysadm") as pilot:
        what = WhatNext(pilot.app.context, {"admin": "zhao", "project": "web"}, "none")
        pilot.app.show(what)
        await until(pilot, lambda: "Log in as zhao" in screen_text(pilot.app))
        await _switched(pilot, {"Log in as zhao": "以 zhao", "Stay": "留"})
