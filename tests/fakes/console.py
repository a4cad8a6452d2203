"""The console over a cloud in memory, on a real terminal: ``python -m tests.fakes.console [VMS]``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from dosvm_tui.app import Console
from tests.fakes.backend import FakeBackend
from tests.fakes.world import ManyVms


class Telling(Console):
    """F12 writes what the console believes to be on the screen to ``truth`` in the home directory."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f12", "tell", show=False, priority=True)]
    _told = 0

    def action_tell(self) -> None:
        """Its number in the first line; whole or not there at all."""
        self._told += 1
        lines = [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]
        fresh = Path.home() / "truth.new"
        fresh.write_text("\n".join([str(self._told), *lines]), encoding="utf-8")
        fresh.replace(Path.home() / "truth")


def main() -> None:
    """Run it as zhao, who is logged in already."""
    backend = FakeBackend()
    if len(sys.argv) > 1:
        backend.rows["vm"] = ManyVms(int(sys.argv[1]))
    backend.account, backend.session = "zhao", True
    Telling(backend, user=backend.own_row()).run()


if __name__ == "__main__":
    main()
