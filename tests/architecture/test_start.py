"""A one-shot command imports what it uses and no more, whatever the contracts say of possible imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "textual",
    "rich",
    "sqlalchemy",
    "pymysql",
    "msgspec",
    "yaml",
    "libvirt",
    "argon2",
    "cryptography",
    "starlette",
    "uvicorn",
    "apscheduler",
    "plotext",
    "asyncio",
    "email",
    "http.client",
    "ssl",
    "dataclasses",
    "inspect",
)


def _imported(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "from dosvm_tui import cli; cli._run(['vm', 'list', '--help'])",
        "import dosvm_tui.commands.resource, dosvm_tui.wiring; from screens import registry; registry.resource('vm')",
    ],
)
def test_a_command_is_light(code: str) -> None:
    loaded = _imported(f"import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()):\n    {code}")
    assert not [name for name in HEAVY if name in loaded]


def test_the_declarations_need_no_screen() -> None:
    loaded = _imported("from screens import registry; list(registry.resources())")
    assert not [name for name in HEAVY if name in loaded]


def test_an_area_is_declared_when_asked_for() -> None:
    loaded = _imported("from screens import registry; registry.resource('vm')")
    assert [name for name in loaded if name.startswith("screens.resources.")] == ["screens.resources.vm"]
