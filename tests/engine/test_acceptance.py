"""The scripts that were agreed on, as they stand, against this machine's own libvirtd (`make services` starts it)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT.parent / "shared" / "acceptance").glob("*.sh"))

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.mark.skipif(not SCRIPTS, reason="the scripts lie beside the checkout, not in it")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_script_holds(script: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOSVM_")}
    done = subprocess.run(
        ["bash", str(script)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "all steps held" in done.stdout
