"""What the terminal shows after a hundred partial paintings is what one whole painting shows."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.ui

KEYS = (
    "Down", "Up", "PageDown", "PageUp", "End", "Home", "Space", "s", "S", "Enter", "Escape", "Escape",
    "a", "x", "f", "F1", "F2", "F6", "?", "/", "1", "2", "C-p", "Tab", "Right",
)  # fmt: skip


#: The one thing that changes by itself.
CLOCK = re.compile(r"UTC \d\d:\d\d")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: a Unix socket's has at most 107 characters."""
    found = Path(tempfile.mkdtemp(prefix="dosvm-tty-"))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
def terminal(directory: Path) -> Iterator[Terminal]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "COLORTERM": "truecolor",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TZ": "UTC",
    }
    found = Terminal([sys.executable, "-m", "tests.fakes.console", "500"], environment, directory)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_partial_painting_never_leaves_anything_wrong(terminal: Terminal, directory: Path, seed: int) -> None:
    terminal.wait_for("web-front-05")
    chance = random.Random(seed)
    for _round in range(6):
        for _key in range(8):
            terminal.press(chance.choice(KEYS))
        partly = terminal.settle(1.0)
        terminal.press("C-l")
        whole = terminal.settle(1.0)
        crash = directory / ".local/state/dosvm/console-crash.log"
        assert not crash.exists(), crash.read_text()
        assert not terminal.ended
        assert CLOCK.sub("", partly) == CLOCK.sub("", whole)
