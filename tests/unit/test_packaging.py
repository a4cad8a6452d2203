"""What is installed on servers says what its readers understand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="a machine without systemd's programs")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # The program is where it will be installed, and not here.
    text = (PACKAGING / "hostd.service").read_text()
    unit = tmp_path / "hostd.service"
    unit.write_text(text.replace("/opt/dosvm/.venv/bin/dosvm", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "hostd.service" in line] == []


def test_all_speak_of_the_same_places() -> None:
    for name in ("hostd.service", "sshd-dosvm.conf"):
        assert "/opt/dosvm/.venv/bin/dosvm" in (PACKAGING / name).read_text(), name
    for language in ("en", "zh"):
        guide = (PACKAGING.parent / f"docs/guide/{language}/installing.md").read_text()
        for word in ("/opt/dosvm", "/usr/local/bin/dosvm", "hostd.service", "sshd-dosvm.conf", "sudoers-dosvm"):
            assert word in guide, (language, word)
