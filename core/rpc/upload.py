"""Sends a file of this machine to hostd, part by part; what broke off is gone on with.

Every part is a signed message of its own, so that neither side holds more than one. At the end both sides must have
seen the same SHA-256. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import HostdUnavailable, InUse, InvalidInput
from core.i18n import N_
from core.rpc.backend import Backend
from core.rpc.calls import PART

#: Seconds a hostd that went away is waited for, and one that waits for an earlier sender to be silent.
PATIENCE, ANOTHER = 120.0, 20.0


def call_with_file(
    backend: Backend, operation: str, key: str, arguments: dict[str, Any], told: Callable[[int, int], None]
) -> dict[str, Any]:
    """Call an operation that wants a file, and send the file.

    Args:
        backend: logged in.
        operation: takes the size of the file (bytes) as ``key``, and answers the ``uuid`` of what it is for. Called
            again with the same arguments it goes on where it was broken off.
        key: the argument that names the file here.
        arguments: the others; ``file``, the name there, is the file's own unless given.
        told: called with bytes done and bytes in all.

    Returns:
        The operation's answer, and ``task``, which looks at what has arrived.

    Raises:
        InvalidInput: the file cannot be read, or changed while it was sent.
        DosvmError: it was refused.
    """
    path = Path(str(arguments[key])).expanduser()
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(N_("{file} is not a plain file."), field=key, file=str(path))
            answer = backend.call(operation, **{"file": path.name, **arguments, key: status.st_size})
            sending = _Sending(backend, answer["uuid"], file.fileno(), status.st_size, told)
            return {**answer, **sending.all()}
    except OSError as error:
        raise InvalidInput(
            N_("{path} cannot be read: {reason}."), field=key, path=str(path), reason=error.strerror or str(error)
        ) from error


class _Sending:
    """One file on its way."""

    def __init__(
        self, backend: Backend, image: str, descriptor: int, size: int, told: Callable[[int, int], None]
    ) -> None:
        self._backend, self._descriptor, self._size, self._told = backend, descriptor, size, told
        self._about = {"image": image, "sender": os.urandom(8).hex()}
        self._digest = hashlib.sha256()
        self._digested = 0

    def all(self) -> dict[str, Any]:
        """Send what is missing and say that it was all."""
        received = int(self._send(b"", offset=0)["received"])
        while received < self._size:
            self._told(received, self._size)
            part, offset = self._part(received), received
            self._digest_until(offset)
            received = int(self._send(part, offset=offset)["received"])
            # What is sent once more, after the other side fell back, is in the digest already.
            if self._digested == offset:
                self._digest.update(part)
                self._digested += len(part)
        self._digest_until(self._size)
        self._told(self._size, self._size)
        return self._send(b"", finish=self._digest.hexdigest())

    def _part(self, offset: int) -> bytes:
        part = os.pread(self._descriptor, min(PART, self._size - offset), offset)
        if not part:
            raise InvalidInput(N_("The file became shorter while it was sent."), field="source")
        return part

    def _digest_until(self, offset: int) -> None:
        while self._digested < offset:
            part = self._part(self._digested)[: offset - self._digested]
            self._digest.update(part)
            self._digested += len(part)

    def _send(self, part: bytes, **about: Any) -> dict[str, Any]:
        begun = time.monotonic()
        while True:
            waited = time.monotonic() - begun
            try:
                return self._backend.send(part, **self._about, **about)
            except HostdUnavailable:
                if waited > PATIENCE:
                    raise
            except InUse:
                # One that was killed counts as sending for some seconds more.
                if waited > ANOTHER:
                    raise
            time.sleep(0.5)
