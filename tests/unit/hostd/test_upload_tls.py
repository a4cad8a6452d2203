"""Files that come over TLS: in a stream, gone on with after a cut, and told what is wrong in the middle of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from core.errors import AuthenticationFailed, DosvmError, HostdUnavailable, InvalidInput
from core.rpc.backend import HostdBackend
from core.rpc.calls import CALLS, UPLOAD
from core.rpc.client import Client
from core.rpc.http import Stream
from core.rpc.signature import Signer
from core.rpc.tls import Tls, TlsFiles
from core.rpc.upload import BrokenOff, Upload
from core.security.authority import Holder, create, issue
from hostd import server
from hostd.api import Api
from hostd.partial import Partial
from hostd.server import Server
from tests.fakes.cloud import StillCloud
from tests.fakes.office import Office, Person
from tests.fakes.uploaders import uploads_in, web_with_a_directory

HERE = "127.0.0.1"
MIB = 1024 * 1024
SIZE = 40 * MIB + 321


class Far:
    """A console that has a certificate only, and the directory where its files end."""

    def __init__(self, office: Office, web: Person, cloud: StillCloud, place: Path) -> None:
        create(place / "ca")
        issue(place / "ca", Holder.checked("here", [HERE]))
        issue(place / "ca", Holder.checked("desk", [HERE]), console=True)

        def files(kind: str) -> Tls:
            own = place / "ca/issued" / kind
            return Tls(TlsFiles(own / "cacert.pem", own / "cert.pem", own / "key.pem"))

        nothing: Any = None
        self.uploads = uploads_in(office.services.database, place / "state", cloud)
        api = self.api = Api(office.services, nothing, nothing, nothing, nothing, self.uploads)
        api._actor = lambda body, *, log: web.actor  # type: ignore[method-assign]
        handlers = {**dict.fromkeys(CALLS, lambda _body: {}), **api.handlers()}
        handlers["call"] = lambda body: web(body["operation"], **body["arguments"])
        self.server = Server(Signer(bytes(32)), handlers, {"upload": api.uploading}, threads=4)
        with socket.socket() as probe:
            probe.bind((HERE, 0))
            self.address: tuple[str, int] = probe.getsockname()
        self.server.listen_tcp(*self.address, files("here/hostd"))
        self.server.start()
        self.client = Client(self.address, None, files("desk/console"))
        self.backend = HostdBackend(self.client)
        self.directory = place / "group"

    def upload(self, file: Path, **more: Any) -> tuple[dict[str, Any], list[int]]:
        told: list[int] = []
        arguments = {"name": "disk", "source": str(file), "group": "here"}
        answer = Upload(self.backend, "image.upload", "source", arguments).send(
            lambda done, _size, _checked: told.append(done), **more
        )
        return answer, told

    @property
    def arrived(self) -> bytes:
        (part,) = self.directory.glob(".*.part")
        return part.read_bytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(random.Random(7).randbytes(SIZE))
    return path


@pytest.fixture
def far(office: Office, cloud: StillCloud, tmp_path: Path) -> Iterator[Far]:
    made = Far(office, web_with_a_directory(office, cloud, tmp_path / "group"), cloud, tmp_path)
    yield made
    made.client.close()
    made.server.close()


def test_a_stream_arrives_whole_and_nobody_sums_it_on_its_way(far: Far, file: Path) -> None:
    answer, told = far.upload(file)
    assert far.arrived == file.read_bytes()
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, SIZE)
    live = far.uploads._live[answer["uuid"]]
    assert live.sums is None, "it takes a third of the speed"


def test_a_sender_that_dies_is_gone_on_for(far: Far, file: Path) -> None:
    uuid = far.backend.call("image.upload", name="disk", source=SIZE, file="disk.raw", group="here")["uuid"]
    data = file.read_bytes()

    def dies() -> Iterator[memoryview]:
        yield memoryview(data)[: 9 * MIB]
        raise OSError(errno.EPIPE, "killed")

    with pytest.raises(HostdUnavailable):
        far.backend.send(Stream(SIZE, dies), image=uuid, sender="it", offset=0)
    _answer, told = far.upload(file)
    assert 8 * MIB <= told[0] <= 9 * MIB, "it did not begin anew"
    assert far.arrived == data
    known = far.uploads._live[uuid].sum_of(SIZE)
    assert known is not None
    assert known.hexdigest() == hashlib.sha256(data).hexdigest(), "of two senders' parts the whole is summed"


def test_who_breaks_off_may_go_on(far: Far, file: Path) -> None:
    seen: list[int] = []
    with pytest.raises(BrokenOff, match="goes on where"):
        far.upload(file, stop=lambda: seen.append(0) or len(seen) > 20)  # type: ignore[func-returns-value]
    _answer, told = far.upload(file)
    assert told[0] > 0
    assert far.arrived == file.read_bytes()


def test_a_full_disk_is_told_in_the_middle(far: Far, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Partial.write

    def full(self: Partial, part: memoryview, **how: bool) -> None:
        if self.received > 8 * MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, part, **how)

    monkeypatch.setattr(Partial, "write", full)
    with pytest.raises(DosvmError, match="is full"):
        far.upload(file)
    assert list(far.directory.iterdir()) == []


def endless(far: Far, first: bytes) -> tuple[bytes, int]:
    """Send without end after a first line: what is answered, and after how many bytes."""
    assert far.client._tls is not None
    plain = socket.create_connection(far.address, 20)
    with far.client._tls.client().wrap_socket(plain, server_hostname=HERE) as sock:
        head = f"POST {UPLOAD.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
        sock.sendall(head + first)
        count, piece, poll = 0, bytes(MIB), select.poll()
        poll.register(sock, select.POLLIN)
        while not poll.poll(0) and count < 64 * MIB:
            sock.sendall(piece)
            count += len(piece)
        said = b""
        while b"}" not in said and (more := sock.recv(65536)):
            said += more
        return said, count


def test_a_stream_without_an_end_is_ended(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STREAM", 8 * MIB)
    uuid = far.backend.call("image.upload", name="disk", source=SIZE, file="disk.raw", group="here")["uuid"]
    first = {"image": uuid, "sender": "me", "client": "local"}
    for more, answer in (
        ({"offset": 0}, b"is larger than"),
        ({"offset": 5 * MIB}, b'{"received": '),
        ({"finish": "a"}, b"No bytes follow"),
    ):
        said, count = endless(far, json.dumps({**first, **more}).encode() + b"\n")
        assert answer in said, (more, said)
        assert count < 32 * MIB, more
    said, count = endless(far, b"x" * (2 * MIB))
    assert b"413" in said
    assert count < 8 * MIB


def test_a_file_that_cannot_be_read_on_ends_the_stream(far: Far, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for a broken connection it was tried again and again, for ever."""
    preadv = os.preadv

    def bad(descriptor: int, buffers: Any, offset: int) -> int:
        if offset >= 8 * MIB:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", bad)
    with pytest.raises(InvalidInput, match="Input/output error"):
        far.upload(file)


def test_who_is_nobody_sends_nothing(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_arguments: object, **_more: object) -> None:
        raise AuthenticationFailed("Nobody.")

    monkeypatch.setattr(far.api, "_actor", nobody)
    said, count = endless(far, b'{"image": "x", "finish": "a"}\n')
    assert b"Nobody." in said
    assert count < 8 * MIB


def test_a_stream_is_for_those_only_who_showed_a_certificate(far: Far) -> None:
    local = Client(str(far.directory / "none.sock"), Signer(bytes(32)))
    assert not cast(Any, local).streams
    with pytest.raises(HostdUnavailable):
        local.request(UPLOAD, {}, payload=Stream(1, lambda: iter([memoryview(b"x")])))
