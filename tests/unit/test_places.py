"""What runs of tests leave in memory when they are killed, the next one removes; what a run uses it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.fakes.places import make_place, sweep

REPOSITORY = Path(__file__).resolve().parents[2]
_RUN = """
import sys
from pathlib import Path
from tests.fakes.places import make_place
print(make_place("mariadb", Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def _a_run(memory: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another run of tests, and its directory."""
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(memory)],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run.stdout is not None
    place = Path(run.stdout.readline().strip())
    (place / "data").mkdir()
    return run, place


def test_what_a_killed_run_left_is_removed_by_the_next_and_no_other(tmp_path: Path) -> None:
    killed, left = _a_run(tmp_path)
    living, used = _a_run(tmp_path)
    try:
        killed.kill()
        killed.wait(10)
        assert left.is_dir()
        own = make_place("mariadb", tmp_path)
        assert not left.exists()
        assert (used / "data").is_dir()
        assert own.is_dir()
        assert sweep(tmp_path) == []
    finally:
        living.kill()
        living.wait(10)
    assert sweep(tmp_path) == [used]
    assert own.is_dir()


def test_what_nobody_locked_is_left_alone_until_it_is_old(tmp_path: Path) -> None:
    place = tmp_path / "dosvm-mariadb-x"
    place.mkdir()
    (tmp_path / "pytest-of-root").mkdir()
    assert sweep(tmp_path) == []
    hours_ago = place.stat().st_mtime - 2 * 3600
    os.utime(place, (hours_ago, hours_ago))
    assert sweep(tmp_path) == [place]
    assert [path.name for path in tmp_path.iterdir()] == ["pytest-of-root"]
