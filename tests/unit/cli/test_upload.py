"""``dosvm image upload``: a file of this machine is sent, and the task that looks at it named."""

from __future__ import annotations

from pathlib import Path

from core.rpc.calls import PART
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office
from tests.unit.cli.conftest import Dosvm


def test_a_file_is_sent_in_parts_under_its_own_name(
    dosvm: Dosvm, office: Office, cloud: StillCloud, tmp_path: Path
) -> None:
    office.project("web", max_images=3, max_image_bytes=GIB)
    office.host("h1")
    cloud.me = next(iter(cloud.views.values())).uuid
    directory = tmp_path / "group"
    office.sysadm("project-group.add", name="here", directory=str(directory))
    office.sysadm("project-group.add-project", project_group="here", project="web")
    file = tmp_path / "debian.iso"
    file.write_bytes(bytes(range(256)) * (2 * PART // 256) + b"end")
    words = ("image", "upload", str(file), "debian", "--group", "here", "--no-wait")
    done = dosvm(*words, who="web-admin")
    assert (done.code, done.err) == (0, "")
    assert "Upload debian: task " in done.out
    (partial,) = directory.iterdir()
    assert partial.name.startswith(".")
    assert partial.read_bytes() == file.read_bytes()
    (row,) = office.person("web-admin")("image.list")["rows"]
    assert (row["name"], row["file"], row["state"], row["size"]) == ("debian", "debian.iso", "creating", 2 * PART + 3)


def test_a_file_that_is_not_there_is_told_at_its_field(dosvm: Dosvm, office: Office, tmp_path: Path) -> None:
    office.project("web", max_images=3, max_image_bytes=GIB)
    for path in (tmp_path / "none.iso", tmp_path):
        done = dosvm("image", "upload", str(path), "debian", who="web-admin")
        assert done.code == 1
        assert str(path) in done.err
