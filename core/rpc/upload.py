"""Gives a file of this machine to hostd; what broke off is gone on with.

To the hostd of the same machine the open file is handed over (:mod:`core.rpc.handover`), over TLS its bytes are sent in
a stream, and where neither can be, part by part, each a signed message of its own, so that neither side holds more than
one. What was handed over, or came over TLS without a break in what hostd knows, hostd sums by itself. At the end of
anything else both sides must have seen the same SHA-256, which binds all of it to one call. Standard library only.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from core import image_files
from core.errors import DosvmError, Elsewhere, HostdUnavailable, InUse, InvalidInput
from core.i18n import N_
from core.rpc.backend import Backend
from core.rpc.calls import AS_IT_CAME, PART, STREAM
from core.rpc.http import Stream
from core.rpc.own_files import OWN, identities, identity
from core.rpc.ways import own_places
from core.summing import Summing, Unsummed

_Answer = TypeVar("_Answer")
#: Told how far it is; see :meth:`Upload.send`.
Told = Callable[[int, int, int], None]
#: Seconds a hostd that went away is waited for, and one that waits for an earlier sender to be silent.
PATIENCE, ANOTHER = 120.0, 20.0
#: Bytes that are read and sent together.
_PIECE = 1024 * 1024
#: How often a hostd that comes back without knowing what it had copied is handed the file again.
_TRIES = 3
#: How often it is gone to the host that is named: it may go away meanwhile, and another one be asked.
_HOPS = 2


class BrokenOff(DosvmError):
    """Whoever sends a file wants it no longer; what has arrived stays."""

    code = "broken-off"

    def __init__(self, *, begun: bool = True) -> None:
        """Say how to go on; ``begun``: whether hostd was told of the upload, so that something may have arrived."""
        if begun:
            super().__init__(
                N_("The upload was broken off."), remedy=N_("The same upload, begun again, goes on where this one was.")
            )
        else:
            super().__init__(N_("The upload was broken off before anything was sent."))


class Upload:
    """A file that hostd has been told of: its size is booked, and its bytes may follow."""

    def __init__(self, backend: Backend, operation: str, key: str, arguments: dict[str, Any]) -> None:
        """Open the file and call an operation that wants one.

        Args:
            backend: logged in.
            operation: takes the size of the file (bytes) as ``key``, and answers the ``uuid`` of what it is for. Called
                again with the same arguments it goes on where it was broken off.
            key: the argument that names the file here.
            arguments: the others; ``file``, the name there, is the file's own unless given.

        Raises:
            InvalidInput: the file cannot be read, or is one of DOSVM's own.
            DosvmError: it was refused.
        """
        self._backend, self._key, self._path = backend, key, Path(str(arguments[key])).expanduser()
        try:
            # Nobody may be at the other end of a FIFO: it is opened without waiting for him, and seen to be one then.
            self._file = open(self._path, "rb", buffering=0, opener=_at_once)  # noqa: SIM115 (closed by send)
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            status = os.fstat(self._file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(N_("{file} is not a plain file."), field=key, file=str(self._path))
            if identity(status) in identities(own_places()):
                raise InvalidInput(OWN, field=key, file=str(self._path))
            self.size = status.st_size
            self._look(arguments)
            #: What the operation answered.
            self.answer: dict[str, Any] = backend.call(
                operation, **{"file": self._path.name, **arguments, key: self.size}
            )
        except OSError as error:
            self._file.close()
            raise self._unreadable(error) from error
        except BaseException:
            self._file.close()
            raise

    def send(self, told: Told, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Send what is missing of the file; once.

        Args:
            told: called with bytes done, bytes in all, and how many of those that had arrived before were looked at,
                while they are.
            stop: asked several times a second; when it says so, no more is sent.

        Returns:
            The operation's answer, and ``task``, which looks at what has arrived.

        Raises:
            InvalidInput: the file cannot be read, or changed while it was sent.
            BrokenOff: ``stop`` said so.
            DosvmError: it was refused.
        """
        try:
            with self._file as file:
                sending = _Sending(self._backend, self.answer["uuid"], file.fileno(), self.size, told, stop)
                return {**self.answer, **sending.all()}
        except OSError as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        """Send nothing of it."""
        self._file.close()

    def _look(self, arguments: Mapping[str, Any]) -> None:
        """Refuse a file that is not what is said of it before any of it is sent; hostd looks again at the end.

        Raises:
            InvalidInput: its format is another one, or it is no image that can be used.
            OSError: it cannot be read.
        """
        if "format" not in arguments:
            return
        try:
            image_files.read(self._file.fileno(), self._path.name, str(arguments["format"]))
        except InvalidInput as error:
            # What is wrong with the file itself is wrong here, not with the name that it gets there.
            if error.field == "file":
                error.field = self._key
            raise

    def _unreadable(self, error: OSError) -> InvalidInput:
        return InvalidInput(
            N_("{path} cannot be read: {reason}."),
            field=self._key,
            path=str(self._path),
            reason=error.strerror or str(error),
        )


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


