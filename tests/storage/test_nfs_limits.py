"""NFS that lets not everything be done: root is squashed, the disk is full."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.hostd import stop_qemu_img, until
from tests.storage.cloud import Cloud
from tests.storage.here import Here
from tests.storage.servers import NfsServer

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_PLACE = ["--type", "netfs", "--format", "nfs", "--server", "127.0.0.1", "--capacity", "1GiB", "--project", "web"]
_MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def serving(nfs: NfsServer) -> Iterator[None]:
    """The server serves."""
    nfs.start()
    yield
    nfs.stop()


def add(cloud: Cloud, name: str, source: str, *, check: bool = True) -> str:
    """Add a pool on an export; what is said on standard error."""
    words = ["--source", source, "--path", f"/media/{name}", "--wait"]
    return cloud.dosvm("pool", "add", name, *_PLACE, *words, check=check).err


def test_an_export_that_squashes_root(cloud: Cloud, nfs: NfsServer) -> None:
    qemu = pwd.getpwnam("libvirt-qemu")
    place = nfs.small("squashed", "1m", "root_squash")
    said = add(cloud, "squashed", "/squashed", check=False)
    assert "root_squash" in said
    assert f"anonuid={qemu.pw_uid}" in said, "no remedy"
    # Who is let in as nobody can make files that QEMU cannot open.
    place.chmod(0o777)
    said = add(cloud, "squashed", "/squashed", check=False)
    assert "root_squash" in said
    assert f"anonuid={qemu.pw_uid}" in said, "no remedy"
    assert list(place.iterdir()) == []
    assert "squashed" not in {row["name"] for row in cloud.admin("pool.list")["rows"]}
    assert "/media/squashed" not in Path("/proc/mounts").read_text()
    # As the remedy says.
    mapped = nfs.small("mapped", "32m", "root_squash", f"anonuid={qemu.pw_uid}", f"anongid={qemu.pw_gid}")
    mapped.chmod(0o700)
    os.chown(mapped, qemu.pw_uid, qemu.pw_gid)
    add(cloud, "mapped", "/mapped")
    cloud.volume("disk", "mapped")
    # QEMU opens its disks for writing before its guest begins.
    cloud.machine("on-mapped", disks=[{"volume": "mapped/disk"}])
    cloud.done("vm.start", vm="on-mapped")
    cloud.remove("mapped")
    assert list(mapped.iterdir()) == []


def agrees(cloud: Cloud, pool: str, place: Path, names: list[str]) -> None:
    """Rows and files are these, and nothing else was left behind."""
    rows = cloud.zhao("volume.list", filters={"pool": pool})["rows"]
    assert sorted((row["name"], row["state"]) for row in rows) == [(name, "present") for name in names]
    assert sorted(path.name for path in place.iterdir()) == sorted([".dosvm-pool", "filler", *names])


def fill(place: Path, left: int) -> None:
    """Somebody else's file leaves so many bytes."""
    filler = place / "filler"
    filler.unlink(missing_ok=True)
    space = os.statvfs(place)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - left)


def test_a_disk_that_is_full(cloud: Cloud, nfs: NfsServer, here: Here) -> None:
    place = nfs.small("full", "48m")
    add(cloud, "full", "/full")
    fill(place, 40 * _MIB)
    cloud.volume("base", "full")
    here.run("dd", "if=/dev/urandom", f"of={place / 'base'}", "bs=1M", "count=16", "conv=notrunc")
    cloud.dosvm("volume", "snapshot", "full/base", "top", "--wait", account="zhao")
    agrees(cloud, "full", place, ["base", "top"])

    fill(place, 0)
    words = ["--pool", "full", "--capacity", "8MiB", "--format", "qcow2", "--wait"]
    made = cloud.dosvm("volume", "add", "more", *words, account="zhao", check=False)
    assert made.code != 0
    # Found out by the host, however long ago the storage was measured.
    assert "In the file system of storage pool full 0 B are free" in made.err
    agrees(cloud, "full", place, ["base", "top"])
    # It is meant, and there is not even room for its tables.
    made = cloud.dosvm("volume", "add", "more", *words, "--thin", account="zhao", check=False)
    assert made.code != 0
    assert "not enough room on the file system /media/full" in made.err
    assert "more than are free" in made.err
    agrees(cloud, "full", place, ["base", "top"])

    fill(place, 4 * _MIB)
    merged = cloud.dosvm("volume", "merge", "full/top", "whole", "--wait", account="zhao", check=False)
    assert merged.code != 0
    assert "/media/full" in merged.err
    assert "more than are free" in merged.err
    agrees(cloud, "full", place, ["base", "top"])

    # It is full only once the merge is at it: told by the server when the file is written out.
    fill(place, 24 * _MIB)
    answer = cloud.zhao("volume.merge", volume="full/top", name="whole")
    process = until(lambda: stop_qemu_img(answer["uuid"]), 30, "the qemu-img that writes it")
    fill(place, 4 * _MIB)
    os.kill(process, signal.SIGCONT)
    row = cloud.task(answer)
    assert row["state"] == "failed"
    assert "The file system {system} was full before all of {file} was written" in cloud.error(row)
    assert "/media/full" in cloud.error(row)
    agrees(cloud, "full", place, ["base", "top"])

    # What is full still lets be deleted.
    fill(place, 0)
    cloud.dosvm("volume", "delete", "full/top", "--yes", "--wait", account="zhao")
    agrees(cloud, "full", place, ["base"])
    (place / "filler").unlink()
    cloud.remove("full")


def test_an_upload_to_a_disk_that_is_full(cloud: Cloud, nfs: NfsServer, here: Here) -> None:
    place = nfs.small("films", "16m")
    mount = Path("/media/films")
    mount.mkdir(parents=True)
    here.run("mount", "-t", "nfs", "127.0.0.1:/films", str(mount))
    cloud.admin("project-group.add", name="films", directory=str(mount))
    cloud.admin("project-group.add-project", project_group="films", project="web")
    source = Path("/srv/source.raw")
    source.write_bytes(os.urandom(12 * _MIB))
    fill(place, 8 * _MIB)
    words = ["image", "upload", str(source), "film", "--group", "films", "--format", "raw", "--wait"]
    refused = cloud.dosvm(*words, account="zhao", check=False)
    assert refused.code != 0
    assert "8 MiB are free, and the file has 12 MiB" in refused.err
    assert cloud.zhao("image.list", search="film")["rows"] == []
    assert [path.name for path in place.iterdir()] == ["filler"]
    (place / "filler").unlink()
    cloud.dosvm(*words, account="zhao")
    assert (place / "source.raw").read_bytes() == source.read_bytes()
    cloud.dosvm("image", "delete", "film", "--yes", "--wait", account="zhao")
    assert list(place.iterdir()) == []
    here.run("umount", str(mount))
