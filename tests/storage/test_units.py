"""Pools whose volumes others make on a host's disks: logical volumes, partitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.cloud import Cloud, begins
from tests.storage.here import Here
from tests.storage.servers import loop_disk

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_REST = ["--capacity", "1GiB", "--project", "web"]


def test_a_logical_volume(cloud: Cloud, here: Here) -> None:
    disk = loop_disk(here, "lvm")
    here.run("vgcreate", "vg0", disk)
    here.run("lvcreate", "-y", "-L", "32M", "-n", "lv1", "vg0")
    cloud.dosvm("pool", "add", "vg0", "--type", "logical", "--host", "storage", "--path", "/dev/vg0", *_REST, "--wait")
    assert cloud.found("vg0") == ["lv1"]
    text = cloud.write_in_a_guest("on-lvm", "vg0/lv1")
    assert begins(Path("/dev/vg0/lv1"), text)
    cloud.forget("vg0")
    assert "lv1" in here.run("lvs", "--noheadings", "-o", "lv_name")


def test_a_partition(cloud: Cloud, here: Here) -> None:
    disk = loop_disk(here, "parts")
    here.run("parted", "-s", disk, "mklabel", "gpt", "mkpart", "one", "1MiB", "33MiB")
    here.run("udevadm", "settle")
    words = ["--type", "disk", "--host", "storage", "--format", "gpt", "--source", disk]
    cloud.dosvm("pool", "add", "disk", *words, *_REST, "--wait")
    names = cloud.found("disk")
    assert len(names) == 1
    text = cloud.write_in_a_guest("on-part", f"disk/{names[0]}")
    assert begins(Path(f"{disk}p1"), text)
    cloud.forget("disk")


def test_partitions_of_an_old_table(cloud: Cloud, here: Here) -> None:
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
    text = cloud.write_in_a_guest("on-logical", f"old/{names[3]}")
    assert begins(Path(f"{disk}p5"), text)
    # What is made later is found.
    here.run("parted", "-s", disk, "mkpart", "logical", "71MiB", "90MiB")
    here.run("udevadm", "settle")
    assert len(cloud.found("old")) == 5
    cloud.forget("old")
