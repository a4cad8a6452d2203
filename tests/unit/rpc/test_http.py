"""The small HTTP client takes whole answers and nothing else."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import HostdUnavailable
from core.rpc.calls import LOGOUT
from core.rpc.client import Client
from core.rpc.http import BadAnswer, HttpConnection
from core.rpc.signature import Signer

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers one request with these bytes and hangs up; gives its socket's path."""
    with tempfile.TemporaryDirectory(prefix="dosvm-") as directory:
        threads = []

        def start(answer: bytes) -> str:
            path = str(Path(directory) / "s")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()

            def run() -> None:
                with listener, listener.accept()[0] as peer:
                    peer.recv(65536)
                    peer.sendall(answer)

            thread = threading.Thread(target=run)
            thread.start()
            threads.append(thread)
            return path

        yield start
        for thread in threads:
            thread.join(5)


def test_an_answer_comes_whole(serve: Serve) -> None:
    connection = HttpConnection(serve(b"HTTP/1.1 200 OK\r\nX-Some: Thing\r\nContent-Length: 5\r\n\r\nhello"), 5)
    connection.connect()
    status, headers, body = connection.post("/v1/x", b"{}", {"A": "b"})
    assert (status, headers["x-some"], body) == (200, "Thing", b"hello")
    connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    ],
)
def test_anything_else_is_no_answer(serve: Serve, answer: bytes) -> None:
    path = serve(answer)
    connection = HttpConnection(path, 5)
    connection.connect()
    with pytest.raises(BadAnswer):
        connection.post("/v1/x", b"{}", {})
    connection.close()


def test_a_broken_answer_is_hostd_away(serve: Serve) -> None:
    client = Client(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), Signer(b"k" * 32))
    with pytest.raises(HostdUnavailable):
        client.request(LOGOUT, {})
    client.close()
