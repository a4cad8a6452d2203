"""Takes open files from processes of this machine, and has them copied: :mod:`core.rpc.handover` is the other side.

Each is copied in a thread of its own, so that neither a slow disk nor a file that hangs (its owner's file system may
be anything) holds up a call; there are few at a time, and who comes when all are taken sends his file in parts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.errors import DosvmError, EngineError, InvalidInput, PermissionDenied
from core.i18n import N_
from core.rpc.handover import LINE, PATH
from core.rpc.own_files import OWN, identities, identity
from core.rpc.signature import Signer
from hostd.copying import unreadable
from hostd.log import Throttled, fields
from hostd.sockets import unix_listener
from hostd.uploads import Told

logger = logging.getLogger("hostd.handover")

#: Files that are copied at the same time, and those who may be listened to.
_AT_ONCE, _LISTENED_TO = 4, 16
#: Seconds one who connects has to say what he wants; between words to one who waits; to take a word.
_FIRST_WORDS, _BETWEEN, _LAST_WORDS = 5.0, 0.25, 10.0
#: Looks at one file for whoever asked: (what is asked, descriptor, whether he hung up, told of bytes) -> the answer.
Copies = Callable[[dict[str, Any], int, Callable[[], bool], Told], dict[str, Any]]


class Handover:
    """The socket by which files are handed over."""

    def __init__(self, signer: Signer, copies: Copies, own: Sequence[Path] = ()) -> None:
        """``copies`` does it; it raises DosvmError. ``own``: where files are that are never taken."""
        self._signer = signer
        self._copies = copies
        self._own = own
        self._throttled = Throttled(logger)
        self._listener: socket.socket | None = None
        self._path: Path | None = None
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._waiting = threading.BoundedSemaphore(_LISTENED_TO)

    def start(self, path: Path) -> None:
        """Listen at a Unix socket that its owner and group may use.

        Raises:
            DosvmError: it cannot be made.
        """
        self._path = path
        self._listener = unix_listener(path)
        threading.Thread(target=self._run, args=(self._listener,), name="files", daemon=True).start()

    def close(self) -> None:
        """Let nobody more in, and remove the socket; what is being copied ends with the process."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _run(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError as error:
                if listener.fileno() < 0 or error.errno == 22:
                    return  # closed
                self._throttled.warning("accept", "cannot accept a connection", reason=error.strerror)
                time.sleep(0.1)
                continue
            if not self._waiting.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="copy", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        descriptor = -1
        try:
            with connection:
                header, data, descriptor = _heard(connection)
                self._answer(connection, header, data, descriptor)
        except OSError as error:
            logger.info("whoever handed over a file is gone %s", fields(reason=error.strerror or error))
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            self._waiting.release()

    def _answer(self, connection: socket.socket, header: str, data: bytes, descriptor: int) -> None:
        try:
            nonce = self._signer.check(header, "POST", PATH, data)
        except PermissionDenied as error:
            logger.warning("request refused %s", fields(call=PATH, reason=error.message))
            return  # nothing that is said to him could be signed
        said, gone = 0.0, False
        poll = select.poll()
        # He has nothing more to say: what can be read is the end.
        poll.register(connection, select.POLLIN | select.POLLHUP)

        def told(received: int, compared: int) -> None:
            nonlocal said, gone
            if time.monotonic() - said > _BETWEEN and not gone:
                said = time.monotonic()
                try:
                    self._say(connection, nonce, {"received": received, "compared": compared})
                except OSError:
                    gone = True  # the disk has no part in this

        try:
            answer = {"ok": self._copied(data, descriptor, lambda: gone or bool(poll.poll(0)), told)}
        except DosvmError as error:
            answer = {"error": error.to_wire()}
        except OSError:
            raise
        except Exception:
            logger.exception("a file that was handed over was not copied")
            answer = {"error": EngineError(N_("Something went wrong inside hostd; its log says more.")).to_wire()}
        self._say(connection, nonce, answer)

    def _copied(
        self, data: bytes, descriptor: int, gone: Callable[[], bool], told: Told
    ) -> dict[str, Any]:  # fmt: skip
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise InvalidInput(N_("The request is not a JSON object."))
        _readable(descriptor, self._own)
        if not self._room.acquire(blocking=False):
            return {"busy": True}
        try:
            return self._copies(body, descriptor, gone, told)
        finally:
            self._room.release()

    def _say(self, connection: socket.socket, nonce: str, answer: dict[str, Any]) -> None:
        payload = json.dumps(answer, ensure_ascii=False, default=str).encode()
        connection.settimeout(_LAST_WORDS)
        connection.sendall(self._signer.sign_answer(nonce, payload).encode("latin-1") + b" " + payload + b"\n")


def _heard(connection: socket.socket) -> tuple[str, bytes, int]:
    """The signature, what is asked, and the descriptor that came along.

    Raises:
        OSError: no message, or no whole one, within its time.
    """
    said, descriptor, give_up = b"", -1, time.monotonic() + _FIRST_WORDS
    try:
        while said.count(b"\n") < 2:
            # Byte after byte is no more time than all at once.
            connection.settimeout(max(0.001, give_up - time.monotonic()))
            data, rights, flags, _address = socket.recv_fds(connection, LINE, 1, socket.MSG_CMSG_CLOEXEC)
            if rights:
                if descriptor >= 0:
                    os.close(rights[0])
                    raise OSError("more than one file")
                descriptor = rights[0]
            if not data or flags & socket.MSG_CTRUNC or len(said) > LINE:
                raise OSError("no whole message")
            said += data
        if descriptor < 0:
            raise OSError("no file")
        header, data, _rest = said.split(b"\n", 2)
        return header.decode("latin-1"), data, descriptor
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        raise


def _readable(descriptor: int, own: Sequence[Path]) -> None:
    """Refuse what its owner could not read himself, what is no plain file, and what is DOSVM's own."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    if flags & os.O_PATH or flags & os.O_ACCMODE not in (os.O_RDONLY, os.O_RDWR):
        raise InvalidInput(N_("The file was not opened for reading."), field="source")
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        raise unreadable(error) from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(N_("What was handed over is not a plain file."), field="source")
    if identity(status) in identities(own):
        raise InvalidInput(OWN, field="source", file=Path(f"/proc/self/fd/{descriptor}").readlink().name)
