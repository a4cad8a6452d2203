"""A terminal that is closed, and a console that is told to end: the session does not stay."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal
from tests.waiting import until

pytestmark = pytest.mark.ui

PROGRAM = """
import os, sys, threading
from pathlib import Path
from dosvm_tui.app import run
from tests.fakes.backend import FakeBackend

home = Path.home()

class Backend(FakeBackend):
    def logout(self):
        (home / "asked").touch()
        if (home / "hangs").exists():
            threading.Event().wait()
        super().logout()
        (home / "logged-out").touch()

(home / "pid").write_text(str(os.getpid()))
sys.exit(run(Backend(), "zhao"))
"""


@pytest.fixture
def console(directory: Path) -> Iterator[Terminal]:
    """A console into which zhao has logged in."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    # tmux loses the exit code of one in ten programs.
    wrapped = ["sh", "-c", '"$@"; echo $? > "$HOME/code"', "sh", sys.executable, "-c", PROGRAM]
    found = Terminal(wrapped, environment, directory)
    try:
        found.wait_for("Password")
        found.type("Zha0-secret-9")
        found.press("Enter")
        found.wait_for("web-front-01")
        yield found
    finally:
        with suppress(AssertionError):  # a test has closed it
            found.close()


def _ended(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"  # nobody has asked for its end yet


def _wait(pid: int, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not _ended(pid):
        assert time.monotonic() < give_up, "it goes on"
        time.sleep(0.05)


def test_a_terminal_that_is_closed_ends_the_session(console: Terminal, directory: Path) -> None:
    pid = int((directory / "pid").read_text())
    console.close()
    _wait(pid, 10)
    assert (directory / "logged-out").exists()


def test_a_cloud_that_hangs_is_not_waited_for(console: Terminal, directory: Path) -> None:
    (directory / "hangs").touch()
    pid = int((directory / "pid").read_text())
    console.close()
    _wait(pid, 15)
    assert (directory / "asked").exists()
    assert not (directory / "logged-out").exists()


def test_who_is_told_to_end_leaves_the_terminal_as_it_was(console: Terminal, directory: Path) -> None:
    pid = int((directory / "pid").read_text())
    os.kill(pid, signal.SIGTERM)
    _wait(pid, 10)
    assert (directory / "logged-out").exists()
    assert "web-front-01" not in console.screen
    code = directory / "code"
    until(lambda: code.exists() and code.read_text(), 5, "its exit code")
    assert int(code.read_text()) == 128 + signal.SIGTERM
