"""The caller's side of the call table: one connection to one hostd, signed, with errors restored.

Standard library only: the command line pays for every import at every start.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

from core.errors import DosvmError, HostdUnavailable, from_wire
from core.i18n import N_
from core.rpc.calls import Call
from core.rpc.http import HttpConnection
from core.rpc.signature import HEADER, Signer

#: Where a hostd is: the path of its Unix socket, or its address and TCP port.
Address = str | tuple[str, int]


class Client:
    """Calls one hostd. Each thread has its own connection, kept open between calls."""

    def __init__(self, address: Address, signer: Signer) -> None:
        self.address = address
        self._signer = signer
        self._local = threading.local()

    @property
    def where(self) -> str:
        """The address as people write it."""
        return self.address if isinstance(self.address, str) else f"{self.address[0]}:{self.address[1]}"

    def request(self, call: Call, body: dict[str, Any], *, patience: float = 0.0, timeout: float | None = None) -> Any:
        """Make a call and return its result.

        Args:
            call: an entry of the call table.
            body: its arguments, JSON data.
            patience: seconds to go on trying to *connect* to a hostd that is not there (it may be starting).
            timeout: seconds to wait for the answer instead of the table's.

        Raises:
            HostdUnavailable: nobody answers, or the connection broke; what was asked may have happened.
            DosvmError: what the other side says went wrong.
        """
        data = json.dumps(body, ensure_ascii=False).encode()
        limit = timeout or call.timeout.value
        connection = self._connect(patience, limit)
        try:
            return self._exchange(connection, call, data)
        except (OSError, ValueError) as error:
            self.close()
            raise HostdUnavailable(self.where) from error

    def _connect(self, patience: float, limit: float) -> HttpConnection:
        connection: HttpConnection | None = getattr(self._local, "connection", None)
        if connection is not None and connection.sock is not None and not _closed_by_peer(connection.sock):
            connection.sock.settimeout(limit)
            return connection
        give_up = time.monotonic() + patience
        while True:
            # A machine that is gone answers nothing at all; one that is there answers at once.
            connection = HttpConnection(self.address, limit if isinstance(self.address, str) else min(limit, 5.0))
            try:
                sock = connection.connect()
                sock.settimeout(limit)
                self._local.connection = connection
                return connection
            except OSError as error:
                connection.close()
                if isinstance(error, PermissionError) or time.monotonic() >= give_up:
                    raise HostdUnavailable(self.where) from error
                time.sleep(0.05)

    def _exchange(self, connection: HttpConnection, call: Call, data: bytes) -> Any:
        header, nonce = self._signer.sign("POST", call.path, data)
        status, headers, payload = connection.post(
            call.path, data, {HEADER: header, "Content-Type": "application/json"}
        )
        answer = json.loads(payload)
        if not self._signer.check_answer(headers.get(HEADER.lower(), ""), nonce, payload):
            if isinstance(answer, dict) and status == 403:
                raise DosvmError(
                    N_("hostd at {where} does not accept this cluster key."),
                    remedy=N_("Both must use the cluster.key of the same cloud."),
                    where=self.where,
                )
            raise DosvmError(N_("What answers at {where} is not a hostd of this cloud."), where=self.where)
        if "error" in answer:
            raise from_wire(answer["error"])
        return answer["ok"]

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _closed_by_peer(sock: socket.socket) -> bool:
    """Whether a kept connection was closed meanwhile: seen before sending, it is safe to open a new one."""
    try:
        sock.setblocking(False)
        try:
            return sock.recv(1, socket.MSG_PEEK) == b""
        finally:
            sock.setblocking(True)
    except BlockingIOError:
        return False
    except OSError:
        return True
