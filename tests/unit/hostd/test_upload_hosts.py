"""An upload whose sender comes to another host: it goes on where its file is, or begins anew when that host is gone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import Refused
from core.model import Image
from hostd import partial
from hostd.abandoned import Abandoned
from hostd.uploads import Uploads
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office, Person

SIZE = 3000
CONTENT = b"c" * SIZE


class Two:
    """Two hosts, each with its own hostd and its own directory of the group; one of them is looked at."""

    def __init__(self, office: Office, cloud: StillCloud, place: Path) -> None:
        self.web: Person = office.project("web", max_images=9, max_image_bytes=GIB)
        self.ids = [office.host("h1"), office.host("h2")]
        self.cloud, self.place, self.database = cloud, place, office.services.database
        cloud.me = cloud.views[self.ids[0]].uuid
        office.sysadm("project-group.add", name="here", directory=str(place / "group"))
        office.sysadm("project-group.add-project", project_group="here", project="web")
        clouds = [replace(cloud, me=cloud.views[host].uuid) for host in self.ids]
        self.hosts = [Uploads(self.database, place / f"state-{n}", cloud=one) for n, one in enumerate(clouds)]
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
        Abandoned(self.hosts[self.at], self.database, SystemClock()).sweep()

    def files(self) -> list[str]:
        return [path.name for path in (self.place / "group").iterdir()]


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
