"""A console over a cloud in memory, on a terminal of any size, at a time that stands still."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from core.i18n import set_language
from dosvm_tui.app import Console
from dosvm_tui.settings import Settings
from screens import courier
from tests.e2e.terminal import Terminal
from tests.fakes.backend import FakeBackend
from widgets.glyphs import use_plain
from widgets.virtual_table import VirtualTable

#: The time it always is, UTC.
NOW = datetime(2026, 11, 24, 13, 4)  # noqa: DTZ001  (naive UTC, as the database keeps it)


#: Seconds: who pauses longer does it for something that is not looked at, or that a test waits for by its name.
LONG = 0.8


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
    global ERRANDS
    ERRANDS = Errands()  # what an earlier test asked for may still be under way
    monkeypatch.setattr(courier, "_errand", ERRANDS.counted(courier._errand))
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


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: a Unix socket's has at most 107 characters."""
    found = Path(tempfile.mkdtemp(prefix="dosvm-tty-"))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
def terminal(directory: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """A console over a cloud in memory in a real terminal, of 80x24 or its parameter; zhao is logged in."""
    width, height = getattr(request, "param", (80, 24))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "COLORTERM": "truecolor",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TZ": "UTC",
    }
    found = Terminal(
        [sys.executable, "-m", "tests.fakes.console", "500"], environment, directory, width=width, height=height
    )
    try:
        yield found
    finally:
        found.close()


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


class Errands:
    """The questions to the cloud that are under way, until their answers are in the queue of who asked."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def counted(self, make: Callable[..., Callable[[], None]]) -> Callable[..., Callable[[], None]]:
        """The maker of errands ``make``, whose errands are counted from their asking on."""

        def make_counted(*about: Any) -> Callable[[], None]:
            errand = make(*about)
            self._add(1)

            def run() -> None:
                try:
                    errand()
                finally:
                    self._add(-1)

            return run

        return make_counted

    def _add(self, more: int) -> None:
        with self._lock:
            self.count += more


#: Those of the test that runs.
ERRANDS = Errands()


async def still(pilot: Pilot[Any]) -> None:
    """Wait until what was asked for is painted: no question, short pause or animation is under way any more."""
    give_up = time.monotonic() + 15
    quiet = 0
    while quiet < 3:
        assert time.monotonic() < give_up, f"never at rest, {_under_way(pilot.app)}: " + screen_text(pilot.app)[:4000]
        await pilot.pause()
        quiet = 0 if _under_way(pilot.app) else quiet + 1


def _under_way(app: Any) -> str:
    """What may change the screen in a moment; "" when nothing does."""
    if ERRANDS.count:
        return f"{ERRANDS.count} questions"
    if app.animator._animations or app.animator._scheduled:
        return "an animation"
    nodes = [app, *(node for screen in app.screen_stack for node in screen.walk_children(with_self=True))]
    for timer in [timer for node in nodes for timer in node._timers]:
        task = timer._task
        if timer._repeat == 0 and timer._interval < LONG and task is not None and not task.done():
            return f"a pause of {timer._interval} s by {timer._target_repr}"
    return ""


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


async def shows(pilot: Pilot[Any], text: str, *keys: str) -> None:
    """Press keys, and wait until the screen shows a text."""
    await pilot.press(*keys)
    await until(pilot, lambda: text in screen_text(pilot.app))


async def form_of(pilot: Pilot[Any], *keys: str) -> Any:
    """Press keys, and wait until a screen with a form has opened; its form."""
    before = pilot.app.screen
    await pilot.press(*keys)
    await until(pilot, lambda: pilot.app.screen is not before and bool(pilot.app.screen.query("Form")))
    return pilot.app.screen.form  # type: ignore[attr-defined]


async def typed(pilot: Pilot[Any], text: str) -> None:
    """Type a text, a key for each character."""
    await pilot.press(*("space" if character == " " else character for character in text))
