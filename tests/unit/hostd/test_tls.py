"""Mutual TLS as two programs see it: who is let in, who is not, and what each side is told."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import DosvmError, InvalidInput, PermissionDenied, TlsFailed
from core.rpc.calls import CALL, CALLS, DOORBELL, HELLO, LOGIN
from core.rpc.client import Client
from core.rpc.signature import HEADER, Signer
from core.rpc.tls import Tls, TlsFiles
from core.security.authority import Holder, create, issue
from hostd.server import ADDRESS_LENGTH, Server
from tests.waiting import refuses_connections, until

KEY = b"k" * 32
HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cloud's authority, and a stranger's."""
    place = tmp_path_factory.mktemp("pki")
    create(place / "ca")
    create(place / "stranger")
    for ca in ("ca", "stranger"):
        issue(place / ca, Holder.checked("here", [HERE]))
        issue(place / ca, Holder.checked("desk", [HERE]), console=True)
        issue(place / ca, Holder.checked("elsewhere", ["10.9.8.7"]), console=True)
    return place


def files(place: Path) -> TlsFiles:
    return TlsFiles(place / "cacert.pem", place / "cert.pem", place / "key.pem")


class Side:
    """A server on a port of its own, and those who call it."""

    def __init__(self, pki: Path) -> None:
        self.pki = pki
        self.bodies: list[dict[str, Any]] = []
        self.servers: list[Server] = []

    def start(self, tls: Tls | None) -> tuple[str, int]:
        server = Server(Signer(KEY), dict.fromkeys(CALLS, self.echo), threads=4)
        with socket.socket() as probe:
            probe.bind((HERE, 0))
            address: tuple[str, int] = probe.getsockname()
        server.listen_tcp(*address, tls)
        server.start()
        self.servers.append(server)
        return address

    def echo(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        return body

    def host(self, ca: str = "ca") -> Tls:
        return Tls(files(self.pki / ca / "issued/here/hostd"))

    def console(self, name: str = "desk", ca: str = "ca") -> Tls:
        return Tls(files(self.pki / ca / "issued" / name / "console"))


@pytest.fixture
def side(authority: Path) -> Iterator[Side]:
    made = Side(authority)
    yield made
    for server in made.servers:
        server.close()


def told(call: Callable[[], Any]) -> str:
    """The sentence of a call that must fail because the two sides do not fit."""
    with pytest.raises(DosvmError) as caught:
        call()
    return caught.value.text()


def test_a_console_with_a_certificate_needs_no_key(side: Side) -> None:
    address = side.start(side.host())
    client = Client(address, None, side.console())
    assert client.request(HELLO, {}) == {}
    asked = {"account": "zhao", "password": "s3cret", "client": "local"}
    assert client.request(LOGIN, asked) == {**asked, "client": HERE}
    assert client.request(CALL, {"client": "203.0.113.7"})["client"] == f"203.0.113.7 via {HERE}"
    # However much somebody claims, and when he claims nothing: where the console is stays known.
    claimed = client.request(CALL, {"client": "x" * 80})["client"]
    assert claimed.endswith(f"x via {HERE}")
    assert len(claimed) == ADDRESS_LENGTH
    assert client.request(CALL, {"client": ""})["client"] == HERE


def test_a_certificate_alone_commands_no_hostd(side: Side) -> None:
    address = side.start(side.host())
    with pytest.raises(PermissionDenied, match="signed"):
        Client(address, None, side.console()).request(DOORBELL, {"topics": []})
    with pytest.raises(PermissionDenied, match="signed"):
        Client(address, Signer(b"x" * 32), side.host()).request(DOORBELL, {"topics": []})
    assert side.bodies == []
    assert Client(address, Signer(KEY), side.host()).request(DOORBELL, {"topics": []}) == {"topics": []}


def test_what_was_sent_once_counts_once_over_tls_too(side: Side) -> None:
    address = side.start(side.host())
    header, _nonce = Signer(KEY).sign("POST", DOORBELL.path, b"{}")

    def send() -> int:
        with side.host().client().wrap_socket(socket.create_connection(address), server_hostname=HERE) as connection:
            connection.sendall(
                f"POST {DOORBELL.path} HTTP/1.1\r\nHost: x\r\n{HEADER}: {header}\r\nContent-Length: 2\r\n\r\n".encode()
                + b"{}"
            )
            return int(connection.recv(65536).split()[1])

    assert [send(), send()] == [200, 403]


def test_without_a_certificate_nobody_gets_a_word(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    address = side.start(side.host())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(side.pki / "ca/hostd/cacert.pem")
    with context.wrap_socket(socket.create_connection(address), server_hostname=HERE) as connection:
        connection.sendall(b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            connection.recv(1)
    await_log(caplog, "it showed no certificate")
    assert side.bodies == []


def test_a_strangers_certificate_is_refused_and_both_are_told(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    address = side.start(side.host())
    stranger = side.console(ca="stranger").files
    mixed = TlsFiles(side.pki / "ca/hostd/cacert.pem", stranger.certificate, stranger.key)
    text = told(lambda: Client(address, None, Tls(mixed)).request(HELLO, {}))
    assert "signed by another authority" in text
    await_log(caplog, "signed by another authority")
    assert side.bodies == []


def test_a_strangers_server_gets_no_password(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    address = side.start(side.host("stranger"))
    text = told(lambda: Client(address, None, side.console()).request(LOGIN, {"password": "s3cret"}))
    assert "signed by another authority" in text
    await_log(caplog, "does not take this host's certificate")
    assert side.bodies == []


def test_a_certificate_of_another_address_is_refused(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    address = side.start(side.host())
    text = told(lambda: Client(address, None, side.console("elsewhere")).request(LOGIN, {"password": "s3cret"}))
    assert "elsewhere" in text
    assert HERE in text
    await_log(caplog, "does not name this address")
    assert side.bodies == []


def test_a_host_that_answers_at_an_address_of_which_its_certificate_knows_nothing(side: Side) -> None:
    """Nor does one with the certificate of a console pass for a host."""
    for name, kind, said in (
        ("elsewhere", "console", "not made for this address|not one of a hostd"),
        ("desk", "console", "hostd"),
    ):
        address = side.start(Tls(files(side.pki / "ca/issued" / name / kind)))
        with pytest.raises(TlsFailed, match=said):
            Client(address, None, side.console()).request(LOGIN, {"password": "s3cret"})
    assert side.bodies == []


def test_one_side_without_tls_is_told_in_words(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    plain, safe = side.start(None), side.start(side.host())
    text = told(lambda: Client(plain, Signer(KEY), side.host()).request(DOORBELL, {}))
    assert "talks without TLS" in text
    assert "use_ssl" in text
    await_log(caplog, "it talks TLS, and use_ssl is off here")
    text = told(lambda: Client(safe, Signer(KEY)).request(DOORBELL, {}))
    assert "talks TLS only" in text
    assert "use_ssl" in text
    await_log(caplog, "it talks without TLS, and use_ssl is on here")
    assert side.bodies == []


@pytest.mark.parametrize(("days_ago", "said"), [(400, "expired"), (-400, "clock")])
def test_a_certificate_out_of_its_time(
    side: Side,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    days_ago: int,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from datetime import timedelta

    from core.security import authority, certificates

    shutil.copytree(side.pki / "ca", tmp_path / "ca")
    monkeypatch.setattr(authority, "utc_now", lambda: certificates.utc_now() - timedelta(days=days_ago))
    old = issue(tmp_path / "ca", Holder.checked("old", [HERE]), days=30)
    monkeypatch.undo()
    text = told(lambda: Client(side.start(side.host()), None, Tls(files(old / "hostd"))).request(HELLO, {}))
    assert "clocks" in text
    await_log(caplog, said)
    text = told(lambda: Client(side.start(Tls(files(old / "hostd"))), None, side.console()).request(HELLO, {}))
    assert said in text
    assert side.bodies == []


def test_old_versions_of_tls_are_refused(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    address = side.start(side.host())
    context = side.console().client()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), socket.create_connection(address) as connection:
        context.wrap_socket(connection, server_hostname=HERE)
    await_log(caplog, "connection refused")


def test_a_renewed_certificate_counts_at_once_and_a_broken_one_does_not(
    side: Side, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "pki"
    shutil.copytree(side.pki / "ca/issued/here/hostd", place)
    address = side.start(Tls(files(place)))
    client = Client(address, None, side.console())
    assert client.request(HELLO, {}) == {}
    shutil.copytree(side.pki / "stranger/issued/here/hostd", place, dirs_exist_ok=True)
    assert client.request(HELLO, {"kept": "connection"}) == {"kept": "connection"}
    assert "another authority" in told(lambda: Client(address, None, side.console()).request(HELLO, {}))
    assert Client(address, None, side.console(ca="stranger")).request(HELLO, {}) == {}
    (place / "key.pem").write_text("broken")
    assert Client(address, None, side.console(ca="stranger")).request(HELLO, {}) == {}
    await_log(caplog, "the old one still is")


def test_who_says_nothing_keeps_nobody_out(side: Side) -> None:
    address = side.start(side.host())
    silent = [socket.create_connection(address, source_address=("127.0.0.2", 0)) for _ in range(300)]
    assert Client(address, None, side.console()).request(HELLO, {}) == {}
    silent[-1].settimeout(30)
    assert silent[-1].recv(1) == b""  # one address may have so many at the gate, and no more
    for connection in silent:
        connection.close()


def test_a_port_is_moved_while_it_runs(side: Side) -> None:
    address = side.start(side.host())
    server = side.servers[0]
    client = Client(address, None, side.console())
    assert client.request(HELLO, {}) == {}
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        other: tuple[str, int] = probe.getsockname()
    server.move_tcp(*other)
    assert Client(other, None, side.console()).request(HELLO, {}) == {}
    assert client.request(HELLO, {"kept": 1}) == {"kept": 1}
    until(lambda: refuses_connections(address), what="the old port still listens")
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        taken.listen()
        with pytest.raises(DosvmError, match="Cannot listen"):
            server.move_tcp(*taken.getsockname())
    assert Client(other, None, side.console()).request(HELLO, {}) == {}


def test_files_that_are_missing_or_open_are_named(side: Side, tmp_path: Path) -> None:
    server = Server(Signer(KEY), dict.fromkeys(CALLS, side.echo), threads=1)
    with pytest.raises(InvalidInput, match=r"cacert\.pem"):
        server.listen_tcp(HERE, 0, Tls(files(tmp_path)))
    shutil.copytree(side.pki / "ca/issued/here/hostd", tmp_path / "x")
    (tmp_path / "x/key.pem").chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod"):
        server.listen_tcp(HERE, 0, Tls(files(tmp_path / "x")))
    server.close()


def test_forwarded_headers_make_nobody_somebody_else(side: Side) -> None:
    address = side.start(None)
    with socket.create_connection(address) as connection:
        head = f"POST {LOGIN.path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 10.0.0.1\r\n"
        connection.sendall(f"{head}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        status, _sep, rest = connection.makefile("rb").read().partition(b"\r\n")
    assert b" 403" in status
    assert "over TLS only" in json.loads(rest.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert side.bodies == []


def await_log(caplog: pytest.LogCaptureFixture, text: str) -> None:
    until(lambda: text in caplog.text, what=lambda: f"{text!r} is not in the log: {caplog.text}")


@pytest.fixture(autouse=True)
def _every_word(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What is said once a minute is said again in each test."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("hostd.gate._refused._last", {})
