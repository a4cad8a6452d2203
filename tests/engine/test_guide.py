"""The guide's examples run as they are printed, on a real hostd, and are the same in both languages."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.libvirt import PrivateLibvirt

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide"
#: Pages whose examples run, one after the other.
RUN = ("parameters.md", "host-history.md", "command-line.md", "projects.md", "storage.md", "secrets.md", "logs.md")

_BEFORE = """\
set -euo pipefail
export DOSVM_HOME={home} PATH={bin}:$PATH LC_ALL=C.UTF-8
unset DOSVM_ACCOUNT DOSVM_PASSWORD
echo Adm1n-secret-9 >$DOSVM_HOME/sysadm.pw
echo Zha0-secret-9 >$DOSVM_HOME/zhao.pw
dosvm init --database sqlite:///$DOSVM_HOME/cloud.db --sysadm-password-file $DOSVM_HOME/sysadm.pw --yes
dosvm hostd run >$DOSVM_HOME/hostd.log 2>&1 & hostd=$!
trap 'kill $hostd; wait $hostd || true' EXIT
for _ in $(seq 60); do
  dosvm host list --as sysadm --password-file $DOSVM_HOME/sysadm.pw -o json | grep -q '"up"' && break
  sleep 0.5
done
"""


def examples(page: Path, fences: str = "sh") -> list[str]:
    """The examples of a page in order: those that run are fenced as ``sh``; ``shell`` is about other machines."""
    return re.findall(rf"```(?:{fences})\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that QEMU's user can pass, with a short path for its socket."""
    with tempfile.TemporaryDirectory(prefix="dosvm-guide-") as name:
        yield Path(name)


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_the_examples_run(private_libvirt: PrivateLibvirt, home: Path) -> None:
    script = _BEFORE.format(home=home, bin=Path(sys.executable).parent)
    script += "\n".join(example for page in RUN for example in examples(GUIDE / "en" / page))
    done = subprocess.run(
        private_libvirt.command(["bash", "-c", script]), capture_output=True, text=True, timeout=280, check=False
    )
    log = (home / "hostd.log").read_text() if (home / "hostd.log").exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log}"
    assert "running" in done.stdout


def test_both_languages_have_the_same_pages_and_examples() -> None:
    pages = {page.name for page in (GUIDE / "en").glob("*.md")}
    assert pages == {page.name for page in (GUIDE / "zh").glob("*.md")}
    for name in pages:
        english, chinese = (examples(GUIDE / language / name, "sh|shell") for language in ("en", "zh"))
        assert english == chinese


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDE.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
