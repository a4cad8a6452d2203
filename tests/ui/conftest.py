"""A console over a cloud in memory, on a terminal of any size, at a time that stands still."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from textual.pilot import Pilot

from core.i18n import set_language
from dosvm_tui.app import Console
from dosvm_tui.settings import Settings
from tests.fakes.backend import FakeBackend
from widgets.glyphs import use_plain
from widgets.virtual_table import VirtualTable

#: The time it always is, UTC.
NOW = datetime(2026, 11, 24, 13, 4)  # noqa: DTZ001  (naive UTC, as the database keeps it)


class WallStands:
    """The wall clock stands; the monotonic one runs, for pauses are really waited for."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    """English, UTC, a colourful terminal, a home directory of its own."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    set_language("en")
    yield
    set_language("en")
    use_plain(False)
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.fixture
def cloud() -> FakeBackend:
    """A small cloud, in which zhao is logged in already."""
    backend = FakeBackend()
    backend.account, backend.session = "zhao", True
    backend.samples_end = NOW.timestamp()
    return backend


def console_over(
    backend: FakeBackend, *, account: str | None = "zhao", theme: str = "", settings: Settings | None = None
) -> Console:
    """A console; somebody is logged in unless ``account`` is None."""
    if account is not None:
        backend.account, backend.session = account, True
    backend.samples_end = NOW.timestamp()
    user = backend.own_row() if account is not None else None
    return Console(backend, user=user, clock=WallStands(), settings=settings or Settings(theme=theme))


@asynccontextmanager
async def opened(
    backend: FakeBackend, *, size: tuple[int, int] = (80, 24), account: str | None = "zhao", **options: Any
) -> AsyncIterator[Pilot[Any]]:
    """A running console whose first list has its rows."""
    app = console_over(backend, account=account, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        try:
            if account is not None:
                await until(pilot, lambda: rows_are_there(app))
            else:
                await until(pilot, lambda: bool(app.screen.query("Form")))
            yield pilot
        finally:
            app._watcher.close()


@pytest.fixture
def open_console() -> Callable[..., AbstractAsyncContextManager[Pilot[Any]]]:
    """See :func:`opened`."""
    return opened


async def until(pilot: Pilot[Any], condition: Callable[[], Any], seconds: float = 8.0) -> None:
    """Wait until something holds; fail when it does not come to hold."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come to hold: " + screen_text(pilot.app)[:4000]
        await pilot.pause(0.02)
    await pilot.pause()


async def still(pilot: Pilot[Any]) -> None:
    """Wait until nothing on the screen has changed for a while: what was asked for is painted."""
    before, same = "", 0
    for _ in range(100):
        await pilot.pause(0.1)
        now = screen_text(pilot.app)
        same = same + 1 if now == before else 0
        if same == 4:
            return
        before = now
    raise AssertionError("the screen never comes to rest: " + before[:4000])


def rows_are_there(app: Any) -> bool:
    """Whether the table in front has what it wants."""
    front = app._front or app.screen
    tables = front.query(VirtualTable)
    return bool(tables) and tables.first().loaded and tables.first().wanted() is None


def screen_text(app: Any) -> str:
    """What the terminal shows, line by line."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


def table(pilot: Pilot[Any]) -> VirtualTable:
    """The table of the screen in front."""
    return pilot.app.screen.query(VirtualTable).first()


def notices(pilot: Pilot[Any]) -> list[str]:
    """What notices say, the oldest first."""
    return [str(notice.message) for notice in pilot.app._notifications]


async def typed(pilot: Pilot[Any], text: str) -> None:
    """Type a text, a key for each character."""
    await pilot.press(*("space" if character == " " else character for character in text))
