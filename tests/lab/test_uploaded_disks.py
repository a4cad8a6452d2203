"""Uploaded disk images as disks (manual 9.5): VMs boot from them and write to them; what is refused is told at once."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import Answer
from tests.lab.lab import SAMPLE

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.timeout(400)]
MIB = 1024 * 1024
#: The disk, and where on it guests write: behind the system that they boot from.
SIZE, PLACE = 32 * MIB, 24 * MIB


@pytest.fixture(scope="module")
def cloud(small_cloud: Cloud) -> Cloud:
    """The directory of files that people upload beside it."""
    (small_cloud.lab[0].srv / "mine").mkdir(exist_ok=True)
    return small_cloud


def disk(cloud: Cloud, form: str) -> Path:
    """A disk image with the sample guest on it, and a text behind."""
    raw = cloud.lab[0].srv / "mine/disk.raw"
    raw.write_bytes(SAMPLE.read_bytes())
    with raw.open("r+b") as file:
        file.truncate(SIZE)
        file.seek(PLACE)
        file.write(b"installed\n")
    if form == "raw":
        return raw
    made = raw.with_suffix(f".{form}")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, str(raw), str(made)], check=True)
    return made


def text_on(path: Path, form: str) -> str:
    """What guests wrote to a disk image, read by QEMU's own tool."""
    plain = path.with_name("read-back.raw")
    subprocess.run(["qemu-img", "convert", "-f", form, "-O", "raw", str(path), str(plain)], check=True)
    try:
        with plain.open("rb") as file:
            file.seek(PLACE)
            return file.read(512).rstrip(b"\0").decode().strip()
    finally:
        plain.unlink()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_a_guest(cloud: Cloud, name: str, work: Callable[[Any], None]) -> None:
    """The VM boots from its disk; something is done in it, and it is switched off."""
    a = cloud.lab[0]
    cloud.zhao("vm", "start", name, "--host", a.name, "--wait")
    with a.serial(str(cloud.vm(name)["uuid"])) as console:
        console.wait_for_shell(150)
        work(console)
    cloud.zhao("vm", "stop", name, "--force", "--wait")


