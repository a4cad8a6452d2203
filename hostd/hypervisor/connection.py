"""The way to libvirtd: kept open, opened again by itself, every call bounded in time.

libvirt's event loop has a thread of its own; it also serves the keepalive that finds a dead or stopped
libvirtd within seconds. All use goes through :meth:`Connection.call`.

Each thread of the pool has a connection of its own to libvirtd. On a shared one, a call that waits for a VM
that hangs makes others wait as well: who sends while another thread polls may be noticed only at the next
keepalive (measured with libvirt 9.0: 3 s instead of 3 ms), and libvirtd serves few requests per connection.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import libvirt

from core.errors import HypervisorUnavailable
from hostd import intervals
from hostd.hypervisor.bounded import OF_LIBVIRT, Bounded, Words
from hostd.hypervisor.errors import TooSlow, translate
from hostd.log import Throttled, fields

T = TypeVar("T")
logger = logging.getLogger("hostd.hypervisor")

_loop_guard = threading.Lock()
_loop_running = False


def _ensure_event_loop() -> None:
    """Start libvirt's event loop, once for the process and before anything is opened."""
    global _loop_running
    with _loop_guard:
        if _loop_running:
            return
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        libvirt.virEventRegisterDefaultImpl()

        def run() -> None:
            while True:
                libvirt.virEventRunDefaultImpl()

        threading.Thread(target=run, name="libvirt-events", daemon=True).start()
        _loop_running = True


