"""``dosvm image upload``: a file of this machine is sent, and the task that looks at it named."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from core.rpc import upload
from core.rpc.backend import HostdBackend
from core.rpc.calls import PART
from core.rpc.handover import SOCKET
from hostd import copying
from screens.resources import image
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office
from tests.unit.cli.conftest import Dosvm


@pytest.mark.parametrize("way", ["handed over", "in parts"])
def test_a_file_goes_on_from_what_was_there_under_its_own_name(
    dosvm: Dosvm, office: Office, cloud: StillCloud, tmp_path: Path, home: Path, way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    copied: list[int] = []
    copy = copying.copy
    monkeypatch.setattr(copying, "copy", lambda *given: copied.append(given[2]) or copy(*given))  # type: ignore[func-returns-value]
    if way == "in parts":
        (home / SOCKET).unlink()
    office.project("web", max_images=3, max_image_bytes=GIB)
    office.host("h1")
    cloud.me = next(iter(cloud.views.values())).uuid
    directory = tmp_path / "group"
    office.sysadm("project-group.add", name="here", directory=str(directory))
    office.sysadm("project-group.add-project", project_group="here", project="web")
    file = tmp_path / "debian.iso"
    file.write_bytes(bytes(range(256)) * (2 * PART // 256) + b"end")
    once = {"name": "debian", "source": file.stat().st_size, "file": "debian.iso", "group": "here", "format": "raw"}
    office.person("web-admin")("image.upload", **once)
    words = ("image", "upload", str(file), "debian", "--group", "here", "--no-wait")
    done = dosvm(*words, who="web-admin")
    assert (done.code, done.err) == (0, "")
    assert "Upload debian: task " in done.out
    assert copied == ([file.stat().st_size] if way == "handed over" else [])
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


def test_what_was_broken_off_is_found_as_the_guide_says(
    dosvm: Dosvm, office: Office, cloud: StillCloud, tmp_path: Path
) -> None:
    """It counts against the quota, and was in no list unless one knew what to filter for."""
    office.project("web", max_images=3, max_image_bytes=GIB)
    office.host("h1")
    cloud.me = next(iter(cloud.views.values())).uuid
    office.sysadm("project-group.add", name="here", directory=str(tmp_path / "group"))
    office.sysadm("project-group.add-project", project_group="here", project="web")
    office.person("web-admin")("image.upload", name="half", source=5, file="half.raw", group="here")
    found = dosvm("image", "list", "--filter", "state=uploading", who="web-admin")
    assert (found.code, found.err) == (0, "")
    assert "half" in found.out
    assert "uploading" in dosvm("image", "list", who="web-admin").out
    state = next(each for each in image.SPEC.filters if each.key == "state")
    assert "uploading" in dict(state.choices), "the console offers it"


@pytest.mark.parametrize(
    ("content", "said", "words"),
    [
        (bytes(5 * 1024**2), "qcow2", ("--format: ", "is not a qcow2 image")),
        (b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(600), "raw", ("--format: ", "not a raw image but qcow2")),
        (bytes(5 * 1024**2), "iso", ("--format: ", "is not an ISO image")),
        (b"", "raw", ("SOURCE: ", "is empty")),
        (
            b"QFI\xfb" + struct.pack(">IQIIQ", 2, 0, 0, 16, 100 * 1024**4) + bytes(5000),
            "qcow2",
            ("SOURCE: ", "claims a disk of 100 TiB", "the largest is 64 TiB"),
        ),
    ],
    ids=["no qcow2", "qcow2", "no iso", "empty", "absurd"],
)
def test_what_a_file_is_not_is_told_before_it_is_sent(
    dosvm: Dosvm, office: Office, tmp_path: Path, content: bytes, said: str, words: tuple[str, ...]
) -> None:
    """It was noticed when all had arrived, hours later over a slow line; and an empty or absurd file blamed --file."""
    office.project("web", max_images=3, max_image_bytes=GIB)
    office.host("h1")
    file = tmp_path / "server.img"
    file.write_bytes(content)
    done = dosvm("image", "upload", str(file), "server", "--format", said, who="web-admin")
    assert done.code == 1
    assert "server.img" in done.err
    for word in words:
        assert word in done.err
    assert office.person("web-admin")("image.list", filters={"state": "uploading"})["rows"] == []


@pytest.mark.parametrize("goes_on", [pytest.param(False, id="announcement"), pytest.param(True, id="bytes")])
def test_ctrl_c_says_whether_something_was_sent(
    dosvm: Dosvm, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """Before hostd was told of it there is nothing that the same upload would go on with."""

    def pressed(*_given: object, **_more: object) -> None:
        raise KeyboardInterrupt

    office.project("web", max_images=3, max_image_bytes=GIB)
    office.host("h1")
    file = tmp_path / "debian.iso"
    file.write_bytes(b"e" * 512)
    call = HostdBackend.call

    def asked(backend: HostdBackend, operation: str, /, **arguments: object) -> object:
        if operation != "image.upload":
            return call(backend, operation, **arguments)
        return {"uuid": "x"} if goes_on else pressed()

    monkeypatch.setattr(HostdBackend, "call", asked)
    monkeypatch.setattr(upload, "_Sending", pressed)
    done = dosvm("image", "upload", str(file), "debian", who="web-admin")
    assert done.code == 130
    assert "broken off" in done.err
    assert ("goes on where" in done.err) is goes_on
    assert ("before anything was sent" in done.err) is not goes_on
