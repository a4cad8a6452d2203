"""What becomes of a fault of the console itself: a sentence for the person, the traceback into a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from core.i18n import N_, _


def crash_sentence() -> str:
    """Write the traceback of the exception now handled to a file, and say so."""
    import traceback

    kind = type(sys.exc_info()[1]).__name__
    path = crash_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return _(N_("The console had to stop because of an error of its own ({kind}).")).format(kind=kind)
    text = _(N_("The console had to stop because of an error of its own ({kind}); {path} says where."))
    return text.format(kind=kind, path=path)


def crash_path() -> Path:
    """Where the traceback of a fault of the console is kept (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "dosvm" / "console-crash.log"