class Connection:
    """The connection to libvirtd: one for its events, and one for each thread of the pool that makes calls."""

    def __init__(
        self, url: str, *, name: str = "libvirt", size: int = 8, words: Words = OF_LIBVIRT, host: str = ""
    ) -> None:
        """Prepare; :meth:`start` begins to connect.

        Args:
            url: libvirt's connection URI.
            name: what its threads are called.
            size: how many calls may run at the same time.
            words: what is said of calls that hang.
            host: what people call the host whose libvirtd it is; as the URI has it when empty, or this machine's name.
        """
        self.url = url
        host = host or urlsplit(url).hostname or socket.gethostname()
        self._name = name
        # Not thread-local data: that is torn down in the child of a fork, which would close the connections
        # of the parent through the sockets they share.
        self._own: dict[int, tuple[int, libvirt.virConnect]] = {}
        self._generation = 0
        self._calls = Bounded(
            name, size=size, cap=size * 3, words=words, host=host, linger=intervals.CONNECTION_IDLE, left=self._leave
        )
        self._guard = threading.Lock()
        self._connection: libvirt.virConnect | None = None
        self._reason = "not connected yet"
        self._wanted = threading.Event()
        self._connected = threading.Event()
        self._closing = threading.Event()
        self._on_connect: list[Callable[[libvirt.virConnect], None]] = []
        self._on_change: list[Callable[[bool], None]] = []
        self._throttled = Throttled(logger)

    def on_connect(self, hook: Callable[[libvirt.virConnect], None]) -> None:
        """Run ``hook(connection)`` after each opening, before anybody may use it (to register for events)."""
        self._on_connect.append(hook)

    def on_change(self, hook: Callable[[bool], None]) -> None:
        """Run ``hook(up)`` when libvirtd comes or goes; it must return at once."""
        self._on_change.append(hook)

    def start(self) -> None:
        """Begin to connect, in the background."""
        _ensure_event_loop()
        self._wanted.set()
        threading.Thread(target=self._keep, name=f"{self._name}-connect", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait until libvirtd answers; whether it does."""
        return self._connected.wait(seconds)

    @property
    def up(self) -> bool:
        """Whether libvirtd answered when it was last heard of."""
        return self._connected.is_set()

    @property
    def reason(self) -> str:
        """Why it does not, or an empty text."""
        return "" if self.up else self._reason

    def is_stuck(self, key: str) -> bool:
        """Whether a call held against this key is overdue."""
        return self._calls.is_stuck(key)

    def call(
        self,
        function: Callable[[libvirt.virConnect], T],
        *,
        limit: float = intervals.LIBVIRT_NORMAL,
        key: str | None = None,
    ) -> T:
        """Run ``function(connection)`` in a thread of the pool.

        Args:
            function: makes the libvirt calls and returns plain data.
            limit: seconds it may take.
            key: a VM's UUID when it can hang because of that VM.

        Raises:
            HypervisorUnavailable: libvirtd is away, or went away meanwhile.
            Missing: libvirt knows no such thing.
            Stuck, TooSlow: see :class:`Bounded`.
            EngineError: libvirt refused or failed.
        """
        with self._guard:
            connection, generation = self._connection, self._generation
        if connection is None:
            raise HypervisorUnavailable(self._reason)
        try:
            result: T = self._calls.call(self._in_thread, function, generation, limit=limit, key=key)
            return result
        except HypervisorUnavailable as error:
            self._lost(connection, str(error.parameters.get("reason", "")))
            raise

    def _in_thread(self, function: Callable[[libvirt.virConnect], T], generation: int) -> T:
        """Run a call on this thread's own connection, opened anew whenever libvirtd was away."""
        me = threading.get_ident()
        known, connection = self._own.get(me, (-1, None))
        if connection is None or known != generation:
            _close(connection)
            connection = _translated_open(self.url)
            connection.setKeepAlive(intervals.KEEPALIVE_INTERVAL, intervals.KEEPALIVE_COUNT)
            self._own[me] = (generation, connection)
        try:
            return _translated(function, connection)
        except HypervisorUnavailable:
            self._own[me] = (-1, connection)
            raise

    def _leave(self) -> None:
        """A thread of the pool ends: so does its connection, which would be kept alive for nothing."""
        _generation, connection = self._own.pop(threading.get_ident(), (-1, None))
        _close(connection)

    def _keep(self) -> None:
        pause = intervals.RECONNECT_MIN
        while not self._closing.is_set():
            self._wanted.wait()
            if self._closing.is_set():
                return
            self._wanted.clear()
            try:
                # A libvirtd that is stopped accepts connections and never answers.
                connection = self._calls.call(_translated_open, self.url, limit=intervals.LIBVIRT_FAST)
                self._adopt(connection)
                pause = intervals.RECONNECT_MIN
            except Exception as error:  # noqa: BLE001  (whatever it is, it is tried again)
                self._reason = _reason(error)
                self._throttled.warning("connect", "libvirtd does not answer", url=self.url, reason=self._reason)
                self._closing.wait(pause)
                pause = min(pause * 2, intervals.RECONNECT_MAX)
                self._wanted.set()

    def _adopt(self, connection: libvirt.virConnect) -> None:
        def prepare(fresh: libvirt.virConnect) -> None:
            fresh.registerCloseCallback(lambda c, why, _o: self._lost(c, f"connection closed ({why})"), None)
            fresh.setKeepAlive(intervals.KEEPALIVE_INTERVAL, intervals.KEEPALIVE_COUNT)
            for hook in self._on_connect:
                hook(fresh)

        self._calls.call(_translated, prepare, connection, limit=intervals.LIBVIRT_FAST)
        with self._guard:
            self._connection = connection
            self._generation += 1
            self._reason = ""
        self._connected.set()
        self._throttled.clear("connect")
        logger.info("libvirtd answers %s", fields(url=self.url))
        for change in self._on_change:
            change(True)

    def _lost(self, connection: Any, reason: str) -> None:
        with self._guard:
            if self._connection is None or (connection is not None and not _same(self._connection, connection)):
                return
            old, self._connection = self._connection, None
            self._reason = reason or "connection closed"
            self._connected.clear()
        logger.warning("libvirtd went away %s", fields(url=self.url, reason=reason))
        # Closing may block when libvirtd is stopped, and this may be libvirt's event thread.
        threading.Thread(target=_close, args=(old,), name=f"{self._name}-close", daemon=True).start()
        for change in self._on_change:
            change(False)
        if not self._closing.is_set():
            self._wanted.set()

    def close(self) -> None:
        """Close the connection for good."""
        self._closing.set()
        self._wanted.set()
        with self._guard:
            connection, self._connection = self._connection, None
            self._connected.clear()
        self._calls.close()
        if connection is not None:
            closer = threading.Thread(target=_close, args=(connection,), daemon=True)
            closer.start()
            closer.join(2.0)


def _same(mine: Any, other: Any) -> bool:
    return mine is other or getattr(mine, "_o", 0) is getattr(other, "_o", 1)


def _close(connection: libvirt.virConnect | None) -> None:
    if connection is None:
        return
    try:
        connection.unregisterCloseCallback()
    except libvirt.libvirtError:
        pass
    try:
        connection.close()
    except libvirt.libvirtError:
        pass


def _translated(function: Callable[[libvirt.virConnect], T], connection: libvirt.virConnect) -> T:
    try:
        return function(connection)
    except libvirt.libvirtError as error:
        raise translate(error) from error


def _translated_open(url: str) -> libvirt.virConnect:
    try:
        return libvirt.open(url)
    except libvirt.libvirtError as error:
        raise translate(error) from error


def _reason(error: Exception) -> str:
    if isinstance(error, TooSlow):
        return "it accepts connections but does not answer"
    reason = getattr(error, "parameters", {}).get("reason", "")
    return str(reason or error)
