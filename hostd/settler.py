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

    def __init__(self, runtime: Runtime, *, port: int, temporary: Path, refuse: Callable[[Path, bool], None]) -> None:
        """``port`` (0: not on the network) and ``temporary`` are those of ``dosvm.toml``.

        ``refuse(directory, own)`` raises DosvmError when a directory is something else's; ``own``: it is the one of
        ``dosvm.toml``, and may lie among what is DOSVM's own.
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

    def directory(self) -> Path:
        """Where a temporary file is to be made now: looked at anew when another directory has that name since.

        Raises:
            DosvmError: what was mounted over it since is something else's, or cannot hold temporary files.
        """
        if self._is_another():
            self._wake.set()  # the host's row says it, or says it no more
            self._settle_temporary()
        elif self.place is None or not self.place.number:
            # The first one: from here on it is known which directory that is.
            check_directory(self.temporary)
            self.place = _place(self.temporary)
        return self.temporary

    def _run(self) -> None:
        while not self._closing.is_set():
            trouble = bool(self.settled.port_error or self.settled.temporary_error)
            self._wake.wait(intervals.SETTLE_AGAIN if trouble else intervals.SETTLE_LOOK)
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
        another = wanted == self.temporary and self._is_another()
        if wanted != self.temporary or self.settled.temporary_error or another:
            own = wanted == self._own_temporary
            if not own or another:
                _looked(wanted, lambda directory: self._refuse(directory, own))
            check_directory(wanted)
            if another:
                # Those of VMs that run are beneath: their QEMU has them open, and nobody else reaches them.
                logger.warning("another directory has the name of temporary files %s", fields(directory=wanted))
            else:
                logger.info("temporary files are kept elsewhere %s", fields(directory=wanted, before=self.temporary))
            self.temporary, self.place = wanted, None
        if self.place is None or not self.place.number:
            self.place = _place(self.temporary)

    def _is_another(self) -> bool:
        """Whether the directory is not the one that was looked at: something was mounted over it, or unmounted."""
        if self.place is None or not self.place.number:
            return False  # it was not there yet
        try:
            status = os.stat(self.temporary)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != (self.place.device, self.place.number)


def _looked(directory: Path, look: Callable[[Path], T]) -> T:
    """What a look at a directory finds.

    Raises:
        EngineError: it cannot be looked at.
    """
    try:
        return look(directory)
    except OSError as error:
        raise _unusable(directory, error) from error


def _place(directory: Path) -> Place:
    return _looked(directory, lambda it: place_of(str(it)))


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
