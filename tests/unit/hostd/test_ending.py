"""hostd's process ends in bounded time: threads hang, Python's own end does, or a library lets nobody run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
_THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
#: As an object that closes a connection to a libvirtd that hangs: Python's end waits for it without end.
_CLOSES = """
import sys, time
class Connection:
    def __del__(self):
        time.sleep(60)
kept = Connection()
"""
#: Calls through PyDLL keep the interpreter's lock: no thread of Python runs meanwhile.
_DEAF = "import ctypes; ctypes.PyDLL(None).sleep(60)"


def ends(code: str) -> tuple[int, float, str]:
    """Run code; its exit code, how long it took, and what it wrote."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=40, check=False
    )
    return done.returncode, time.monotonic() - begin, done.stdout + done.stderr


@pytest.mark.parametrize("hangs", [_THREAD, _CLOSES], ids=["a thread", "what Python closes"])
def test_who_has_stopped_leaves_at_once(hangs: str) -> None:
    code, seconds, said = ends(f"{hangs}\nfrom hostd.ending import leave\nprint('stopped')\nleave(4)")
    assert (code, said) == (4, "stopped\n")
    assert seconds < 20


def test_who_does_not_stop_in_time_leaves_all_the_same() -> None:
    code, seconds, said = ends(
        f"import logging\nlogging.basicConfig()\nfrom hostd.ending import leave_within\nleave_within(0.5, 0)\n{_THREAD}"
    )
    assert code == 0
    assert "leaving without waiting any longer" in said
    assert seconds < 20


def test_who_cannot_even_be_told_to_leave_is_ended_and_it_is_said_where_it_was() -> None:
    code, seconds, said = ends(f"from hostd.ending import leave_within\nleave_within(0.2, 0)\n{_DEAF}")
    assert code == 1
    assert "Thread" in said
    assert seconds < 20
