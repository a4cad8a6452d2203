"""The console parameters as the system administrator sees them: shown, tested before they are saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.rpc import ways
from core.security.authority import Holder, create, issue
from dosvm_tui.settings import Settings
from tests.fakes.backend import FakeBackend
from tests.ui.conftest import notices, opened, screen_text, shows, typed, until

pytestmark = pytest.mark.ui


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOSVM_HOME", str(tmp_path))
    return tmp_path / "console.toml"


async def test_they_are_shown_without_the_password(cloud: FakeBackend, file: Path) -> None:
    ways.save(file, ways.ConsoleSettings(("10.0.0.1",), True, "c.pem", "k.pem", "a.pem", "s3cret"))
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("console-settings", root=True)
        await until(pilot, lambda: "10.0.0.1" in screen_text(pilot.app))
        text = screen_text(pilot.app)
        assert "k.pem" in text
        assert "s3cret" not in text
        assert "Parame" in text


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The files of a console, as `dosvm cert issue` makes them."""
    create(tmp_path / "ca")
    issue(tmp_path / "ca", Holder.checked("desk", ["127.0.0.1"]), console=True)
    return tmp_path / "ca/issued/desk/console"


def _unbroken(text: str) -> str:
    return "".join(text.replace("│", " ").split())


async def test_what_does_not_answer_is_not_saved_and_nothing_typed_is_lost(
    cloud: FakeBackend, file: Path, desk: Path
) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("console-settings", root=True)
        await until(pilot, lambda: "local" in screen_text(pilot.app))
        await shows(pilot, "Test and save", "e")
        await typed(pilot, "127.0.0.1:1")
        await shows(pilot, "plain text", "ctrl+s")
        assert ways.load(file) == ways.ConsoleSettings()
        form = pilot.app.screen.query_one("Form")
        form.rows["use_ssl"].input.put(True)
        for key in ways.FILES:
            form.rows[key].input.put(f"{key}.pem")
        await pilot.press("ctrl+s")
        # The path may be broken anywhere.
        await until(pilot, lambda: "ssl_cert.pemcannotberead" in _unbroken(screen_text(pilot.app)))
        assert ways.load(file) == ways.ConsoleSettings()
        for key, name in zip(ways.FILES, ("cert.pem", "key.pem", "cacert.pem"), strict=True):
            form.rows[key].input.put(str(desk / name))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "does not answer" in screen_text(pilot.app))
        assert ways.load(file) == ways.ConsoleSettings()
        form.rows["anyway"].input.put(True)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: file.exists() and "Test and save" not in screen_text(pilot.app))
        assert any("Saved" in text for text in notices(pilot))
        await until(pilot, lambda: "127.0.0.1:1" in screen_text(pilot.app))
    assert ways.load(file).hosts == ("127.0.0.1:1",)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
async def test_a_file_that_is_not_there_is_refused_at_its_field_while_ssl_is_off(
    cloud: FakeBackend, file: Path, language: str
) -> None:
    async with opened(cloud, account="sysadm", settings=Settings(language=language)) as pilot:
        pilot.app.open_resource("console-settings", root=True)
        await until(pilot, lambda: "local" in screen_text(pilot.app))
        await pilot.press("e")
        await until(pilot, lambda: pilot.app.screen.query("Form"))
        form = pilot.app.screen.query_one("Form")
        form.rows["ssl_key"].input.put("nowhere.pem")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "nowhere.pem" in form.rows["ssl_key"].error)
        form.rows["ssl_key"].input.put("")
        form.rows["use_ssl"].input.put(True)
        await pilot.press("ctrl+s")
        words = {"en": "With SSL on this is needed.", "zh_CN": "使用 SSL 时必须填写此项。"}[language]
        await until(pilot, lambda: words in form.rows["ssl_cert"].error)
        assert ways.load(file) == ways.ConsoleSettings()


async def test_each_host_is_tried(cloud: FakeBackend, file: Path) -> None:
    async with opened(cloud, account="sysadm") as pilot:
        pilot.app.open_resource("console-settings", root=True)
        await until(pilot, lambda: "local" in screen_text(pilot.app))
        await shows(pilot, "cluster key", "t")
        await pilot.press("escape")
        _break(file)
        await shows(pilot, "a list of texts", "r")


async def test_a_project_administrator_is_not_offered_them(cloud: FakeBackend, file: Path) -> None:
    async with opened(cloud) as pilot:
        assert "Parameters" not in screen_text(pilot.app)
        await pilot.press("ctrl+p")
        await typed(pilot, "console param")
        await pilot.pause(0.3)
        assert "Console parameters" not in screen_text(pilot.app)


def _break(file: Path) -> None:
    file.write_text("hosts = 1\n")
