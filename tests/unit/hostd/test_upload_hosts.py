"""An upload whose sender comes to another host: it goes on where its file is, or begins anew when that host is gone."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from core.errors import Elsewhere, Refused
from core.model import Image
from core.rpc.backend import HostdBackend
from core.rpc.calls import CALLS
from core.rpc.signature import Signer
from core.rpc.tls import Tls, TlsFiles
from core.rpc.upload import Upload
from core.rpc.ways import ConsoleSettings, Ways, save
from core.security.authority import Holder, create, issue
from hostd import partial
from hostd.abandoned import Abandoned
from hostd.api import Api
from hostd.server import Server
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office, Person
from tests.fakes.uploaders import uploads_in

HERE = "127.0.0.1"
SIZE = 3000
CONTENT = b"c" * SIZE


class Two:
    """Two hosts, each with its own hostd and its own directory of the group; one of them is looked at."""

    def __init__(self, office: Office, cloud: StillCloud, place: Path) -> None:
        self.web: Person = office.project("web", max_images=9, max_image_bytes=GIB)
        self.ids = [office.host("h1"), office.host("h2")]
        self.cloud, self.place, self.database = cloud, place, office.services.database
        self.services = office.services
        cloud.me = cloud.views[self.ids[0]].uuid
        office.sysadm("project-group.add", name="here", directory=str(place / "group"))
        office.sysadm("project-group.add-project", project_group="here", project="web")
        clouds = [replace(cloud, me=cloud.views[host].uuid) for host in self.ids]
        self.hosts = [uploads_in(self.database, place / f"state-{n}", one) for n, one in enumerate(clouds)]
        self.at = 0
        (place / "group").mkdir()
        (place / "group-1").mkdir()

    def go_to(self, host: int) -> None:
        """What is called the group's directory is this host's from now on."""
        if host != self.at:
            (self.place / "group").rename(self.place / f"group-{self.at}")
            (self.place / f"group-{host}").rename(self.place / "group")
            self.at = host

    def announce(self) -> str:
        uuid: str = self.web("image.upload", name="disk", file="disk.raw", group="here", source=SIZE)["uuid"]
        return uuid

    def send(self, uuid: str, offset: int, part: bytes) -> int:
        """To the host that is looked at."""
        return self.hosts[self.at].receive(uuid, self.web.actor.project_id, "me", offset, memoryview(part))

    def sweep(self) -> None:
        Abandoned(self.hosts[self.at], self.database, SystemClock()).look()

    def files(self) -> list[str]:
        return [path.name for path in (self.place / "group").iterdir()]


class Reached:
    """Both over TLS, by a console that may ask one or both of them."""

    def __init__(self, two: Two, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.two, self.file, self.servers = two, place / "desk/console.toml", []
        monkeypatch.setenv("DOSVM_HOME", str(place / "desk"))
        (place / "desk").mkdir()
        create(place / "ca")
        issue(place / "ca", Holder.checked("here", [HERE]))
        issue(place / "ca", Holder.checked("desk", [HERE]), console=True)
        self.issued = place / "ca/issued"
        self.addresses = [self._serve(number) for number in range(len(two.hosts))]

    def _serve(self, number: int) -> str:
        nothing: Any = None
        two, api = self.two, Api(self.two.services, nothing, nothing, nothing, nothing, self.two.hosts[number])
        api._actor = lambda body, *, log: two.web.actor  # type: ignore[method-assign]

        def here(work: Callable[..., Any]) -> Callable[..., Any]:
            """What is called the group's directory is this host's, whenever it is asked."""

            def asked(*given: Any) -> Any:
                two.go_to(number)
                return work(*given)

            return asked

        handlers = {**dict.fromkeys(CALLS, lambda _body: {}), **api.handlers(), "upload": here(api.upload)}
        handlers["hello"] = lambda _body: {"host": "?", "uuid": two.cloud.views[two.ids[number]].uuid, "version": "1"}
        handlers["call"] = lambda body: two.web(body["operation"], **body["arguments"])
        server = Server(Signer(bytes(32)), handlers, {"upload": here(api.uploading)}, threads=4)
        with socket.socket() as probe:
            probe.bind((HERE, 0))
            port = probe.getsockname()[1]
        own = self.issued / "here/hostd"
        server.listen_tcp(HERE, port, Tls(TlsFiles(own / "cacert.pem", own / "cert.pem", own / "key.pem")))
        server.start()
        self.servers.append(server)
        return f"{HERE}:{port}"

    def ways(self, *numbers: int) -> Ways:
        """A console that asks these hosts, in this order."""
        own = self.issued / "desk/console"
        files = (str(own / name) for name in ("cert.pem", "key.pem", "cacert.pem"))
        save(self.file, ConsoleSettings(tuple(self.addresses[number] for number in numbers), True, *files))
        return Ways(self.file)

    def close(self) -> None:
        for server in self.servers:
            server.close()


@pytest.fixture
def reached(two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reached]:
    made = Reached(two, tmp_path, monkeypatch)
    yield made
    made.close()


def _upload(ways: Ways, file: Path) -> list[int]:
    told: list[int] = []
    arguments = {"name": "disk", "source": str(file), "group": "here"}
    Upload(HostdBackend(ways), "image.upload", "source", arguments).send(lambda done, *_more: told.append(done))
    return told


@pytest.fixture
def two(office: Office, cloud: StillCloud, tmp_path: Path) -> Two:
    return Two(office, cloud, tmp_path)


def test_another_host_says_where_the_file_is_and_spoils_nothing(two: Two) -> None:
    uuid = two.announce()
    assert two.send(uuid, 0, CONTENT[:1000]) == 1000
    two.go_to(1)
    with pytest.raises(Refused, match="begun on host") as refused:
        two.send(uuid, 0, b"")
    assert "h1" in refused.value.text()
    assert two.files() == []
    two.go_to(0)
    assert two.send(uuid, 0, b"") == 1000, "there it goes on"


def test_a_console_goes_by_itself_to_the_host_that_has_it(reached: Reached, tmp_path: Path) -> None:
    """Whoever went on at another host was told where it is, and had to go there himself."""
    file, two = tmp_path / "disk.raw", reached.two
    file.write_bytes(CONTENT)
    two.send(two.announce(), 0, CONTENT[:1000])
    ways = reached.ways(1, 0)
    told = _upload(ways, file)
    assert (told[0], told[-1]) == (1000, SIZE), "it went on, and did not begin anew"
    assert ways.where == reached.addresses[0], "its task is asked about where it is"
    two.go_to(1)
    assert two.files() == []


def test_where_that_host_is_not_to_be_asked_it_is_named_and_what_makes_it_be(reached: Reached, tmp_path: Path) -> None:
    file, two = tmp_path / "disk.raw", reached.two
    file.write_bytes(CONTENT)
    two.send(two.announce(), 0, CONTENT[:1000])
    for hosts, gone in (((1,), False), ((1, 0), True)):
        if gone:
            reached.servers[0].close()  # it serves nobody, and the cloud does not know it to be down
        with pytest.raises(Elsewhere) as refused:
            _upload(reached.ways(*hosts), file)
        assert "was begun on host h1" in refused.value.text()
        assert "console-settings edit --hosts" in refused.value.text()
    two.go_to(0)
    assert two.files(), "what has arrived stays"


def test_when_its_host_is_gone_it_begins_anew_and_what_was_there_is_removed_later(two: Two) -> None:
    uuid = two.announce()
    two.send(uuid, 0, CONTENT[:1000])
    two.cloud.change(two.ids[0], state="down")
    two.go_to(1)
    assert two.send(uuid, 0, b"") == 0
    assert two.send(uuid, 0, CONTENT[:500]) == 500
    two.cloud.change(two.ids[0], state="up")
    assert two.send(uuid, 500, CONTENT[500:]) == SIZE, "it is this host's by now"
    two.sweep()
    assert two.files() == [f".{uuid}.part"]
    two.go_to(0)
    assert two.files() == [f".{uuid}.part"]
    two.sweep()
    assert two.files() == []
    assert two.database.read(lambda s: s.query(Image).count()) == 1, "only what was left of it there"


def test_in_a_directory_that_both_share_any_of_them_goes_on_with_it(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "is_own", lambda _path: False)
    uuid = two.announce()
    two.send(uuid, 0, CONTENT[:1000])
    two.hosts[0].left(uuid, "me")
    two.at = 1
    assert two.send(uuid, 0, b"") == 1000
    assert two.send(uuid, 1000, CONTENT[1000:]) == SIZE
    order = two.hosts[1].load(uuid)
    assert order is not None
    with two.hosts[1].arrived(order, lambda _percent: None) as arrived:
        assert arrived is not None
        assert arrived.digest == hashlib.sha256(CONTENT).hexdigest(), "which its sender's is held against"