@pytest.mark.parametrize("form", ["qcow2", "raw"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_vm_boots_from_an_uploaded_disk_and_writes_to_it(cloud: Cloud, form: str, kept: bool) -> None:
    """What is written to an image that may be written stays; of a read-only one it goes when the VM stops."""
    name = f"{form}-{'own' if kept else 'shared'}"
    source = disk(cloud, form)
    words = ["--format", form, "--file", f"{name}.img", *(["--no-shared", "--no-read-only"] if kept else [])]
    cloud.zhao("image", "upload", f"/srv/mine/{source.name}", name, *words)
    there = cloud.lab[0].srv / "acme" / f"{name}.img"
    uploaded = digest(there)
    row = cloud.summed(name)
    assert (row["digest"], row["virtual_size"]) == (uploaded, SIZE)
    given = ["--disk", f"device=disk,image={name},bus=virtio", "--boot", "hd"]
    cloud.zhao("instance", "add", name, "--vcpus", "1", "--memory", "128MiB", *given)
    cloud.add_vm(name, instance=name)

    def write(console: Any) -> None:
        read = f"dd if=/dev/vda bs=512 skip={PLACE // 512} count=1 2>/dev/null | head -n 1"
        assert console.shell(read).strip() == "installed", "what was uploaded is on the disk"
        console.shell(
            f"echo 'written inside' | dd of=/dev/vda bs=512 seek={PLACE // 512} conv=sync,fsync 2>/dev/null", 60
        )
        assert console.shell(read).strip() == "written inside"

    in_a_guest(cloud, name, write)
    assert text_on(there, form) == ("written inside" if kept else "installed")
    assert (digest(there) == uploaded) is not kept

    def read(console: Any) -> None:
        text = console.shell(f"dd if=/dev/vda bs=512 skip={PLACE // 512} count=1 2>/dev/null | head -n 1").strip()
        assert text == ("written inside" if kept else "installed"), "after a stop"

    in_a_guest(cloud, name, read)
    cloud.zhao("vm", "delete", name, "--yes")
    cloud.zhao("instance", "delete", name, "--yes")
    cloud.zhao("image", "delete", name, "--yes")
    assert not there.exists()


# -- what is refused


def image(path: Path, *words: object) -> None:
    """Make a qcow2 image of 1 MiB."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *map(str, words), str(path), "1M"], check=True, capture_output=True
    )


def absurd(path: Path) -> None:
    """An image that says it is a disk of 8 EiB."""
    image(path)
    with path.open("r+b") as file:
        file.seek(24)
        file.write((2**63).to_bytes(8, "big"))


def refused(answer: Answer, *words: str) -> None:
    """One sentence, exit code 1, no traceback, these words."""
    assert answer.code == 1, str(answer)
    assert answer.out == "", str(answer)
    assert len(answer.err.splitlines()) == 1, str(answer)
    for word in words:
        assert word in answer.err, str(answer)


def nothing_is_left(cloud: Cloud) -> None:
    """No row, booked or not, and no file, hidden or not."""
    for state in ("present", "uploading", "creating", "failed"):
        assert cloud.zhao("image", "list", "--filter", f"state={state}", "-o", "json").data == []
    assert list((cloud.lab[0].srv / "acme").iterdir()) == []


@pytest.mark.parametrize("what", ["backing", "data-file", "absurd", "raw"])
def test_an_uploaded_image_that_is_not_whole_or_sane_is_refused(cloud: Cloud, what: str) -> None:
    path = cloud.lab[0].srv / "mine/odd.qcow2"
    path.unlink(missing_ok=True)
    if what == "backing":
        image(path, "-u", "-b", "/etc/shadow", "-F", "raw")
        said = ["odd.qcow2", "only the difference to another image (/etc/shadow)", "qemu-img convert"]
    elif what == "data-file":
        image(path, "-o", f"data_file={path}.data")
        said = ["odd.qcow2", "keeps its data in another file", "qemu-img convert"]
    elif what == "absurd":
        absurd(path)
        said = ["odd.qcow2", "claims a disk of 8 EiB", "the largest is 64 TiB"]
    else:
        path.write_bytes(b"x" * MIB)
        said = ["odd.qcow2", "is not a qcow2 image"]
    upload = ("image", "upload", "/srv/mine/odd.qcow2", "odd", "--format", "qcow2")
    refused(cloud.zhao(*upload, check=False), *said)
    nothing_is_left(cloud)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("../escaped.raw", "--file: The file must be inside the directory"),
        ("a/../../escaped.raw", "--file: The file must be inside the directory"),
        ("/srv/escaped.raw", "--file: A file name relative to the directory is needed"),
        ("link/escaped.raw", "link/escaped.raw is a link, or lies behind one"),
    ],
)
def test_an_upload_does_not_leave_the_groups_directory(cloud: Cloud, file: str, said: str) -> None:
    srv = cloud.lab[0].srv
    (srv / "mine/some.raw").write_bytes(b"x" * MIB)
    link = srv / "acme/link"
    link.symlink_to("/srv")
    try:
        upload = ("image", "upload", "/srv/mine/some.raw", "escaped", "--file", file)
        refused(cloud.zhao(*upload, check=False), said)
    finally:
        link.unlink()
    assert not (srv / "escaped.raw").exists()
    nothing_is_left(cloud)


def test_a_disk_that_is_full_is_told_with_what_is_free_and_nothing_is_left(cloud: Cloud) -> None:
    a = cloud.lab[0]
    with (a.srv / "mine/large.raw").open("wb") as file:
        for number in range(16 * MIB // 32):
            file.write(hashlib.sha256(str(number).encode()).digest())
    a.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "none", "/srv/acme"])
    try:
        upload = ("image", "upload", "/srv/mine/large.raw", "large")
        refused(cloud.zhao(*upload, check=False), "The disk with /srv/acme is full", "large.raw", "16 MiB", "are free")
        assert a.run(["ls", "-A", "/srv/acme"]).out == ""
    finally:
        a.run(["umount", "/srv/acme"])
    nothing_is_left(cloud)
    cloud.zhao("image", "upload", "/srv/mine/large.raw", "large")
    cloud.zhao("image", "delete", "large", "--yes")
