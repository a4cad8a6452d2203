"""Watches QEMU processes from outside, all the time, so that a VM that ran twice for a moment is seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.lab.host import QEMU, LabHost
from tests.lab.namespaces import processes


class Watch:
    """A thread that looks again and again, from ``with`` to its end."""

    def __init__(self, name: str) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(20)

    def _run(self) -> None:
        """Look until ``_end`` is set."""
        raise NotImplementedError


class QemuWatch(Watch):
    """``with QemuWatch(hosts) as watch:``; then :attr:`most` and :attr:`seen` tell what happened."""

    def __init__(self, hosts: Sequence[LabHost], *, every: float = 0.02) -> None:
        """Watch these hosts, looking ``every`` so many seconds."""
        super().__init__("qemu-watch")
        self._hosts = hosts
        self._every = every
        self.most: dict[str, int] = {}
        """UUID -> the most processes that ran for it at one time, on all hosts together."""
        self.seen: dict[str, set[int]] = {}
        """UUID -> every process id that ever ran for it."""

    def _run(self) -> None:
        while not self._end.wait(self._every):
            self._look()

    def _look(self) -> None:
        now: dict[str, set[int]] = {}
        worlds = [host.world.identity for host in self._hosts if host.running]
        for pid, words in processes(worlds).items():
            if words[0].rsplit("/", 1)[-1] == QEMU and "-uuid" in words:
                now.setdefault(words[words.index("-uuid") + 1], set()).add(pid)
        for uuid, pids in now.items():
            self.most[uuid] = max(self.most.get(uuid, 0), len(pids))
            self.seen.setdefault(uuid, set()).update(pids)

    def settle(self, seconds: float = 0.5) -> None:
        """Go on watching for a while."""
        time.sleep(seconds)
