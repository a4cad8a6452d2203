"""A console that starts sooner: parts of Textual and asyncio that it never uses are not loaded.

Textual's application imports Textual's own command palette, and with it trees, option lists and selects: a quarter
of all that is imported. The console has a palette of its own, so that a stand-in does; Textual's version is
pinned, and ``tests/ui/test_imports.py`` watches that what stands in suffices. It is used by the program only
(:mod:`dosvm_tui.cli`): who imports :mod:`dosvm_tui.app` gets the whole of Textual.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType


class _Unused:
    """Stands in for a class of Textual's command palette, which the console switches off."""

    @staticmethod
    def is_open(_app: object) -> bool:
        """Textual asks this of its palette before it opens it."""
        return False


def _nothing(*_arguments: object) -> None:
    """No suggestion."""


def _stand_in(name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules.setdefault(name, module)


def lean() -> None:
    """Put the stand-ins in place; to be called before Textual is imported, else it changes nothing."""
    if "ssl" not in sys.modules and "asyncio" not in sys.modules:
        # hostd is reached by a Unix socket. asyncio does without TLS where Python has none; a later import finds it.
        sys.modules["ssl"] = None  # type: ignore[assignment]
        try:
            import asyncio  # noqa: F401
        finally:
            del sys.modules["ssl"]
    # What a key brings about waits half as long until it is painted.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    # Where files are loaded down to, and what was meant by a misspelt style: with them come the packages for archives.
    _stand_in("platformdirs", user_downloads_path=Path.home)
    _stand_in("textual.suggestions", get_suggestion=_nothing, get_suggestions=_nothing)
    from textual._types import CallbackType, IgnoreReturnCallbackType

    _stand_in("textual.types", CallbackType=CallbackType, IgnoreReturnCallbackType=IgnoreReturnCallbackType)
    names = ("CommandListItem", "CommandPalette", "DiscoveryHit", "Hit", "Hits", "Provider", "SimpleProvider")
    _stand_in("textual.command", **dict.fromkeys(names, _Unused))
