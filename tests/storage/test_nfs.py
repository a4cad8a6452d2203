"""Pools on NFS, as versions 4 and 3."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.cloud import Cloud, begins
from tests.storage.servers import NFS4_SOURCE, NFS_EXPORT, NfsServer

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_PLACE = ["--type", "netfs", "--server", "127.0.0.1", "--path", "/media/nas", "--capacity", "1GiB", "--project", "web"]


def mounted() -> str:
    """The mount of the pool, with its options."""
    return next(line for line in Path("/proc/mounts").read_text().splitlines() if " /media/nas " in line)


def test_version_4_with_the_format_found_out(cloud: Cloud, nfs: NfsServer) -> None:
    nfs.start()
    cloud.dosvm("pool", "add", "nas", "--format", "auto", "--source", NFS4_SOURCE, *_PLACE, "--wait")
    assert "vers=4" in mounted()
    cloud.volume("disk", "nas")
    cloud.volume("thin", "nas", form="qcow2")
    cloud.remove("nas")
    assert list(NFS_EXPORT.iterdir()) == []
    nfs.stop()


def test_version_3_when_the_server_speaks_no_other(cloud: Cloud, nfs: NfsServer) -> None:
    refused = cloud.dosvm(
        "pool", "add", "nas", "--format", "nfs", "--source", str(NFS_EXPORT), *_PLACE, "--wait", check=False
    )
    assert "Connection refused" in refused.err
    nfs.start(only_v3=True)
    wrong = cloud.dosvm(
        "pool", "add", "nas", "--format", "nfs", "--source", "/srv/nothing", *_PLACE, "--wait", check=False
    )
    assert wrong.code != 0
    assert "/srv/nothing" in wrong.err
    cloud.dosvm("pool", "add", "nas", "--format", "nfs", "--source", str(NFS_EXPORT), *_PLACE, "--wait")
    assert "vers=3" in mounted()
    cloud.volume("disk", "nas")
    text = cloud.write_in_a_guest("on-v3", "nas/disk")
    assert begins(NFS_EXPORT / "disk", text)
    cloud.remove("nas")
    nfs.stop()
