"""Pools, volumes and images on a real libvirt: whole or not at all."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import from_wire
from tests.engine.hostd import Hostd, on_host, refused, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
MIB = 1024**2


def img(*arguments: str) -> str:
    return subprocess.run(["qemu-img", *arguments], check=True, capture_output=True, text=True).stdout


def host(hostd: Hostd) -> str:
    return str(hostd.admin("host.list")["rows"][0]["name"])


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_a_volume_is_made_grown_and_deleted(hostd: Hostd, kind: str) -> None:
    file = hostd.home / "pool" / "disk"
    hostd.done("volume.add", name="disk", pool="local", capacity=64 * MIB, format=kind)
    row = hostd.zhao("volume.show", volume="local/disk")
    assert (row["state"], row["capacity"]) == ("present", 64 * MIB)
    assert json.loads(img("info", "--output=json", "-f", kind, str(file)))["virtual-size"] == 64 * MIB
    hostd.done("volume.grow", volume="local/disk", capacity=128 * MIB)
    assert json.loads(img("info", "--output=json", "-f", kind, str(file)))["virtual-size"] == 128 * MIB
    assert hostd.zhao("volume.show", volume="local/disk")["capacity"] == 128 * MIB
    hostd.done("volume.delete", volume="local/disk")
    assert not file.exists()
    assert hostd.zhao("volume.list")["rows"] == []


def test_somebodys_file_is_not_overwritten_and_nothing_stays(hostd: Hostd) -> None:
    file = hostd.home / "pool" / "theirs"
    file.write_text("precious")
    row = hostd.task(hostd.zhao("volume.add", name="theirs", pool="local", capacity=64 * MIB, format="raw"))
    assert row["state"] == "failed"
    assert str(file) in hostd.error(row)
    assert file.read_text() == "precious"
    assert hostd.zhao("volume.list")["rows"] == []
    file.unlink()


def test_a_failed_growth_gives_the_capacity_back(hostd: Hostd) -> None:
    hostd.done("volume.add", name="disk", pool="local", capacity=64 * MIB, format="qcow2")
    file = hostd.home / "pool" / "disk"
    aside = file.rename(file.with_name("aside"))
    row = hostd.task(hostd.zhao("volume.grow", volume="local/disk", capacity=128 * MIB))
    assert row["state"] == "failed"
    assert hostd.zhao("volume.show", volume="local/disk")["capacity"] == 64 * MIB
    aside.rename(file)
    hostd.done("volume.delete", volume="local/disk")


def test_a_volume_whose_file_is_gone_can_be_deleted(hostd: Hostd) -> None:
    hostd.done("volume.add", name="disk", pool="local", capacity=64 * MIB, format="raw")
    (hostd.home / "pool" / "disk").unlink()
    hostd.done("volume.delete", volume="local/disk")


def no_pool(hostd: Hostd, path: str) -> str:
    """Why no pool is made at a path, at which it is said; nothing stays of it."""
    row = hostd.task(
        hostd.admin("pool.add", name="bad", type="dir", host=host(hostd), path=path, capacity=1 << 30), "sysadm"
    )
    assert row["state"] == "failed"
    error = from_wire(row["error"])
    assert error.field == "path"
    assert [row["name"] for row in hostd.admin("pool.list")["rows"]] == ["local"]
    return error.text()


@pytest.mark.parametrize("below", ["", "below"])
def test_a_pool_that_cannot_be_made_says_why_at_its_path_and_leaves_nothing(hostd: Hostd, below: str) -> None:
    """Of a file in the place of its directory it was told what libvirt says of it."""
    blocked = hostd.home / "file"
    blocked.touch()
    path = str(blocked / below) if below else str(blocked)
    said = no_pool(hostd, path)
    assert said.startswith(f"{path} cannot be the directory of storage pool bad: {blocked} is no directory.")
    blocked.unlink()


@pytest.mark.parametrize("below", ["", "below"])
@pytest.mark.parametrize("circle", [False, True])
def test_a_pool_is_not_made_behind_a_link_that_leads_nowhere(hostd: Hostd, below: str, circle: bool) -> None:
    """libvirt said of it that it cannot create a path."""
    link = hostd.home / "link"
    link.symlink_to("link" if circle else "/srv/not\nthere")
    path = str(link / below) if below else str(link)
    leads = "link" if circle else r"/srv/not\nthere"
    assert f"bad: the link {link} leads nowhere ({leads}). Make that directory" in no_pool(hostd, path)
    link.unlink()


def test_a_released_pool_keeps_its_directory(hostd: Hostd) -> None:
    place = hostd.home / "second"
    hostd.done("pool.add", "sysadm", name="second", type="dir", host=host(hostd), path=str(place), capacity=1 << 30)
    assert place.is_dir()
    hostd.done("pool.delete", "sysadm", pool="second")
    assert place.is_dir()
    place.rmdir()


def test_a_pool_that_libvirt_forgot_is_active_again(hostd: Hostd) -> None:
    import libvirt

    connection = libvirt.open(hostd.libvirt.url)

    def pools() -> list[libvirt.virStoragePool]:
        return [pool for pool in connection.listAllStoragePools() if pool.name().startswith("local-")]

    pools()[0].destroy()
    hostd.done("volume.add", name="disk", pool="local", capacity=16 * MIB, format="raw")
    hostd.done("volume.delete", volume="local/disk")
    hostd.kill()
    hostd.start()
    until(lambda: bool(pools()), 10, hostd.log_tail())


def _steal(path: Path) -> None:
    img("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", str(path), "1M")


def _link(path: Path) -> None:
    path.symlink_to("/etc/shadow")


def _huge(path: Path) -> None:
    img("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", str(path), "100T")


def _raw(path: Path) -> None:
    path.write_bytes(b"\0" * MIB)


@pytest.mark.parametrize("make", [_steal, _link, _huge, _raw, None])
def test_an_image_that_is_not_what_is_claimed_is_refused_and_leaves_no_row(hostd: Hostd, make: object) -> None:
    path = hostd.home / "acme" / "bad.qcow2"
    if callable(make):
        make(path)
    row = hostd.task(hostd.zhao("image.add", name="bad", file="bad.qcow2", format="qcow2"))
    assert row["state"] == "failed"
    assert hostd.error(row)
    assert hostd.zhao("image.list")["rows"] == []
    path.unlink(missing_ok=True)


def test_an_image_changed_after_it_was_registered_does_not_start(hostd: Hostd) -> None:
    path = hostd.home / "acme" / "later.qcow2"
    img("create", "-q", "-f", "qcow2", str(path), "16M")
    hostd.done("image.add", name="later", file="later.qcow2", format="qcow2")
    path.unlink()
    _steal(path)
    hostd.machine("one", disks=[{"image": "later"}])
    row = hostd.task(hostd.zhao("vm.start", vm="one"))
    assert row["state"] == "failed"
    assert "/etc/shadow" in hostd.error(row)
    hostd.clean()
    hostd.done("image.delete", image="later")


@pytest.mark.parametrize("way", ["link", "below a link", "mount"])
@pytest.mark.parametrize("whose", ["pool", "acme"])
def test_a_group_whose_directory_is_others_by_a_link_or_a_mount_gets_no_images(
    hostd: Hostd, tmp_path: Path, way: str, whose: str
) -> None:
    """Who may register a file as an image may read it in a guest, write to it, and delete it."""
    theirs, shown = hostd.home / whose, tmp_path / "shown"
    file = theirs / "below" / "disk.raw" if way == "below a link" else theirs / "disk.raw"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(bytes(MIB))
    if way == "mount":
        shown.mkdir()
        subprocess.run(hostd.libvirt.command(["mount", "--bind", str(theirs), str(shown)]), check=True)
    else:
        shown.symlink_to(theirs)
    directory = shown / "below" if way == "below a link" else shown
    hostd.admin("project-group.add", name="sly", directory=str(directory))
    hostd.admin("project-group.add-project", project_group="sly", project="web")
    row = hostd.task(hostd.zhao("image.add", name="steal", file="disk.raw", group="sly"))
    assert row["state"] == "failed"
    assert "is the directory of others too" in hostd.error(row)
    assert hostd.zhao("image.list")["rows"] == []
    assert file.read_bytes() == bytes(MIB)
    if whose == "acme":
        # The group that had the directory first goes on with it.
        hostd.done("image.add", name="own", file=str(file.relative_to(theirs)), group="acme")
        hostd.done("image.delete", image="own")
        file.touch()
    hostd.admin("project-group.remove-project", project_group="sly", project="web")
    hostd.admin("project-group.delete", project_group="sly")
    file.unlink()
    if way == "mount":
        subprocess.run(hostd.libvirt.command(["umount", str(shown)]), check=True)


def test_a_pool_on_the_clouds_own_home_cannot_be_made(hostd: Hostd, tmp_path: Path) -> None:
    # By its own name it overlaps with the pool that these tests have below it.
    (tmp_path / "link").symlink_to(hostd.home)
    for place in (tmp_path / "link", hostd.home / "state", hostd.database.parent):
        answer = hostd.admin("pool.add", name="zz", type="dir", host=host(hostd), path=str(place), capacity=1 << 30)
        row = hostd.task(answer, "sysadm")
        assert row["state"] == "failed"
        assert "what is DOSVM's own" in hostd.error(row)
    assert [row["name"] for row in hostd.admin("pool.list")["rows"]] == ["local"]


def test_a_pool_that_was_made_on_the_home_has_failed_and_gives_nobody_the_cluster_key(hostd: Hostd) -> None:
    """Earlier versions made it, and found its files: the rows are changed to what they left."""
    made, key = hostd.home / "zz", hostd.home / "cluster.key"
    hostd.done("pool.add", "sysadm", name="zz", type="dir", host=host(hostd), path=str(made), capacity=1 << 30)
    hostd.done("volume.add", "sysadm", name="disk", pool="zz", capacity=MIB, format="raw")
    with closing(sqlite3.connect(hostd.database)) as cloud, cloud:
        cloud.execute("UPDATE pool SET path = ? WHERE name = 'zz'", (str(hostd.home),))
        cloud.execute("UPDATE volume SET name = 'cluster.key', state = 'foreign' WHERE name = 'disk'")
    (made / ".dosvm-pool").rename(hostd.home / ".dosvm-pool")
    known = key.read_bytes()
    for call, given in (
        ("pool.refresh", {"pool": "zz"}),
        ("volume.accept", {"volume": "zz/cluster.key", "format": "raw"}),
        ("volume.delete", {"volume": "zz/cluster.key"}),
    ):
        row = hostd.task(hostd.admin(call, **given), "sysadm")
        assert row["state"] == "failed", call
        assert "what is DOSVM's own" in hostd.error(row)
    assert key.read_bytes() == known
    assert hostd.admin("pool.show", pool="zz")["state"] == "failed"
    with closing(sqlite3.connect(hostd.database)) as cloud, cloud:
        cloud.execute("DELETE FROM volume WHERE name = 'cluster.key'")
    hostd.done("pool.delete", "sysadm", pool="zz")
    assert not (hostd.home / ".dosvm-pool").exists()


def test_a_file_of_dosvm_is_no_image_whatever_directory_a_project_group_has(hostd: Hostd) -> None:
    file = hostd.home / "state" / "samples.raw"
    file.write_bytes(bytes(MIB))
    hostd.admin("project-group.add", name="wrong", directory=str(file.parent))
    hostd.admin("project-group.add-project", project_group="wrong", project="web")
    answer = hostd.zhao("image.add", name="samples", group="wrong", file=file.name, format="raw")
    row = hostd.task(answer)
    assert row["state"] == "failed"
    assert "is a file of DOSVM itself, which is no image" in hostd.error(row)
    assert hostd.zhao("image.list")["rows"] == []
    file.unlink()
    hostd.admin("project-group.remove-project", project_group="wrong", project="web")
    hostd.admin("project-group.delete", project_group="wrong")


@pytest.mark.parametrize("whose", ["state", "pki", "."])
def test_nothing_of_dosvm_is_an_image_where_a_mount_shows_it_in_a_groups_directory(hostd: Hostd, whose: str) -> None:
    """Who uploads would write hostd's own files, who registers them would read its keys in a guest."""
    theirs, shown = hostd.home / whose, hostd.home / "acme" / "shown"
    theirs.mkdir(exist_ok=True)
    key = theirs / "cluster.key" if whose == "." else theirs / "key"
    key.touch()
    before = key.read_bytes()
    shown.mkdir()
    on_host(hostd, "mount", "--bind", str(theirs), str(shown))
    try:
        uuid = hostd.zhao("image.upload", name="sly", file=f"shown/{key.name}.new", source=MIB)["uuid"]
        error = refused(lambda: hostd.backend("zhao").send(b"x", image=uuid, sender="me", offset=0))
        assert "among the files of DOSVM itself" in error.text()
        row = hostd.task(hostd.zhao("image.add", name="steal", file=f"shown/{key.name}"))
        assert row["state"] == "failed"
        assert "a file of DOSVM itself" in hostd.error(row)
    finally:
        on_host(hostd, "umount", str(shown))
    assert hostd.zhao("image.list", filters={"state": "uploading"})["rows"] == hostd.zhao("image.list")["rows"] == []
    assert key.read_bytes() == before
    assert not key.with_name(f"{key.name}.new").exists()
    shown.rmdir()
    if whose != ".":
        key.unlink()
