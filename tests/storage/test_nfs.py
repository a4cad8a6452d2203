"""Pools on NFS, as versions 4 and 3: a guest's disk, and a server that is gone for a while."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.engine.hostd import until
from tests.storage.cloud import BOOT, Cloud, begins, write
from tests.storage.here import Here
from tests.storage.servers import NFS4_SOURCE, NFS_EXPORT, NfsServer, silent

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

PORT = 2049
#: Seconds within which storage that is silent is said to be, with the time limits of hostd and a slow machine's rest.
TOLD = 40.0
_PLACE = ["--type", "netfs", "--server", "127.0.0.1", "--path", "/media/nas", "--capacity", "1GiB", "--project", "web"]


@pytest.fixture(scope="module")
def server(here: Here) -> NfsServer:
    """An NFS server that is not serving yet."""
    return NfsServer(here)


def mounted() -> str:
    """The mount of the pool, with its options."""
    return next(line for line in Path("/proc/mounts").read_text().splitlines() if " /media/nas " in line)


def test_version_4_with_the_format_found_out(cloud: Cloud, server: NfsServer, here: Here) -> None:
    server.start()
    cloud.dosvm("pool", "add", "nas", "--format", "auto", "--source", NFS4_SOURCE, *_PLACE, "--wait")
    assert "vers=4" in mounted()
    cloud.volume("disk", "nas")
    cloud.volume("thin", "nas", form="qcow2")
    with cloud.boot("on-nfs", "nas/disk") as console:
        write(console, "before the cut")
        assert begins(NFS_EXPORT / "disk", "before the cut")
        with silent(here, PORT):
            begin = time.monotonic()
            refused = cloud.dosvm("pool", "refresh", "nas", "--yes", "--wait", check=False)
            assert refused.code != 0
            assert "does not answer" in refused.err
            assert time.monotonic() - begin < TOLD
            row = cloud.pool("nas")
            assert row["state"] == "failed"
            assert "does not answer" in str(row["error"])
            begin = time.monotonic()
            cloud.volume("meanwhile", "local")
            cloud.dosvm("volume", "delete", "local/meanwhile", "--yes", "--wait", account="zhao")
            assert time.monotonic() - begin < TOLD, "other storage was held up"
        # Nobody does anything about it.
        until(lambda: cloud.pool("nas")["state"] == "active", 150, "the pool is active again")
        assert cloud.pool("nas")["error"] == []
        write(console, "after the cut")
        assert begins(NFS_EXPORT / "disk", "after the cut")
        console.shell("sync", BOOT)
    cloud.done("vm.stop", vm="on-nfs", force=True)
    cloud.remove("nas")
    assert list(NFS_EXPORT.iterdir()) == []
    server.stop()


def test_version_3_when_the_server_speaks_no_other(cloud: Cloud, server: NfsServer) -> None:
    refused = cloud.dosvm(
        "pool", "add", "nas", "--format", "nfs", "--source", str(NFS_EXPORT), *_PLACE, "--wait", check=False
    )
    assert "Connection refused" in refused.err
    server.start(only_v3=True)
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
    server.stop()
