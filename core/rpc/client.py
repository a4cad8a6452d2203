"""The caller's side of the call table: one connection to one hostd, signed, with errors restored.

Standard library only: the command line pays for every import at every start (``ssl`` is imported where TLS is used).
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from core.errors import BOTH_OR_NEITHER, DosvmError, HostdUnavailable, Refused, TlsFailed, from_wire
from core.i18n import N_
from core.rpc.calls import Call
from core.rpc.http import BadAnswer, HttpConnection, Stream
from core.rpc.signature import HEADER, Signer

if TYPE_CHECKING:
    from core.rpc.handover import Told
    from core.rpc.tls import Tls

#: What a hostd that talks TLS only answers to those who do not (RFC 9110 section 15.5.22, Upgrade Required).
TLS_ONLY = 426
#: Where a hostd is: the path of its Unix socket, or its address and TCP port.
Address = str | tuple[str, int]


class Client:
    """Calls one hostd. Each thread has its own connection, kept open between calls."""

    def __init__(
        self, address: Address, signer: Signer | None, tls: Tls | None = None, *, hurry: float | None = None
    ) -> None:
        """Make it; nothing is connected yet.

        Args:
            address: where hostd is.
            signer: signs with the cluster key; None on a machine that has none and shows a certificate instead.
            tls: how to talk over TCP; None for plain text, by which nothing of a person travels.
            hurry: seconds until a machine that does not answer counts as gone, when there are others to ask.
        """
        self.address = address
        self._signer = signer
        self._tls = None if isinstance(address, str) else tls
        self._hurry = hurry or 5.0
        self._local = threading.local()

    @property
    def where(self) -> str:
        """The address as people write it."""
        return self.address if isinstance(self.address, str) else f"{self.address[0]}:{self.address[1]}"

    @property
    def streams(self) -> bool:
        """Whether bytes may go with a call that are not signed: over TLS, which knows both sides and every byte."""
        return self._tls is not None and self._signer is None

    def go_to(self, _host: str) -> bool:
        """See :meth:`core.rpc.ways.Ways.go_to`: there is one only."""
        return False

    def hand_over(self, body: dict[str, Any], descriptor: int, told: Told) -> dict[str, Any] | None:
        """Have hostd copy an open file of this machine; None when it is on another. See :mod:`core.rpc.handover`."""
        if not isinstance(self.address, str) or self._signer is None:
            return None
        from pathlib import Path

        from core.rpc.handover import SOCKET, hand_over  # no other command pays for it

        return hand_over(str(Path(self.address).with_name(SOCKET)), self._signer, body, descriptor, told)

    def check(self) -> None:
        """Refuse files of a certificate that cannot be used.

        Raises:
            InvalidInput: says which file, and why.
        """
        if self._tls is not None:
            self._tls.client()

    def request(
        self,
        call: Call,
        body: dict[str, Any],
        *,
        patience: float = 0.0,
        timeout: float | None = None,
        payload: bytes | Stream | None = None,
    ) -> Any:
        """Make a call and return its result.

        Args:
            call: an entry of the call table.
            body: its arguments, JSON data.
            patience: seconds to go on trying to *connect* to a hostd that is not there (it may be starting).
            timeout: seconds to wait for the answer instead of the table's.
            payload: bytes that go with it, for a call that takes some; more than are signed, where it ``streams``.

        Raises:
            HostdUnavailable: nobody answers, or the connection broke; what was asked may have happened.
                TlsFailed: somebody does, and the two sides do not trust each other.
            Refused: a password or a token would have travelled in plain text; nothing was sent.
            DosvmError: what the other side says went wrong.
        """
        if self._tls is None and (self._signer is None or (call.personal and not isinstance(self.address, str))):
            raise Refused(
                N_("Passwords never travel over the network without TLS; hostd at {where} was not asked."),
                remedy=N_("Switch SSL on here (`dosvm console-settings edit`) and use_ssl on at that host."),
                where=self.where,
            )
        data = json.dumps(body, ensure_ascii=False).encode()
        stream = None
        if isinstance(payload, Stream):
            if not self.streams:
                raise HostdUnavailable(self.where)  # another one than was asked before is: what is sent is made anew
            data, stream = data + b"\n", payload
        elif payload is not None:
            data = b"\n".join((data, payload))
        limit = timeout or call.timeout.value
        connection = self._connect(patience, limit)
        try:
            return self._exchange(connection, call, data, stream)
        except (OSError, ValueError) as error:
            told = self._explained(error, connection)
            self.close()
            raise told or HostdUnavailable(self.where) from error

    def _explained(self, error: Exception, connection: HttpConnection) -> TlsFailed | None:
        """What TLS says of a connection that broke. In TLS 1.3 the other side judges ours after our first words."""
        if self._tls is None:
            return None
        import ssl

        from core.rpc.tls import failed_at

        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | TimeoutError) and connection.sock:
            try:
                connection.sock.settimeout(1.0)
                connection.sock.recv(1)  # what was said before it hung up
            except ssl.SSLError as said:
                error = said
            except (OSError, ValueError):
                return None
        return failed_at(self.where, error) if isinstance(error, ssl.SSLError) else None

    def _connect(self, patience: float, limit: float) -> HttpConnection:
        connection: HttpConnection | None = getattr(self._local, "connection", None)
        if connection is not None and connection.sock is not None and not _closed_by_peer(connection.sock):
            connection.sock.settimeout(limit)
            return connection
        give_up = time.monotonic() + patience
        while True:
            # A machine that is gone answers nothing at all; one that is there answers at once.
            connection = HttpConnection(
                self.address, limit if isinstance(self.address, str) else min(limit, self._hurry), self._tls
            )
            try:
                sock = connection.connect()
                sock.settimeout(limit)
                self._local.connection = connection
                return connection
            except OSError as error:
                connection.close()
                told = self._explained(error, connection)
                if told is not None:
                    raise told from error
                if isinstance(error, PermissionError) or time.monotonic() >= give_up:
                    raise HostdUnavailable(self.where) from error
                time.sleep(0.05)

    def _exchange(self, connection: HttpConnection, call: Call, data: bytes, stream: Stream | None) -> Any:
        headers, nonce = {"Content-Type": "application/json"}, ""
        if self._signer is not None:
            headers[HEADER], nonce = self._signer.sign("POST", call.path, data)
        status, found, payload = connection.post(call.path, data, headers, stream)
        if status == TLS_ONLY and self._tls is None:
            self.close()
            raise TlsFailed(
                N_("hostd at {where} talks TLS only, and this side without it."),
                BOTH_OR_NEITHER,
                where=self.where,
            )
        answer = json.loads(payload)
        if not isinstance(answer, dict):
            raise BadAnswer("not an object")
        if self._signer is not None:
            signed = self._signer.check_answer(found.get(HEADER.lower(), ""), nonce, payload)
            if not signed:
                self._refuse_unsigned(status, answer)
        if "error" in answer:
            raise from_wire(answer["error"])
        return answer["ok"]

    def _refuse_unsigned(self, status: int, answer: dict[str, Any]) -> None:
        if self._tls is not None and isinstance(answer.get("error"), dict):
            raise from_wire(answer["error"])  # its certificate says who refuses
        if status == 403:
            raise DosvmError(
                N_("hostd at {where} does not accept this cluster key."),
                remedy=N_("Both must use the cluster.key of the same cloud."),
                where=self.where,
            )
        raise DosvmError(
            N_("What answers at {where} is not a hostd of this cloud."),
            remedy=N_("Look at the hosts in `dosvm console-settings show`, and whether both have one cluster.key."),
            where=self.where,
        )

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _closed_by_peer(sock: socket.socket) -> bool:
    """Whether a kept connection was closed meanwhile: seen before sending, it is safe to open a new one.

    Between answers nobody sends anything (over TLS no tickets either): what can be read is the end.
    """
    try:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True
