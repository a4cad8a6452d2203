"""What is in a volume's place when a VM starts is looked at: it may be another file, or one with a second name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.hostd import Hostd, refused, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
MIB = 1024**2


def img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def place(hostd: Hostd) -> Iterator[Path]:
    """The directory of the pool; what is in it afterwards goes."""
    place = hostd.home / "pool"
    yield place
    hostd.clean()
    for path in place.iterdir():
        if not path.name.startswith("."):
            path.unlink()
    hostd.task(hostd.zhao("pool.refresh", pool="local"))
    # What rests on another one goes first.
    for row in sorted(hostd.admin("volume.list")["rows"], key=lambda row: row["snapshots"]):
        answer = hostd.admin("volume.delete", volume=row["reference"])
        assert hostd.task(answer, "sysadm")["state"] == "done"


def started(hostd: Hostd, volume: str) -> str:
    """How a start of a VM with this disk ends: empty when well, else what is said."""
    if not hostd.zhao("instance.list")["rows"]:
        hostd.machine("one", disks=[{"volume": volume}])
    row = hostd.task(hostd.zhao("vm.start", vm="one"))
    if row["state"] == "done":
        hostd.done("vm.stop", vm="one", force=True)
        return ""
    if hostd.vm("one")["power"] == "on":
        # It would be tried again.
        hostd.task(hostd.zhao("vm.stop", vm="one", force=True))
    return hostd.error(row)


def test_a_file_with_two_names_is_nobodys_disk(hostd: Hostd, place: Path) -> None:
    hostd.done("volume.add", name="disk", pool="local", capacity=MIB, format="raw")
    assert started(hostd, "local/disk") == ""
    os.link(place / "disk", place / "hard")
    hostd.done("pool.refresh", pool="local")
    row = hostd.task(hostd.admin("volume.accept", volume="local/hard", format="raw"), "sysadm")
    assert row["state"] == "failed"
    assert "hard links" in hostd.error(row)
    assert "hard links" in started(hostd, "local/disk")
    (place / "hard").unlink()
    assert started(hostd, "local/disk") == ""


def _data_file(path: Path) -> None:
    img("create", "-q", "-f", "qcow2", "-o", f"data_file={path}.data", path, "1M")


def _backing(path: Path) -> None:
    img("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", path, "1M")


def _zeros(path: Path) -> None:
    path.write_bytes(b"\0" * 200_000)


def _larger(path: Path) -> None:
    img("create", "-q", "-f", "qcow2", path, "5M")


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("other"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_data_file, "keeps its data in another file"),
        (_backing, "/etc/shadow"),
        (_zeros, "not a {format} image"),
        (_larger, "holds a disk of"),
        (_link, "not a plain file"),
    ],
)
def test_another_file_in_a_volumes_place_is_not_given_to_a_guest(
    hostd: Hostd, place: Path, make: object, says: str
) -> None:
    for name in ("disk", "other"):
        hostd.done("volume.add", name=name, pool="local", capacity=MIB, format="qcow2")
    right = (place / "disk").rename(hostd.home / "right")
    assert callable(make)
    make(place / "disk")
    assert says in started(hostd, "local/disk")
    row = hostd.task(hostd.zhao("pool.refresh", pool="local"))
    assert row["state"] == "failed", "that it is damaged is said, not that all is done"
    assert says in hostd.error(row)
    right.replace(place / "disk")
    hostd.done("pool.refresh", pool="local")
    assert started(hostd, "local/disk") == ""


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_what_is_no_plain_file_is_no_volume_and_is_told_again_until_it_is_one(
    hostd: Hostd, place: Path, kind: str
) -> None:
    """It stayed present: a refresh said of it what it says of anything else that is no volume."""
    hostd.done("volume.add", name="disk", pool="local", capacity=MIB, format=kind)
    right = (place / "disk").rename(place / ".right")
    for what in (lambda path: path.symlink_to(right), Path.mkdir, os.mkfifo):
        what(place / "disk")
        for _again in range(2):
            row = hostd.task(hostd.zhao("pool.refresh", pool="local"))
            assert row["state"] == "failed"
            assert f"{place / 'disk'}" in hostd.error(row)
            assert "not a plain file" in hostd.error(row)
            assert hostd.zhao("volume.show", volume="local/disk")["state"] == "missing"
        row = hostd.task(hostd.zhao("volume.delete", volume="local/disk"))
        assert row["state"] == "failed"
        assert "or remove what is there" in hostd.error(row)
        (place / "disk").rmdir() if (place / "disk").is_dir() else (place / "disk").unlink()
        assert right.stat().st_size, "nothing was done to what a link leads to"
    right.rename(place / "disk")
    told = hostd.done("pool.refresh", pool="local")
    assert told["outcome"]["parameters"] == {"new": 0, "gone": 0, "back": 1, "strange": 0}
    assert started(hostd, "local/disk") == ""


@pytest.mark.parametrize("exchanged", ["base", "snap"])
@pytest.mark.parametrize(
    ("make", "says"),
    [(_data_file, "keeps its data in another file"), (_larger, "holds a disk of"), (_link, "not a plain file")],
)
def test_nothing_is_made_of_another_file_in_a_volumes_place(
    hostd: Hostd, place: Path, exchanged: str, make: Callable[[Path], None], says: str
) -> None:
    """A merge read what it named, and growing it wrote there; a snapshot followed a link."""
    for name in ("base", "other"):
        hostd.done("volume.add", name=name, pool="local", capacity=MIB, format="qcow2")
    hostd.done("volume.snapshot", volume="local/base", name="snap")
    right = (place / exchanged).rename(hostd.home / "right")
    make(place / exchanged)
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    for operation, more in (
        ("volume.merge", {"name": "whole"}),
        ("volume.snapshot", {"name": "next"}),
        ("volume.grow", {"capacity": 20 * MIB}),
    ):
        row = hostd.task(hostd.zhao(operation, volume="local/snap", **more))
        assert row["state"] == "failed", (operation, row)
        assert (says if exchanged == "base" else "snap") in hostd.error(row)
        assert "qemu-img" not in hostd.error(row)
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} == before
    assert hostd.zhao("volume.show", volume="local/snap")["capacity"] == MIB
    (place / exchanged).unlink()
    right.rename(place / exchanged)
    hostd.done("volume.merge", volume="local/snap", name="whole")


def test_a_raw_disk_is_its_guests_whatever_it_begins_with(hostd: Hostd, place: Path) -> None:
    hostd.done("volume.add", name="disk", pool="local", capacity=MIB, format="raw")
    img("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", hostd.home / "evil", "1M")
    with (place / "disk").open("r+b") as file:
        file.write((hostd.home / "evil").read_bytes()[:65536])
    assert started(hostd, "local/disk") == ""
    hostd.done("pool.refresh", pool="local")


def test_a_chain_is_looked_at_down_to_its_end(hostd: Hostd, place: Path) -> None:
    hostd.done("volume.add", name="base", pool="local", capacity=MIB, format="qcow2")
    hostd.done("volume.snapshot", volume="local/base", name="snap")
    assert started(hostd, "local/snap") == ""
    right = (place / "base").rename(hostd.home / "right")
    _data_file(place / "base")
    assert "local/base" in started(hostd, "local/snap")
    (place / "base").unlink()
    # Nobody has looked since: the host names what is gone, instead of what qemu-img says.
    for operation, more in (("volume.merge", {}), ("volume.snapshot", {"switch": True})):
        row = hostd.task(hostd.zhao(operation, volume="local/snap", name="whole", **more))
        assert row["state"] == "failed"
        assert "local/base" in hostd.error(row)
        assert "qemu-img" not in hostd.error(row)
    hostd.done("pool.refresh", pool="local")
    for operation, more in (("volume.merge", {}), ("volume.snapshot", {"switch": True})):
        error = refused(lambda o=operation, m=more: hostd.zhao(o, volume="local/snap", name="later", **m))  # type: ignore[misc]
        assert "base" in error.text()
        assert "missing" in error.text()
    right.replace(place / "base")
    hostd.done("pool.refresh", pool="local")
    assert started(hostd, "local/snap") == ""


def test_a_disk_that_another_program_has_open_is_named(hostd: Hostd, place: Path) -> None:
    hostd.done("volume.add", name="disk", pool="local", capacity=MIB, format="raw")
    other = subprocess.Popen(
        ["qemu-io", "-f", "raw", str(place / "disk")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdin is not None
        other.stdin.write(b"write 0 512\n")
        other.stdin.flush()
        until(lambda: str(place / "disk") in _open_files(other.pid), 10, "qemu-io has it open")
        said = started(hostd, "local/disk")
        assert "local/disk" in said
        assert "Another program" in said
    finally:
        other.kill()
        other.wait(10)


def _open_files(pid: int) -> set[str]:
    return {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}


def test_a_vmdk_that_rests_on_another_one_is_refused(hostd: Hostd, place: Path) -> None:
    img("create", "-q", "-f", "vmdk", place / "parent", "1M")
    img("create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", place / "parent", place / "child")
    hostd.done("pool.refresh", pool="local")
    row = hostd.task(hostd.admin("volume.accept", volume="local/child", format="vmdk"), "sysadm")
    assert row["state"] == "failed"
    assert "difference" in hostd.error(row)
    assert hostd.task(hostd.admin("volume.accept", volume="local/parent", format="vmdk"), "sysadm")["state"] == "done"
    hostd.done("pool.refresh", pool="local")


def test_a_volume_group_that_is_not_there_is_said_to_be_to_make(hostd: Hostd) -> None:
    host = str(hostd.admin("host.list")["rows"][0]["name"])
    answer = hostd.admin("pool.add", name="vg0", type="logical", host=host, path="/dev/vg0", capacity=1 << 30)
    row = hostd.task(answer, "sysadm")
    assert row["state"] == "failed"
    assert "vgcreate" in hostd.error(row)
