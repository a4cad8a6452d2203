"""Processes in Linux namespaces that vanish with the test process, however it ends.

Each :class:`World` has an init (tini) that lives as long as a pipe from this process stays open. When the
pipe closes, by :meth:`World.end` or because the tests were killed, the init ends, the kernel kills every
process of its PID namespace, and networks, mounts and bridges inside go with the last of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: util-linux's letters for the namespaces of a host.
HOST = ["-m", "-u", "-i", "-n", "-p"]


def wait_until(
    condition: Callable[[], object], what: str, seconds: float, details: Callable[[], str] | None = None
) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it does not within ``seconds``; with ``details()`` in its message.
    """
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what}: not within {seconds:g} s" + (f"\n{details()}" if details else ""))
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The process ids of a process's children."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether a process runs (one that ended and waits to be reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def program(pid: int) -> str:
    """The short name of a process's program, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def processes(namespaces: Collection[str]) -> dict[int, list[str]]:
    """The living processes of PID namespaces: pid outside -> command line."""
    found = {}
    # Plain calls of the system: watches look 50 times a second, and there are hundreds of processes.
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/pid") not in namespaces:  # noqa: PTH115
                continue
            with open(f"/proc/{name}/cmdline", "rb", buffering=0) as file:
                words = file.read().split(b"\0")[:-1]
        except OSError:
            continue
        if words:
            found[int(name)] = [word.decode(errors="replace") for word in words]
    return found


def tail(file: Path, lines: int = 40) -> str:
    """The last lines of a log."""
    try:
        return f"-- {file.name}\n" + "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"-- {file.name}: {error.strerror}"


@dataclass(frozen=True)
class Inside:
    """A program that runs in a world. ``pid`` is its process id as seen from outside."""

    pid: int
    starter: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return alive(self.pid)

    def kill(self, sign: signal.Signals = signal.SIGKILL, *, wait: float = 20.0) -> None:
        """Send a signal and wait for the end (``wait`` 0: do not)."""
        try:
            os.kill(self.pid, sign)
        except ProcessLookupError:
            pass
        if wait:
            self.starter.wait(wait)


class World:
    """Namespaces with an init; ``init`` is its process id as seen from outside."""

    def __init__(self, flags: Sequence[str], script: str, log: Path, *, within: World | None = None) -> None:
        """Make the namespaces and run ``script`` (bash) in them.

        Args:
            flags: for unshare(1).
            script: starts with the first line that :meth:`go` sends on its standard input; must end by
                ``exec`` of something that lives as long as its standard input.
            log: where its output goes.
            within: the world that shall end this one when it ends.
        """
        self.log = log
        into = [] if within is None else ["nsenter", "-t", str(within.init), "-n", "-p", "--"]
        with log.open("ab") as output:
            self._starter = subprocess.Popen(
                [*into, "unshare", *flags, "-f", "--mount-proc", "--",
                 "tini", "--", "bash", "-euc", f"read -r go\n{script}"],
                stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        depth = 1 if within is None else 2
        found: list[int] = []

        def look() -> bool:
            pids = [self._starter.pid]
            for _ in range(depth):
                pids = [child for pid in pids for child in children(pid)]
            found[:] = [pid for pid in pids if program(pid) == "tini"]
            return bool(found) or self._starter.poll() is not None

        wait_until(look, "namespaces", 10, lambda: tail(log))
        if not found:
            raise AssertionError(f"no namespaces: {tail(log)}")
        self.init = found[0]
        self._identity = str(Path(f"/proc/{self.init}/ns/pid").readlink())

    def go(self) -> None:
        """Let the script begin."""
        assert self._starter.stdin is not None
        self._starter.stdin.write(b"go\n")
        self._starter.stdin.flush()

    @property
    def running(self) -> bool:
        """Whether its init lives."""
        return alive(self.init)

    def command(self, arguments: Sequence[str], flags: Sequence[str] = HOST) -> list[str]:
        """The command line that runs something inside."""
        return ["nsenter", "-t", str(self.init), *flags, "--", *arguments]

    def spawn(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Inside:
        """Start a program inside that goes on running."""
        with log.open("ab") as output:
            starter = subprocess.Popen(
                self.command(arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(environment), start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: children(starter.pid) or starter.poll() is not None, "a child of nsenter", 10)
        below = children(starter.pid)
        # One that ended at once has told why in its log; its caller finds it not running.
        return Inside(below[0] if below else starter.pid, starter)

    @property
    def identity(self) -> str:
        """The name of its PID namespace, good for :func:`processes` even after its end."""
        return self._identity

    def processes(self, name: str = "") -> dict[int, list[str]]:
        """The processes inside, those of one program when ``name`` is given: pid outside -> command line."""
        found = processes([self._identity])
        return {pid: words for pid, words in found.items() if not name or Path(words[0]).name == name}

    def end(self) -> None:
        """End every process inside at once, as a power cut would."""
        try:
            os.kill(self.init, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if self._starter.stdin is not None:
            self._starter.stdin.close()
        self._starter.wait(20)
