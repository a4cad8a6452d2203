"""What the terminal shows after a hundred partial paintings is what the console believes to have painted."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.ui

KEYS = (
    "Down", "Up", "PageDown", "PageUp", "End", "Home", "Space", "s", "S", "Enter", "Escape", "Escape",
    "a", "x", "f", "F1", "F2", "F6", "?", "/", "1", "2", "C-p", "Tab", "Right",
)  # fmt: skip


class Truth:
    """What the console believes to be on the screen, told when asked."""

    def __init__(self, terminal: Terminal, directory: Path) -> None:
        self._terminal = terminal
        self._file = directory / "truth"
        self._number = 0

    def ask(self) -> str:
        """It is told once all keys before were worked on."""
        self._number += 1
        self._terminal.press("F12")
        give_up = time.monotonic() + 60
        while True:
            number, _sep, screen = (self._file.read_text() if self._file.exists() else "0").partition("\n")
            if int(number) == self._number:
                return screen.rstrip()
            assert time.monotonic() < give_up, self._terminal.screen
            assert not self._terminal.ended, self._terminal.screen
            time.sleep(0.02)

    def comes_to_be_shown(self) -> None:
        """What is believed and what is shown become the same.

        Both change for a while: what was asked for arrives, notices go. What was painted wrongly stays.
        """
        give_up = time.monotonic() + 30
        while (believed := self.ask()) != (shown := self._terminal.screen.rstrip()):
            # A difference counts only when it outlasts what may still be on its way.
            if time.monotonic() > give_up:
                assert shown == believed
            time.sleep(0.1)


@pytest.mark.parametrize("seed", [1, 2])
def test_partial_painting_never_leaves_anything_wrong(terminal: Terminal, directory: Path, seed: int) -> None:
    terminal.wait_for("web-front-05", 60)
    chance, truth = random.Random(seed), Truth(terminal, directory)
    for _round in range(6):
        for _key in range(8):
            terminal.press(chance.choice(KEYS))
        truth.comes_to_be_shown()
        terminal.press("C-l")
        truth.comes_to_be_shown()
        crash = directory / ".local/state/dosvm/console-crash.log"
        assert not crash.exists(), crash.read_text()
        assert not terminal.ended
