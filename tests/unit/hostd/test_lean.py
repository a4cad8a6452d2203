"""hostd starts without what comes along with its libraries and serves nothing here, and finds it when it is wanted."""

from __future__ import annotations

import subprocess
import sys

UNUSED = {"click", "multiprocessing", "email.message", "zipfile", "csv", "html", "http.client", "argparse", "starlette"}
UNUSED |= {"logging.handlers", "socketserver"}


def _after(code: str) -> str:
    script = f"from hostd.lean import lean\nlean()\nimport sys, hostd.daemon\n{code}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_the_daemon_loads_nothing_that_it_never_uses() -> None:
    assert not UNUSED & set(_after("print(' '.join(sys.modules))").split())


def test_what_was_put_off_is_there_when_somebody_wants_it() -> None:
    code = (
        "import importlib.metadata\nfrom importlib.metadata import version\nfrom core.version import version as own\n"
    )
    told = _after(f"{code}print(version('dosvm'), importlib.metadata.version('dosvm'), own())").split()
    assert len(told) == 3
    assert len(set(told)) == 1


def test_what_logs_are_configured_by_is_there_when_somebody_wants_it() -> None:
    assert _after("import logging.config\nprint(logging.config.dictConfig.__name__)").split() == ["dictConfig"]


def test_mariadb_has_its_driver() -> None:
    code = (
        "from core.database import Database\n"
        "for kind in ('mysql', 'mariadb'):\n"
        "    engine = Database(f'{kind}://user:word@127.0.0.1/name').engine\n"
        "    print(engine.dialect.name, engine.dialect.driver)"
    )
    assert _after(code).split() == ["mysql", "pymysql", "mariadb", "pymysql"]


def test_threads_share_few_heaps() -> None:
    """What many threads have allocated and let go of is there for all, and not kept for each."""
    code = (
        "import threading, ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.malloc.restype = ctypes.c_void_p\n"
        "heaps, ready = set(), threading.Barrier(16)\n"
        "def work():\n"
        "    ready.wait(10)\n"
        "    heaps.add(libc.malloc(100) >> 26)\n"  # a heap of a thread is aligned to 64 MiB
        "    ready.wait(10)\n"
        "threads = [threading.Thread(target=work) for _ in range(16)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(len(heaps))"
    )
    # The first heap may lie across the border between two; of sixteen threads each would have its own otherwise.
    assert int(_after(code)) <= 3
