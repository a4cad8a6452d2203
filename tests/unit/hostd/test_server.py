"""The API: only for those who hold the key, bounded, and never a trace for its caller."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import DosvmError, NotFound, Refused
from core.rpc.calls import CALL, CALLS, DOORBELL, HOST_SAMPLES, LOGIN, WAIT
from core.rpc.client import Client
from core.rpc.signature import HEADER, Signer
from hostd.server import MAX_BODY, Server
from tests.waiting import refuses_connections, until

KEY = b"k" * 32


class Handlers:
    """What the calls do in these tests."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def table(self) -> dict[str, Any]:
        return dict.fromkeys(CALLS, self.echo) | {"call": self.call, "wait": self.wait}

    def echo(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        return body

    def call(self, body: dict[str, Any]) -> Any:
        if body.get("what") == "missing":
            raise NotFound("There is no {kind}.", kind="thing", field="f")
        if body.get("what") == "broken":
            raise RuntimeError("the secret is hunter2")
        time.sleep(body.get("seconds", 0))
        return {"thread": threading.current_thread().name}

    async def wait(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"thread": threading.current_thread().name}


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def address() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: tuple[str, int] = probe.getsockname()
        return found


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "hostd.sock"


@pytest.fixture
def server(handlers: Handlers, address: tuple[str, int], path: Path) -> Iterator[Server]:
    server = Server(Signer(KEY), handlers.table(), threads=4)
    server.listen_unix(path)
    server.listen_tcp(*address)
    server.start()
    yield server
    server.close()


@pytest.fixture
def client(server: Server, path: Path) -> Client:
    return Client(str(path), Signer(KEY))


def test_a_call_is_answered_over_both_ways(client: Client, address: tuple[str, int]) -> None:
    assert client.request(HOST_SAMPLES, {"since": 1, "名": "字"}) == {"since": 1, "名": "字"}
    assert Client(address, Signer(KEY)).request(DOORBELL, {"topics": []}) == {"topics": []}


def test_the_socket_is_its_owners_and_groups(server: Server, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    server.close()
    assert not path.exists()


def test_an_error_comes_back_as_it_was_raised(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        client.request(CALL, {"what": "missing"})
    assert caught.value.text() == "There is no thing."
    assert caught.value.field == "f"


def test_what_breaks_inside_is_a_sentence_with_a_number(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DosvmError) as caught:
        client.request(CALL, {"what": "broken", "password": "s3cret-password"})
    assert "hunter2" not in caught.value.text()
    number = caught.value.parameters["number"]
    assert number in caplog.text
    assert "s3cret-password" not in caplog.text


def raw(where: Path | tuple[str, int], path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    if isinstance(where, Path):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(where))
    else:
        connection = http.client.HTTPConnection(*where, timeout=5)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, {}


def test_who_has_no_key_or_another_one_is_refused(server: Server, path: Path, handlers: Handlers) -> None:
    header, _nonce = Signer(b"x" * 32).sign("POST", HOST_SAMPLES.path, b"{}")
    for headers in ({}, {HEADER: "v1 0 0 0"}, {HEADER: header}, {HEADER: "\u00e9".encode().decode("latin-1")}):
        assert raw(path, HOST_SAMPLES.path, b"{}", headers)[0] == 403
    assert handlers.bodies == []


def test_a_request_is_taken_once_and_only_for_what_it_was_signed(server: Server, path: Path) -> None:
    header, _nonce = Signer(KEY).sign("POST", HOST_SAMPLES.path, b"{}")
    assert raw(path, DOORBELL.path, b"{}", {HEADER: header})[0] == 403
    assert raw(path, HOST_SAMPLES.path, b'{"a":1}', {HEADER: header})[0] == 403
    assert raw(path, HOST_SAMPLES.path, b"{}", {HEADER: header})[0] == 200
    assert raw(path, HOST_SAMPLES.path, b"{}", {HEADER: header})[0] == 403


def test_passwords_do_not_travel_over_the_network(server: Server, address: tuple[str, int]) -> None:
    for call in CALLS.values():
        header, _nonce = Signer(KEY).sign("POST", call.path, b"{}")
        status, answer = raw(address, call.path, b"{}", {HEADER: header})
        assert status == (403 if call.personal else 200)
        assert ("use_ssl" in str(answer)) == call.personal


def test_a_password_is_not_even_sent_without_tls(server: Server, address: tuple[str, int], handlers: Handlers) -> None:
    for signer in (Signer(KEY), None):
        with pytest.raises(Refused, match="never travel") as caught:
            Client(address, signer).request(LOGIN, {"account": "sysadm", "password": "s3cret"})
        assert "use_ssl" in caught.value.text()
    assert handlers.bodies == []


def test_a_body_too_large_is_refused(server: Server, path: Path) -> None:
    body = b"x" * (MAX_BODY + 1)
    header, _nonce = Signer(KEY).sign("POST", HOST_SAMPLES.path, body)
    assert raw(path, HOST_SAMPLES.path, body, {HEADER: header})[0] == 413


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 100_000, b"1"])
def test_what_is_no_object_is_refused(server: Server, path: Path, body: bytes) -> None:
    header, _nonce = Signer(KEY).sign("POST", HOST_SAMPLES.path, body)
    status, answer = raw(path, HOST_SAMPLES.path, body, {HEADER: header})
    assert status == 400
    assert answer["error"]["code"] == "invalid"


def test_slow_calls_keep_nobody_who_only_waits(client: Client, path: Path) -> None:
    slow = [
        threading.Thread(target=lambda: Client(str(path), Signer(KEY)).request(CALL, {"seconds": 1.0}))
        for _ in range(8)
    ]
    for thread in slow:
        thread.start()
    time.sleep(0.1)
    begin = time.monotonic()
    client.request(WAIT, {})
    assert time.monotonic() - begin < 0.5
    for thread in slow:
        thread.join()


def test_a_plain_file_in_the_way_is_not_deleted(tmp_path: Path, handlers: Handlers) -> None:
    file = tmp_path / "hostd.sock"
    file.write_text("mine")
    with pytest.raises(DosvmError, match="in the way"):
        Server(Signer(KEY), handlers.table(), threads=1).listen_unix(file)
    assert file.read_text() == "mine"


def test_a_port_that_is_taken_is_said(address: tuple[str, int], handlers: Handlers) -> None:
    with socket.socket() as other:
        other.bind(address)
        other.listen()
        with pytest.raises(DosvmError, match=r"dosvm\.toml"):
            Server(Signer(KEY), handlers.table(), threads=1).listen_tcp(*address)


def test_the_table_of_calls_is_covered() -> None:
    with pytest.raises(ValueError, match="differ"):
        Server(Signer(KEY), {}, threads=1)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(host: str, port: int) -> Any:
    return Client((host, port), Signer(KEY)).request(HOST_SAMPLES, {"since": 1})


def test_it_moves_to_another_port_while_it_answers(
    server: Server, address: tuple[str, int], free_port: int, handlers: Handlers
) -> None:
    answers: list[Any] = []
    begun = threading.Event()
    plain = handlers.echo

    def slow(body: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        time.sleep(1.0)
        return plain(body)

    server._handlers[HOST_SAMPLES.name] = slow
    asking = threading.Thread(target=lambda: answers.append(ask(*address)))
    asking.start()
    assert begun.wait(5)
    server.move_tcp(address[0], free_port, linger=0.0)
    server._handlers[HOST_SAMPLES.name] = plain
    assert ask(address[0], free_port) == {"since": 1}
    asking.join(10)
    assert answers == [{"since": 1}], "an answer that was being made was lost"
    until(lambda: refuses_connections(address), what="the old port is still open")


def test_both_ports_answer_until_the_others_have_read_the_new_one(
    server: Server, address: tuple[str, int], free_port: int
) -> None:
    server.move_tcp(address[0], free_port, linger=60.0)
    assert ask(*address) == ask(address[0], free_port) == {"since": 1}
    # Back again before that time is over.
    server.move_tcp(*address, linger=60.0)
    assert ask(*address) == ask(address[0], free_port) == {"since": 1}


def test_a_port_that_is_taken_changes_nothing(server: Server, address: tuple[str, int]) -> None:
    with socket.socket() as other:
        other.bind((address[0], 0))
        other.listen()
        with pytest.raises(DosvmError, match="in use"):
            server.move_tcp(*other.getsockname())
    assert ask(*address) == {"since": 1}
    assert ask(*address) == {"since": 1}
