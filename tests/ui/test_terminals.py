"""Terminals that can little, and faults of the console itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dosvm_tui import app as console
from dosvm_tui.settings import Settings
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import console_over, form_of, opened, rows_are_there, screen_text, shows, typed, until
from themes import THEMES, TITLES, theme_for_terminal

pytestmark = pytest.mark.ui


def test_a_terminal_that_can_nothing_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert console.run(FakeBackend()) == 1
    assert "TERM is dumb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "theme"),
    [
        ({"TERM": "linux"}, "plain"),
        ({"TERM": "vt220"}, "plain"),
        ({"TERM": "xterm"}, "16-colour"),
        ({"TERM": "screen"}, "16-colour"),
        ({"TERM": "xterm-256color"}, "dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({}, "16-colour"),
    ],
)
def test_the_terminal_chooses_the_theme_until_somebody_does(environment: dict[str, str], theme: str) -> None:
    assert theme_for_terminal(environment) == theme


def test_a_theme_chosen_elsewhere_waits_where_only_ascii_can_be_shown() -> None:
    assert theme_for_terminal({"TERM": "linux"}, "light") == "plain"
    assert theme_for_terminal({"TERM": "xterm-256color"}, "light") == "light"


def test_every_theme_has_a_name_for_people() -> None:
    assert set(THEMES) == set(TITLES)


@pytest.mark.parametrize("theme", THEMES)
async def test_every_screen_can_be_drawn_in_every_theme(cloud: FakeBackend, theme: str) -> None:
    async with opened(cloud, theme=theme) as pilot:
        for key in ("enter", "escape", "a", "escape", "o", "escape", "f2", "escape", "f7"):
            await pilot.press(key)
            await pilot.pause(0.1)
        assert not [n for n in pilot.app._notifications if n.severity == "error"]


async def test_without_colour_state_cursor_and_menu_are_told_by_signs(
    cloud: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(cloud) as pilot:
        await pilot.press("space")
        text = screen_text(pilot.app)
        assert "[1 Machines 1/3]" in text
        assert " *web-front-01" in text
        assert "▸ web-front-02" in text
        assert "✗ failed" in text


async def test_a_fault_of_the_console_ends_it_with_a_sentence_and_no_traceback(
    cloud: FakeBackend, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    app = console_over(cloud)

    def broken() -> None:
        raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):  # noqa: PT012  (the pilot raises it anew at its end)
        async with app.run_test() as pilot:
            await until(pilot, lambda: rows_are_there(app))
            app.call_later(broken)
            await pilot.pause(0.2)
    app._watcher.close()
    said = capsys.readouterr()
    words = " ".join((said.out + said.err).split())
    assert "The console had to stop because of an error of its own (ZeroDivisionError)" in words
    assert "Traceback" not in words
    assert "oops" in (tmp_path / "dosvm" / "console-crash.log").read_text()


async def test_tasks_that_go_on_are_told_of_on_leaving(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("z")
        await until(pilot, lambda: bool(pilot.app.context.tasks.running))
        await pilot.press("ctrl+q")
        await pilot.pause(0.1)
        result: Any = pilot.app.return_value
        assert result == 1


async def test_tall_terminals_show_the_details_below(cloud: FakeBackend) -> None:
    async with opened(cloud, size=(120, 45)) as pilot:
        await shows(pilot, "The volume local/disk1 is missing", "down", "down", "down", "down", "down")


def _lines(pilot: Any) -> list[str]:
    return screen_text(pilot.app).splitlines()


TOO_SMALL = {"en": "The window is too small: 80x24 at least.", "zh_CN": "窗口太小：至少需要 80x24。"}


async def test_very_small_terminals_say_so_and_take_nothing_unseen(cloud: FakeBackend) -> None:
    async with opened(cloud, size=(30, 8)) as pilot:
        await until(pilot, lambda: "The window is too small" in screen_text(pilot.app))
        for key in ("enter", "a", "b", "?", "pagedown", "d", "tab", "enter", "F10"):
            await pilot.press(key)
            await pilot.pause(0.05)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "web-front-01" in screen_text(pilot.app))
        assert len(pilot.app.screen_stack) == 2
        await pilot.resize_terminal(12, 3)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: not pilot.app._running)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
async def test_a_form_that_has_no_room_says_so_and_comes_back_with_what_was_typed(
    cloud: FakeBackend, language: str
) -> None:
    async with opened(cloud, settings=Settings(language=language)) as pilot:
        await pilot.press("]")
        form = await form_of(pilot, "a")
        await typed(pilot, "web-shop")
        for size in ((40, 12), (59, 24), (80, 19)):
            await pilot.resize_terminal(*size)
            # In the middle, and nothing else.
            middle = range(size[1] // 2 - 1, size[1] // 2 + 2)
            await until(
                pilot,
                lambda middle=middle: (
                    [(n in middle, text.strip()) for n, text in enumerate(_lines(pilot)) if text.strip()]
                    == [(True, TOO_SMALL[language])]
                ),
            )
            await pilot.press("x", "escape")
        for size in ((60, 20), (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "web-shop" in screen_text(pilot.app))
            assert TOO_SMALL[language] not in screen_text(pilot.app)
        await pilot.press("1")
        assert form.rows["name"].input.value == "web-shop1"


async def test_what_lies_under_a_dialog_comes_back_as_well(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await shows(pilot, "All keys", "?")
        await pilot.resize_terminal(40, 12)
        await until(pilot, lambda: TOO_SMALL["en"] in screen_text(pilot.app))
        await pilot.resize_terminal(80, 24)
        await pilot.press("escape")
        await until(pilot, lambda: "web-front-01" in screen_text(pilot.app))
        assert TOO_SMALL["en"] not in screen_text(pilot.app)


async def test_details_at_the_right_leave_room_for_the_rows(cloud: FakeBackend) -> None:
    async with opened(cloud, settings=Settings(pane="right")) as pilot:
        for size in ((45, 12), (40, 10), (20, 5), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
        await until(pilot, lambda: "web-front-01" in screen_text(pilot.app))


async def test_resizing_keeps_the_cursor_on_screen(cloud: FakeBackend) -> None:
    async with opened(cloud) as pilot:
        await pilot.press("end")
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: "web-front-40" in screen_text(pilot.app))
        await pilot.resize_terminal(160, 48)
        # The row, and its details below.
        await until(pilot, lambda: screen_text(pilot.app).count("web-front-40") == 2)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: screen_text(pilot.app).count("web-front-40") == 1)
