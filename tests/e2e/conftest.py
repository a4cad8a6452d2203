"""Fixtures of the tests that drive the real console by keys."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal
from tests.lab.host import DOSVM, LabHost
from tests.lab.lab import Lab

OpenConsole = Callable[..., Terminal]


@pytest.fixture(scope="session")
def machine() -> Iterator[Lab]:
    """One machine with libvirt, on which nothing of DOSVM has been set up."""
    lab = Lab(hosts=1)
    yield lab
    lab.close()


@pytest.fixture
def console(machine: Lab) -> Iterator[OpenConsole]:
    """``console(host, width, height)`` opens the console in a terminal of that size."""
    opened: list[Terminal] = []
    directory = Path(tempfile.mkdtemp(prefix="dosvm-tmux-"))

    def start(host: LabHost, width: int = 80, height: int = 24) -> Terminal:
        place = directory / str(len(opened))
        place.mkdir()
        terminal = Terminal(host.world.command([str(DOSVM)]), host.environment(), place, width=width, height=height)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()
    shutil.rmtree(directory)
