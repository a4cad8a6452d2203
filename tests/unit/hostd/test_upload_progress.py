"""How far an upload is, and what of a quota is not there yet: in rows, for whoever looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import QuotaExceeded, Refused
from hostd.upload_progress import UploadProgress
from tests.fakes.cloud import StillCloud
from tests.fakes.office import Office, Person
from tests.fakes.uploaders import uploads_in, web_with_a_directory

SIZE = 4000


@pytest.fixture
def web(office: Office, cloud: StillCloud, tmp_path: Path) -> Person:
    """The admin of a project whose group has a directory of its own."""
    return web_with_a_directory(office, cloud, tmp_path / "group")


def test_how_much_has_arrived_is_in_the_row(office: Office, cloud: StillCloud, web: Person, tmp_path: Path) -> None:
    uploads = uploads_in(office.services.database, tmp_path / "state", cloud)
    progress = UploadProgress(office.services.database, cloud.me, uploads.records)
    uuid = web("image.upload", name="disk", file="disk.raw", group="here", source=SIZE)["uuid"]

    def percent() -> int | None:
        shown: int | None = web("image.show", image="disk")["percent"]
        return shown

    progress.look()
    assert percent() == 0
    uploads.receive(uuid, web.actor.project_id, "me", 0, memoryview(b"x" * 1000))
    progress.look()
    assert percent() == 25
    uploads.receive(uuid, web.actor.project_id, "me", 1000, memoryview(bytes(2000)))
    UploadProgress(office.services.database, "another host", uploads.records).look()
    assert percent() == 25, "what another host has of it in a directory of its own is not what arrives"
    progress.look()
    assert percent() == 75
    web("image.cancel", image="disk")
    progress.look()
    web("image.add", name="disk", file="disk.raw", group="here")
    assert percent() is None
    with pytest.raises(Refused, match="is not being uploaded"):
        web("image.cancel", image="disk")


def test_what_is_being_uploaded_is_said_beside_the_quota(office: Office, web: Person) -> None:
    web("image.upload", name="disk", file="disk.raw", group="here", source=SIZE)
    used = web("usage.show")
    assert (used["used_images"], used["uploading_images"]) == (1, 1)
    assert (used["used_image_bytes"], used["uploading_image_bytes"]) == (SIZE, SIZE)
    office.sysadm("project.configure", project="web", max_image_bytes=SIZE)
    with pytest.raises(QuotaExceeded, match=r"too much. Of that, 1 are still being uploaded \(3.91 KiB\): disk\."):
        web("image.upload", name="more", file="more.raw", group="here", source=1)
    office.sysadm("project.configure", project="web", max_images=1)
    with pytest.raises(QuotaExceeded, match=r"1 too many. Of that, 1 are still being uploaded"):
        web("image.add", name="more", file="more.raw", group="here")
