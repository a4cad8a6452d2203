"""The console of somebody who has just logged in, so that typing a password is not measured.

``python -m tests.bench.logged_in``; account and password from DOSVM_ACCOUNT and DOSVM_PASSWORD.
"""

from __future__ import annotations

import gc
import os
import sys

if __name__ == "__main__":
    gc.disable()  # as dosvm_tui.cli does, and what follows
    from dosvm_tui.lean import lean

    lean()
    from dosvm_tui.app import Console
    from dosvm_tui.wiring import connect

    backend = connect()
    user = backend.login(os.environ["DOSVM_ACCOUNT"], os.environ["DOSVM_PASSWORD"])
    sys.exit(Console(backend, user=user).run() or 0)
