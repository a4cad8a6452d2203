"""The console over a cloud in memory, on a real terminal: ``python -m tests.fakes.console [VMS]``."""

from __future__ import annotations

import sys

from dosvm_tui.app import Console
from tests.fakes.backend import FakeBackend, ManyVms


def main() -> None:
    """Run it as zhao, who is logged in already."""
    backend = FakeBackend()
    if len(sys.argv) > 1:
        backend.rows["vm"] = ManyVms(int(sys.argv[1]))
    backend.account, backend.session = "zhao", True
    Console(backend, user=backend.own_row()).run()


if __name__ == "__main__":
    main()
