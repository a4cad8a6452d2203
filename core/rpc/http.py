"""As much HTTP/1.1 as hostd's API needs: POST and an answer with its length, over a kept connection.

Python's own client takes 30 ms to import, for MIME, TLS and proxies that nothing here uses; every command
would pay for it at every start.
"""

from __future__ import annotations

import io
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from core.rpc.tls import Tls

#: Most bytes of one header line and most lines: nothing that answers us sends more.
_MAX_LINE, _MAX_LINES = 8192, 100
#: Silence after which the other machine is asked whether it lives, then how often; milliseconds for what was sent.
_KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 5),
    (socket.TCP_KEEPINTVL, 2),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 10_000),
)
#: Most bytes of an answer.
_MAX_BODY = 256 * 1024 * 1024


class BadAnswer(OSError):
    """What came back is not an HTTP answer, or not a whole one."""


class Stream(NamedTuple):
    """Bytes that are too many to be held: how many, and what gives them, as views that are valid until the next."""

    length: int
    pieces: Callable[[], Iterator[memoryview]]


class HttpConnection:
    """A connection to one server: the path of its Unix socket, or its address and TCP port (with TLS or without)."""

    def __init__(self, address: str | tuple[str, int], timeout: float, tls: Tls | None = None) -> None:
        self._address = address
        self._timeout = timeout
        self._tls = tls
        self._reader: io.BufferedReader | None = None
        self.sock: socket.socket | None = None

    def connect(self) -> socket.socket:
        """Connect within the timeout.

        Raises:
            OSError: nobody answers; ``ssl.SSLError`` when the two sides do not trust each other.
            InvalidInput: the files of this side's certificate cannot be used.
        """
        if isinstance(self._address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(self._timeout)
            try:
                sock.connect(self._address)
            except OSError:
                sock.close()
                raise
        else:
            sock = socket.create_connection(self._address, self._timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # One may wait a minute for an answer, but not for a machine that lost its power.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            if self._tls is not None:
                try:
                    sock = self._tls.client().wrap_socket(sock, server_hostname=self._address[0])
                except BaseException:
                    sock.close()
                    raise
        self.sock = sock
        self._reader = sock.makefile("rb")
        return sock

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str], stream: Stream | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return status, headers (names in lower case) and body of the answer.

        What ``stream`` gives follows the body; when an answer comes before its end, no more of it is sent.

        Raises:
            OSError: the connection broke, or took longer than the socket's timeout.
            BadAnswer: the answer cannot be understood.
        """
        if self.sock is None or self._reader is None:
            raise BadAnswer("not connected")
        host = "localhost" if isinstance(self._address, str) else f"{self._address[0]}:{self._address[1]}"
        length = len(body) + (stream.length if stream is not None else 0)
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        whole = stream is None or self._send_all(self.sock, stream)
        status, found = self._head(self._reader)
        told = found.get("content-length", "")
        if not told.isdigit() or int(told) > _MAX_BODY:
            raise BadAnswer("an answer without its length")
        data = self._reader.read(int(told))
        if len(data) != int(told):
            raise BadAnswer("the connection ended within an answer")
        if not whole or found.get("connection", "").lower() == "close":
            self.close()
        return status, found, data

    def _send_all(self, sock: socket.socket, stream: Stream) -> bool:
        """Send what a stream gives; False: an answer came before its end."""
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        try:
            for piece in stream.pieces():
                if poll.poll(0):
                    return False
                sock.sendall(piece)
        except BaseException:
            # What is said next would be taken for the rest of the stream.
            self.close()
            raise
        return True

    @staticmethod
    def _head(reader: io.BufferedReader) -> tuple[int, dict[str, str]]:
        first = reader.readline(_MAX_LINE).split(b" ", 2)
        if len(first) < 2 or not first[0].startswith(b"HTTP/1.") or not first[1].isdigit():
            raise BadAnswer("not an HTTP answer")
        found: dict[str, str] = {}
        for _ in range(_MAX_LINES):
            line = reader.readline(_MAX_LINE)
            if line in (b"\r\n", b"\n"):
                return int(first[1]), found
            name, colon, value = line.partition(b":")
            if not colon or not line.endswith(b"\n"):
                break
            found[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
        raise BadAnswer("the head of the answer is broken")

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self.sock is not None:
            self.sock.close()
            self.sock = None
