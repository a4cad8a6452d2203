"""A terminal (tmux, on a server of its own) to type into and to read."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Terminal:
    """One program in a terminal of ``width`` x ``height``; :meth:`close` ends both."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        *,
        width: int = 80,
        height: int = 24,
    ) -> None:
        """Start ``command`` with just this environment.

        Args:
            command: the program and its arguments.
            environment: what it finds; tmux adds TERM.
            directory: for the socket; its path must be short.
            width: columns.
            height: rows.
        """
        self._socket = directory / "tmux"
        variables = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), *variables, "-s", "console",
            "env", "-i", *(f"{name}={value}" for name, value in environment.items()), "TERM=tmux-256color", *command,
        )  # fmt: skip
        self._tmux("set-option", "-g", "remain-on-exit", "on")
        self._tmux("set-option", "-g", "escape-time", "0")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words], capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/nonexistent"},
        )  # fmt: skip
        assert done.returncode == 0, f"tmux {words}: {done.stderr}"
        return done.stdout

    @property
    def screen(self) -> str:
        """What stands on the screen now, line by line, without trailing blanks."""
        return self._tmux("capture-pane", "-p", "-t", "console")

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        width, height = self._tmux("display-message", "-p", "-t", "console", "#{pane_width} #{pane_height}").split()
        return int(width), int(height)

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the terminal's own cursor, shown or not: input methods open there."""
        x, y = self._tmux("display-message", "-p", "-t", "console", "#{cursor_x} #{cursor_y}").split()
        return int(x), int(y)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-t", "console", "-x", str(width), "-y", str(height))

    @property
    def ended(self) -> bool:
        """Whether the program has ended."""
        return self._tmux("display-message", "-p", "-t", "console", "#{pane_dead}").strip() == "1"

    def press(self, *keys: str) -> None:
        """Press keys, named as tmux names them: ``Down``, ``Enter``, ``C-s``, ``F1``, ``a``."""
        for key in keys:
            self._tmux("send-keys", "-t", "console", key)
            # One at a time, as a person does: what comes in one read is a different matter.
            time.sleep(0.03)

    def type(self, text: str) -> None:
        """Type text."""
        self._tmux("send-keys", "-t", "console", "-l", "--", text)
        time.sleep(0.05)

    def settle(self, seconds: float = 0.25, limit: float = 5.0) -> str:
        """Wait until the screen has stayed the same for a moment (at most ``limit``); the screen then."""
        give_up = time.monotonic() + limit
        screen, since = self.screen, time.monotonic()
        while time.monotonic() - since < seconds and time.monotonic() < give_up:
            time.sleep(0.05)
            now = self.screen
            if now != screen:
                screen, since = now, time.monotonic()
        return screen

    def wait_for(self, pattern: str, seconds: float = 15.0) -> str:
        """Wait until a regular expression matches the screen; the screen then."""
        return self.wait_until(lambda screen: re.search(pattern, screen) is not None, f"{pattern!r}", seconds)

    def wait_until_gone(self, pattern: str, seconds: float = 15.0) -> str:
        """Wait until a regular expression no longer matches the screen; the screen then."""
        return self.wait_until(lambda screen: re.search(pattern, screen) is None, f"no {pattern!r}", seconds)

    def wait_until(self, condition: Callable[[str], object], what: str, seconds: float) -> str:
        """Wait until a condition holds for the screen.

        Raises:
            AssertionError: it does not; with the screen.
        """
        give_up = time.monotonic() + seconds
        while True:
            screen = self.screen
            if condition(screen):
                return screen
            if time.monotonic() > give_up or self.ended:
                raise AssertionError(f"{what}: not within {seconds:g} s; on the screen:\n{screen}")
            time.sleep(0.05)

    def close(self) -> None:
        """End the program and the terminal."""
        self._tmux("kill-server")
