"""Lives by the parameters that need more than to be known: the port, and the directory of temporary files.

It has a thread of its own, for a directory on a server that does not answer may hold whoever looks at it. What cannot
be done is said in the host's row and tried again; until then the port and the directory of before stay in use.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.coordination.hosts import Settled
from core.errors import DosvmError, EngineError
from core.i18n import N_
from hostd import intervals
from hostd.log import Throttled, fields
from hostd.places import Place, place_of
from hostd.runtime import Runtime

logger = logging.getLogger("hostd.settler")

T = TypeVar("T")


class Settler:
    """The port and the temporary directory of this host as they are now."""

    def __init__(self, runtime: Runtime, *, port: int, temporary: Path, refuse: Callable[[Path], None]) -> None:
        """``port`` (0: not on the network) and ``temporary`` are those of ``dosvm.toml``.

        ``refuse(directory)`` raises DosvmError when a directory that the parameter names is something else's.
        """
        self._runtime = runtime
        self._own_port, self._own_temporary = port, temporary
        self._move: Callable[[int], None] = lambda _port: None
        self._told: Callable[[], None] = lambda: None
        self._refuse = refuse
        self._port = port
        self.temporary = temporary
        self.place: Place | None = None
        """Where :attr:`temporary` truly is; None until that was looked at."""
        self.settled = Settled(port)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._throttled = Throttled(logger)
        self._thread = threading.Thread(target=self._run, name="settler", daemon=True)
        runtime.on_change(self._wake.set)

    def on_port(self, move: Callable[[int], None]) -> None:
        """``move(port)`` listens at another port; raises DosvmError when it cannot."""
        self._move = move

    def on_settled(self, hook: Callable[[], None]) -> None:
        """Call ``hook()`` when :attr:`settled` has changed; it must return at once."""
        self._told = hook

    @property
    def wanted_port(self) -> int:
        """Where this host should listen; 0 when it is not on the network."""
        return (self._runtime.now.port or self._own_port) if self._own_port else 0

    def listens_at(self, port: int) -> None:
        """Say at which port hostd listens since its start."""
        self._port = port
        self.settled = Settled(port)

    def start(self) -> None:
        """Begin."""
        self._wake.set()
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._wake.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            trouble = bool(self.settled.port_error or self.settled.temporary_error)
            self._wake.wait(intervals.SETTLE_AGAIN if trouble else None)
            self._wake.clear()
            if not self._closing.is_set():
                self.settle()

    def settle(self) -> None:
        """Compare, and do what differs."""
        before = self.settled
        port_error = self._try("port", self._settle_port)
        temporary_error = self._try("temporary directory", self._settle_temporary)
        self.settled = Settled(self._port, port_error, temporary_error)
        if self.settled != before:
            self._told()

    def _try(self, what: str, work: Callable[[], None]) -> str:
        """Do it; the wire form of why it cannot be done, or empty."""
        try:
            work()
        except DosvmError as error:
            self._throttled.warning(what, f"cannot live by the parameter {what}", reason=error.text())
            return json.dumps(error.to_wire(), ensure_ascii=False, default=str)
        self._throttled.clear(what)
        return ""

    def _settle_port(self) -> None:
        wanted = self.wanted_port
        if wanted != self._port:
            self._move(wanted)
            logger.info("listening at another port %s", fields(port=wanted, before=self._port))
            self._port = wanted

    def _settle_temporary(self) -> None:
        named = self._runtime.now.temporary_directory
        wanted = Path(named) if named else self._own_temporary
        if wanted != self.temporary or self.settled.temporary_error:
            if wanted != self._own_temporary:
                _looked(wanted, self._refuse)
            check_directory(wanted)
            logger.info("temporary files are kept elsewhere %s", fields(directory=wanted, before=self.temporary))
            self.temporary, self.place = wanted, None
        if self.place is None:
            self.place = _looked(self.temporary, lambda directory: place_of(str(directory)))


def _looked(directory: Path, look: Callable[[Path], T]) -> T:
    """What a look at a directory finds.

    Raises:
        EngineError: it cannot be looked at.
    """
    try:
        return look(directory)
    except OSError as error:
        raise _unusable(directory, error) from error


def check_directory(directory: Path) -> None:
    """Whether temporary files can be kept in a directory; makes it when it is missing.

    Raises:
        EngineError: they cannot; says why.
    """
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x")
            os.fsync(file.fileno())
    except OSError as error:
        raise _unusable(directory, error) from error


def _unusable(directory: Path, error: OSError) -> EngineError:
    return EngineError(
        N_("{path} cannot hold temporary files: {reason}."),
        remedy=N_("Make it writable on this host, or name another directory in the runtime parameters."),
        path=str(directory),
        reason=error.strerror or str(error),
    )
