"""Pools whose volumes others make: units of an iSCSI target, logical volumes, partitions of a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.cloud import Cloud, begins
from tests.storage.here import Here
from tests.storage.servers import TARGET, IscsiServer, loop_disk

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

PASSWORD = "chap-secret-12"
_REST = ["--capacity", "1GiB", "--project", "web"]


def found(cloud: Cloud, pool: str) -> list[str]:
    """The names of the volumes that a refresh of a pool finds."""
    cloud.dosvm("pool", "refresh", pool, "--yes", "--wait")
    rows = cloud.zhao("volume.list", filters={"pool": pool})["rows"]
    assert {row["state"] for row in rows} <= {"present"}
    return sorted(row["name"] for row in rows)


def add_secret(cloud: Cloud, name: str, value: str) -> None:
    file = cloud.home / name
    file.write_text(value + "\n")
    words = ["--display-name", name, "--kind", "iscsi", "--usage", name, "--value-file", str(file)]
    cloud.dosvm("secret", "add", name, *words)


def forget(cloud: Cloud, pool: str) -> None:
    """Delete the records of a pool's volumes, and the pool."""
    cloud.clean()
    for row in cloud.zhao("volume.list", filters={"pool": pool})["rows"]:
        cloud.dosvm("volume", "delete", f"{pool}/{row['name']}", "--yes", "--wait")
    cloud.dosvm("pool", "delete", pool, "--yes", "--wait")


def test_a_logical_volume(cloud: Cloud, here: Here) -> None:
    disk = loop_disk(here, "lvm")
    here.run("vgcreate", "vg0", disk)
    here.run("lvcreate", "-y", "-L", "32M", "-n", "lv1", "vg0")
    cloud.dosvm("pool", "add", "vg0", "--type", "logical", "--host", "storage", "--path", "/dev/vg0", *_REST, "--wait")
    assert found(cloud, "vg0") == ["lv1"]
    text = cloud.write_in_a_guest("on-lvm", "vg0/lv1")
    assert begins(Path("/dev/vg0/lv1"), text)
    forget(cloud, "vg0")
    assert "lv1" in here.run("lvs", "--noheadings", "-o", "lv_name")


def test_a_partition(cloud: Cloud, here: Here) -> None:
    disk = loop_disk(here, "parts")
    here.run("parted", "-s", disk, "mklabel", "gpt", "mkpart", "one", "1MiB", "33MiB")
    here.run("udevadm", "settle")
    words = ["--type", "disk", "--host", "storage", "--format", "gpt", "--source", disk]
    cloud.dosvm("pool", "add", "disk", *words, *_REST, "--wait")
    names = found(cloud, "disk")
    assert len(names) == 1
    text = cloud.write_in_a_guest("on-part", f"disk/{names[0]}")
    assert begins(Path(f"{disk}p1"), text)
    forget(cloud, "disk")


def test_a_unit_of_a_target_that_asks_for_chap(cloud: Cloud, here: Here) -> None:
    server = IscsiServer(here, PASSWORD)
    add_secret(cloud, "chap-right", PASSWORD)
    add_secret(cloud, "chap-wrong", "another-secret1")
    words = ["--type", "iscsi", "--server", "127.0.0.1", "--source", TARGET, "--account", "alice"]
    refused = cloud.dosvm("pool", "add", "san", *words, "--secret", "chap-wrong", *_REST, "--wait", check=False)
    assert refused.code != 0
    assert "refuses the account or password" in refused.err
    cloud.dosvm("pool", "add", "san", *words, "--secret", "chap-right", *_REST, "--wait")
    names = found(cloud, "san")
    assert len(names) == 1
    text = cloud.write_in_a_guest("on-iscsi", f"san/{names[0]}")
    assert begins(server.unit, text)
    forget(cloud, "san")
    logs = [cloud.log.read_text(), Path("/run/servers.log").read_text()]
    assert not any(PASSWORD in said for said in logs)
