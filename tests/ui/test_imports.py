"""What the console does not import: its start pays for every module, and it holds no password of the database."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.ui

HEAVY = ("sqlalchemy", "pymysql", "libvirt", "msgspec", "plotext", "apscheduler", "starlette", "argon2", "yaml")


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_console_never_imports_the_database_or_libvirt() -> None:
    modules = loaded_after(
        "import dosvm_tui.app, dosvm_tui.palette, dosvm_tui.wiring\n"
        "from screens import registry\n"
        "list(registry.resources())\n"
        "from importlib import import_module\n"
        "from screens.special import SCREENS\n"
        "[getattr(import_module(m), c) for m, c in SCREENS.values()]\n"
        "import screens.special.help, screens.special.menu, screens.generic.actions, screens.generic.views"
    )
    assert not modules & set(HEAVY)
    assert not {name for name in modules if name.startswith(("core.model", "core.services", "core.database", "hostd"))}


def test_the_first_list_imports_neither_forms_nor_dialogs_it_does_not_show() -> None:
    modules = loaded_after("import dosvm_tui.app")
    assert not {"textual.widgets._text_area", "screens.generic.form_dialog", "screens.special.login"} & modules


def test_the_program_starts_without_textuals_own_palette_and_what_comes_with_it() -> None:
    modules = loaded_after("from dosvm_tui.lean import lean\nlean()\nimport dosvm_tui.app")
    unused = {"_tree", "_directory_tree", "_select", "_option_list", "_input"}
    assert not modules & {"ssl", *(f"textual.widgets.{name}" for name in unused)}
    later = loaded_after("from dosvm_tui.lean import lean\nlean()\nimport dosvm_tui.app, ssl, screens.special.login")
    assert {"ssl", "textual.widgets._input"} <= later
