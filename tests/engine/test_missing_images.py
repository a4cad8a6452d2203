"""The file of an image that somebody removes: it is said, unless its directory is what is away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.hostd import MIB, Hostd, file_system, on_host, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture
def place(hostd: Hostd) -> Iterator[Path]:
    """The directory of a project group, a file system of its own; its images are deleted in the end."""
    with file_system(hostd, "images", "32M") as place:
        hostd.admin("project-group.add", name="apart", directory=str(place))
        hostd.admin("project-group.add-project", project_group="apart", project="web")
        yield place
        hostd.clean()
        for row in hostd.zhao("image.list")["rows"]:
            hostd.done("image.delete", image=row["uuid"])
        hostd.admin("project-group.remove-project", project_group="apart", project="web")
        hostd.admin("project-group.delete", project_group="apart")


def register(hostd: Hostd, place: Path, name: str) -> Path:
    """A raw image of a mebibyte; its file."""
    file = place / f"{name}.raw"
    on_host(hostd, "sh", "-c", f"head -c 1M /dev/urandom >{file}")
    hostd.done("image.add", name=name, file=file.name, format="raw", group="apart")
    return file


def state(hostd: Hostd, name: str) -> str:
    return str(hostd.zhao("image.show", image=name)["state"])


def seen(hostd: Hostd, place: Path) -> bool:
    """Whether hostd has seen files there, on the file system that is there now."""
    notes = hostd.home / "state/image-directories.json"
    known = json.loads(notes.read_text()).get(str(place)) if notes.exists() else None
    return known is not None and known[2] == on_host(hostd, "findmnt", "-no", "SOURCE", "-T", str(place)).strip()


def news(hostd: Hostd) -> None:
    """Something happens to an image: hosts look at once, and not within a minute."""
    hostd.zhao("image.edit", image="other", description=f"again {len(hostd.log.read_text())}")


def test_an_image_whose_file_is_removed_is_missing_and_present_when_it_is_back(hostd: Hostd, place: Path) -> None:
    file = register(hostd, place, "debian")
    register(hostd, place, "other")
    until(lambda: seen(hostd, place), 20, hostd.log_tail())
    on_host(hostd, "mv", str(file), str(place / ".aside"))
    news(hostd)
    until(lambda: state(hostd, "debian") == "missing", 20, hostd.log_tail())
    assert state(hostd, "other") == "present"
    assert hostd.zhao("image.list", filters={"usable": True})["total"] == 1
    # Another file of that name is not what it was, until somebody has it looked at.
    on_host(hostd, "sh", "-c", f"head -c 2M /dev/urandom >{file}")
    news(hostd)
    hostd.done("image.edit", image="debian", format="raw")
    row = hostd.zhao("image.show", image="debian")
    assert (row["state"], row["size"]) == ("present", 2 * MIB)
    on_host(hostd, "rm", str(file))
    news(hostd)
    until(lambda: state(hostd, "debian") == "missing", 20, hostd.log_tail())
    on_host(hostd, "sh", "-c", f"head -c 2M /dev/urandom >{file}")
    news(hostd)
    until(lambda: state(hostd, "debian") == "present", 20, hostd.log_tail())
    # Its record can go, also while there is nothing to be deleted.
    on_host(hostd, "rm", str(file))
    news(hostd)
    until(lambda: state(hostd, "debian") == "missing", 20, hostd.log_tail())
    hostd.done("image.delete", image="debian")
    assert [row["name"] for row in hostd.zhao("image.list")["rows"]] == ["other"]


def test_of_what_is_not_mounted_no_image_is_said_to_be_missing(hostd: Hostd, place: Path) -> None:
    register(hostd, place, "debian")
    until(lambda: seen(hostd, place), 20, hostd.log_tail())
    shutil.copy("/bin/true", hostd.home / "acme/plain.raw")
    hostd.done("image.add", name="other", file="plain.raw", format="raw", group="acme")
    gone = hostd.home / "acme/plain.raw"
    until(lambda: seen(hostd, gone.parent), 20, hostd.log_tail())
    on_host(hostd, "umount", str(place))
    try:
        # Also by a hostd that has just been started.
        hostd.kill()
        hostd.start()
        hostd.wait()
        gone.unlink()
        news(hostd)
        until(lambda: state(hostd, "other") == "missing", 20, hostd.log_tail())
        assert state(hostd, "debian") == "present", "its directory is empty because nothing is mounted there"
    finally:
        on_host(hostd, "mount", "-o", "loop", str(hostd.home / "images.img"), str(place))


def test_a_vm_starts_from_an_image_that_is_back_before_anybody_has_looked(hostd: Hostd, place: Path) -> None:
    file = register(hostd, place, "debian")
    register(hostd, place, "other")
    hostd.machine("one", disks=[{"image": "debian", "read_only": True}])
    until(lambda: seen(hostd, place), 20, hostd.log_tail())
    on_host(hostd, "mv", str(file), str(place / ".aside"))
    news(hostd)
    until(lambda: state(hostd, "debian") == "missing", 20, hostd.log_tail())
    row = hostd.task(hostd.zhao("vm.start", vm="one"))
    assert row["state"] == "failed"
    assert "is missing: {path}" in hostd.error(row), "the start has looked at the file itself"
    on_host(hostd, "mv", str(place / ".aside"), str(file))
    hostd.done("vm.start", vm="one")
