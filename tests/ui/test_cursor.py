"""The terminal's own cursor stands where the next character will: there an input method shows what it offers."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.ui


def _stands_behind(terminal: Terminal, text: str) -> None:
    """Wait until the cursor stands right behind a text."""

    def there(screen: str) -> bool:
        x, y = terminal.cursor
        lines = screen.split("\n")
        line = lines[y] if y < len(lines) else ""
        at = line.find(text)
        return at >= 0 and cell_len(line[: at + len(text)]) == x

    terminal.wait_until(there, f"the cursor behind {text!r}", 20)


def test_it_stands_where_one_types_in_lists_and_forms(terminal: Terminal) -> None:
    terminal.wait_for("web-front-05", 60)
    terminal.press("/")
    terminal.type("web云")
    _stands_behind(terminal, "web云")
    terminal.press("Left")
    _stands_behind(terminal, "/ web")
    terminal.press("Escape")
    terminal.settle()  # or it would be one key, Alt and 2
    terminal.press("2")
    terminal.wait_for("disk1")
    terminal.press("a")
    terminal.wait_for("Name \\*")
    terminal.type("new-one")
    _stands_behind(terminal, "new-one")
    # Into the last field, which has several lines and is out of sight at first.
    for _field in range(12):
        terminal.press("Tab")
        if "For people" not in terminal.settle() and "Description" in terminal.screen:
            terminal.type("云上")
            if "云上" in terminal.settle():
                break
    _stands_behind(terminal, "云上")


def test_it_stands_where_one_types_when_one_logs_in(terminal: Terminal) -> None:
    terminal.wait_for("web-front-05", 60)
    terminal.press("F10")
    terminal.wait_for("Log in with your account")
    terminal.type("zhao")
    _stands_behind(terminal, "zhao")
    terminal.press("Enter")
    terminal.type("密码")
    _stands_behind(terminal, "••")
    terminal.resize(100, 40)
    terminal.settle()
    _stands_behind(terminal, "••")
