"""News inside one hostd: a counter that grows with every change, and those who wait for it to grow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable


class Bus:
    """Counts changes. Anybody may report one from any thread; waiters are tasks of one event loop."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._revision = 1
        self._closed = False
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._listeners: list[Callable[[frozenset[str], bool], None]] = []

    @property
    def revision(self) -> int:
        """The number of the last change."""
        return self._revision

    @property
    def closed(self) -> bool:
        """Whether nobody need wait any longer."""
        return self._closed

    def close(self) -> None:
        """Let all who wait go, and nobody wait from now on: hostd ends."""
        self._closed = True
        self.changed(())

    def listen(self, listener: Callable[[frozenset[str], bool], None]) -> None:
        """Call ``listener(topics, heard)`` after each change, in the reporter's thread; it must return at once."""
        self._listeners.append(listener)

    def changed(self, topics: Iterable[str], *, heard: bool = False) -> None:
        """Report that rows of these kinds changed; ``heard`` when it is another host that says so."""
        known = frozenset(topics)
        with self._guard:
            self._revision += 1
            waiters, self._waiters = self._waiters, set()
        for loop, event in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
        for listener in self._listeners:
            listener(known, heard)

    async def after(self, revision: int, seconds: float) -> int:
        """Wait until there is a change after ``revision``, at most ``seconds``; the revision then."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._guard:
            if self._revision > revision or self._closed:
                return self._revision
            self._waiters.add(entry)
        try:
            await asyncio.wait_for(event.wait(), max(0.0, seconds))
        except TimeoutError:
            pass
        finally:
            with self._guard:
                self._waiters.discard(entry)
        return self._revision
