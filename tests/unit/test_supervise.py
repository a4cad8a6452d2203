"""`make run` keeps hostd running while the console is open, and ends it then."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

SUPERVISE = Path(__file__).resolve().parents[2] / "packaging/supervise.sh"


class Supervised:
    """A daemon that notes its process id and stays until it is told to end, which takes it a moment."""

    def __init__(self, directory: Path) -> None:
        self.pids_file, self.log, self.gentle = directory / "pids", directory / "log", directory / "gentle"
        script = directory / "daemon"
        script.write_text(
            "#!/bin/bash\n"
            f"trap 'sleep 0.3; echo $$ >>{self.gentle}; exit 0' TERM\n"
            f"echo $$ >>{self.pids_file}\n"
            "while :; do sleep 0.05; done\n"
        )
        script.chmod(0o755)
        self.process = subprocess.Popen([str(SUPERVISE), str(self.log), str(script)])

    @property
    def pids(self) -> list[int]:
        return [int(pid) for pid in self.pids_file.read_text().split()] if self.pids_file.exists() else []


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    it = Supervised(tmp_path)
    until(lambda: it.pids, what="the first start")
    yield it
    it.process.terminate()
    it.process.wait(20)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_daemon_is_started_again_and_the_log_says_so(supervised: Supervised) -> None:
    os.kill(supervised.pids[0], signal.SIGKILL)
    until(lambda: len(supervised.pids) == 2, what="the second start")
    assert "ended (137); it is started again in 1 s" in supervised.log.read_text()
    os.kill(supervised.pids[1], signal.SIGKILL)
    until(lambda: "again in 2 s" in supervised.log.read_text(), what="a longer pause")


def test_the_daemon_ends_with_its_supervisor_which_waits_for_it(supervised: Supervised) -> None:
    (pid,) = supervised.pids
    supervised.process.terminate()
    assert supervised.process.wait(20) == 0
    assert not alive(pid)
    assert supervised.gentle.read_text().split() == [str(pid)]
    assert supervised.pids == [pid]


def test_it_ends_in_the_middle_of_a_pause(supervised: Supervised) -> None:
    os.kill(supervised.pids[0], signal.SIGKILL)
    until(lambda: supervised.log.exists() and "again in" in supervised.log.read_text(), what="the pause")
    supervised.process.terminate()
    supervised.process.wait(20)
    assert all(not alive(pid) for pid in supervised.pids)