class _Sending:
    """One file on its way."""

    def __init__(
        self,
        backend: Backend,
        image: str,
        descriptor: int,
        size: int,
        told: Told,
        stop: Callable[[], bool],
    ) -> None:
        self._backend, self._descriptor, self._size = backend, descriptor, size
        self._tell, self._stop = told, stop
        self._about = {"image": image, "sender": os.urandom(8).hex()}

    def _told(self, done: int) -> None:
        if self._stop():
            raise BrokenOff
        self._tell(done, self._size, 0)

    def all(self) -> dict[str, Any]:
        """Send what is missing and say that it was all, at the host where what has arrived of it is."""
        for _hop in range(_HOPS):
            try:
                return self._all()
            except Elsewhere as error:
                if not self._backend.go_to(str(error.parameters.get("at", ""))):
                    raise
        return self._all()

    def _all(self) -> dict[str, Any]:
        for attempt in range(_TRIES):
            digest = self._handed_over() or self._sent(sums=attempt > 0)
            self._tell(self._size, self._size, 0)
            answer = self._asked(lambda said=digest: self._backend.send(b"", **self._about, finish=said))  # type: ignore[misc]
            if "task" in answer:
                return answer
            # hostd was started anew in between: it compares what it has with what is handed over again, or is told the
            # sum of it; either takes no more than reading the file.
        raise DosvmError(
            N_("Nothing more of the file arrives."), remedy=N_("Begin the upload again: it goes on.")
        )  # fmt: skip

    # -- handed over

    def _handed_over(self) -> str:
        """Have hostd copy the file; what is said of it in the end, or nothing where it must be sent."""
        wanted = False

        def heard(received: int, compared: int) -> bool:
            nonlocal wanted
            wanted = self._stop()
            self._tell(received, self._size, compared)
            return wanted

        def ask() -> dict[str, Any] | None:
            answer = self._backend.hand_over(self._descriptor, heard, **self._about)
            if wanted:
                self._told(0)
            return answer

        for _ in range(_TRIES):
            try:
                answer = self._retried(ask)
            except HostdUnavailable:
                # Gone, or one that takes no files: its other socket says which, when it is there again.
                self._told(self._received())
                continue
            if answer is None or answer.get("busy"):
                return ""
            if answer.get("received") == self._size:
                # Where other hosts write to its directory hostd has to hold it against the sum as well.
                return str(answer.get("digest") or AS_IT_CAME)
        return ""

    # -- sent

    def _asked_what_is_there(self) -> dict[str, Any]:
        return self._asked(lambda: self._backend.send(b"", **self._about, offset=0))

    def _received(self) -> int:
        """What is there, from which to go on."""
        return int(self._asked_what_is_there()["received"])

    def _sent(self, *, sums: bool) -> str:
        """Send the file in streams or parts; its SHA-256, when ``sums`` or hostd wants it."""
        before, there = self._stamp(), self._asked_what_is_there()
        received = int(there["received"])
        sums = sums or received > 0 or not self._backend.streams or bool(there.get("sum", True))
        summing: Summing | Unsummed = Summing(_PIECE) if sums else Unsummed(_PIECE)
        try:
            since = time.monotonic()
            while received < self._size:
                self._told(received)
                last, received = received, self._more(received, summing)
                if received > last:
                    since = time.monotonic()
                    continue
                if time.monotonic() - since > PATIENCE:
                    raise DosvmError(
                        N_("Nothing more of the file arrives."), remedy=N_("Begin the upload again: it goes on.")
                    )
                self._stop_asked()
                time.sleep(0.5)
            if sums:
                self._sum_until(self._size, summing)
            if self._stamp() != before:
                raise InvalidInput(
                    N_("The file was changed while it was sent."), field="source", remedy=N_("Send it again.")
                )
        finally:
            digest = summing.end()
        return digest or AS_IT_CAME

    def _stamp(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def _more(self, offset: int, summing: Summing | Unsummed) -> int:
        """Send what follows, as much as goes at once; what is there afterwards."""
        self._sum_until(offset, summing)
        try:
            return int(
                self._retried(lambda: self._backend.send(self._next(offset, summing), **self._about, offset=offset))[
                    "received"
                ]
            )
        except HostdUnavailable:
            # Perhaps another hostd is asked from now on, perhaps the same: what is there is asked for first.
            return self._received()

    def _next(self, offset: int, summing: Summing | Unsummed) -> bytes | Stream:
        left = self._size - offset
        if self._backend.streams:
            length = min(STREAM, left)
            return Stream(length, lambda: self._pieces(offset, length, summing))
        return b"".join(map(bytes, self._pieces(offset, min(PART, left), summing)))

    def _pieces(self, offset: int, length: int, summing: Summing | Unsummed) -> Iterator[memoryview]:
        end = offset + length
        while offset < end:
            self._told(offset)
            # One that had come in half and is sent again ends where the sum does, so that what follows fits.
            last = summing.taken if offset < summing.taken < end else end
            piece = self._read(offset, min(_PIECE, last - offset), summing)
            yield piece
            summing.take(offset, piece)
            offset += len(piece)

    def _read(self, offset: int, length: int, summing: Summing | Unsummed) -> memoryview:
        room = memoryview(summing.room())[:length]
        try:
            count = os.preadv(self._descriptor, [room], offset)
        except OSError as error:
            # Within a stream it would be taken for a broken connection.
            raise InvalidInput(
                N_("The file cannot be read: {reason}."), field="source", reason=error.strerror or str(error)
            ) from error
        if not count:
            raise InvalidInput(N_("The file became shorter while it was sent."), field="source")
        return room[:count]

    def _sum_until(self, offset: int, summing: Summing | Unsummed) -> None:
        """Have all before a place in the sum: what an earlier sender sent, or what was sent twice."""
        if isinstance(summing, Unsummed):
            return  # where it is not all from here hostd says so in the end
        while (at := summing.taken) < offset:
            self._stop_asked()
            self._tell(offset, self._size, at)
            summing.take(at, self._read(at, min(_PIECE, offset - at), summing))

    def _stop_asked(self) -> None:
        if self._stop():
            self._told(0)

    # -- patience

    def _asked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Ask, and wait for a hostd that went away and for an earlier sender to be silent."""
        begun = time.monotonic()
        while True:
            try:
                return self._retried(ask)
            except HostdUnavailable:
                if time.monotonic() - begun > PATIENCE:
                    raise
            self._stop_asked()
            time.sleep(0.5)

    def _retried(self, ask: Callable[[], _Answer]) -> _Answer:
        begun = time.monotonic()
        while True:
            try:
                return ask()
            except InUse:
                # One that was killed counts as sending for some seconds more.
                if time.monotonic() - begun > ANOTHER:
                    raise
            self._stop_asked()
            time.sleep(0.5)
