"""Pools whose volumes others make on a host's disks: logical volumes, partitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.cloud import Cloud, begins, write
from tests.storage.here import Here
from tests.storage.servers import loop_disk

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_REST = ["--capacity", "1GiB", "--project", "web"]


def add_logical(cloud: Cloud, here: Here) -> str:
    """A pool on a volume group, and its one logical volume."""
    disk = loop_disk(here, "lvm")
    here.run("vgcreate", "vg0", disk)
    here.run("lvcreate", "-y", "-L", "32M", "-n", "lv1", "vg0")
    cloud.dosvm("pool", "add", "vg0", "--type", "logical", "--host", "storage", "--path", "/dev/vg0", *_REST, "--wait")
    assert cloud.found("vg0") == ["lv1"]
    return "vg0/lv1"


def add_gpt(cloud: Cloud, here: Here) -> tuple[str, Path]:
    """A pool on a disk with one partition: its volume, and the device."""
    disk = loop_disk(here, "parts")
    here.run("parted", "-s", disk, "mklabel", "gpt", "mkpart", "one", "1MiB", "33MiB")
    here.run("udevadm", "settle")
    words = ["--type", "disk", "--host", "storage", "--format", "gpt", "--source", disk]
    cloud.dosvm("pool", "add", "new", *words, *_REST, "--wait")
    (name,) = cloud.found("new")
    return f"new/{name}", Path(f"{disk}p1")


def add_dos(cloud: Cloud, here: Here) -> tuple[str, str]:
    """A pool on a disk with an old table: the volume that is its first logical partition, and the disk."""
    disk = loop_disk(here, "old")
    here.run("parted", "-s", disk, "mklabel", "msdos")
    parts = [("primary", 1, 33), ("primary", 33, 41), ("primary", 41, 49), ("extended", 49, 97), ("logical", 50, 70)]
    for kind, begin, end in parts:
        here.run("parted", "-s", disk, "mkpart", kind, f"{begin}MiB", f"{end}MiB")
    here.run("udevadm", "settle")
    words = ["--type", "disk", "--host", "storage", "--source", disk, *_REST, "--wait"]
    other = cloud.dosvm("pool", "add", "old", *words, "--format", "gpt", check=False)
    assert other.code != 0
    assert "dos" in other.err
    cloud.dosvm("pool", "add", "old", *words, "--format", "dos")
    names = cloud.found("old")
    # The fourth only holds the others: it is no disk.
    assert [name.rpartition("p")[2] for name in names] == ["1", "2", "3", "5"]
    return f"old/{names[3]}", disk


def test_a_guest_on_a_logical_volume_and_partitions_of_both_tables(cloud: Cloud, here: Here) -> None:
    logical, (new, device), (old, disk) = add_logical(cloud, here), add_gpt(cloud, here), add_dos(cloud, here)
    places = {"vda": Path("/dev/vg0/lv1"), "vdb": device, "vdc": Path(f"{disk}p5")}
    with cloud.boot("on-units", logical, new, old) as console:
        for name in places:
            write(console, f"kept on {name}", name)
    cloud.clean()
    for name, place in places.items():
        assert begins(place, f"kept on {name}")
    # What is made later is found.
    here.run("parted", "-s", disk, "mkpart", "logical", "71MiB", "90MiB")
    here.run("udevadm", "settle")
    assert len(cloud.found("old")) == 5
    for pool in ("vg0", "new", "old"):
        cloud.forget(pool)
    assert "lv1" in here.run("lvs", "--noheadings", "-o", "lv_name")
