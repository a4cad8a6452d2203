"""Pools on a share of CIFS, whose account's password is a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.cloud import Cloud, begins, write
from tests.storage.here import Here
from tests.storage.outage import Writer, away, does_not_start
from tests.storage.servers import CIFS_SHARE, CifsServer

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

PORT = 445
PASSWORD = "Al1ce-share-secret"
_PLACE = ["--type", "netfs", "--format", "cifs", "--server", "127.0.0.1", "--capacity", "1GiB", "--project", "web"]
_SHARE = ["--source", "disks", "--path", "/media/smb", "--account", "alice"]


@pytest.fixture(scope="module")
def server(here: Here) -> CifsServer:
    """Samba, with one share for alice."""
    return CifsServer(here, PASSWORD)


def test_a_guests_disk_on_a_share(cloud: Cloud, server: CifsServer, here: Here) -> None:
    cloud.add_secret("right", "cifs", PASSWORD)
    cloud.add_secret("wrong", "cifs", "something-else")
    refused = cloud.dosvm("pool", "add", "smb", *_PLACE, *_SHARE, "--secret", "wrong", "--wait", check=False)
    assert refused.code != 0
    assert "refuses this host or account" in refused.err
    cloud.dosvm("pool", "add", "smb", *_PLACE, *_SHARE, "--secret", "right", "--wait")
    assert " /media/smb cifs " in Path("/proc/mounts").read_text()
    for name in ("disk", "other"):
        cloud.volume(name, "smb")
    with cloud.boot("on-cifs", "smb/disk") as console:
        write(console, "before the cut")
        assert begins(CIFS_SHARE / "disk", "before the cut")
        # A guest that writes meanwhile waits, and goes on by itself: nothing is refused.
        writer = Writer(console)
        with away(cloud, here, "smb", PORT):
            does_not_start(cloud, "off-cifs", "smb/other")
            assert cloud.vm("on-cifs")["state"] == "running"
        writer.goes_on()
        writer.check(CIFS_SHARE / "disk")
        cloud.volume("after", "smb")
    cloud.remove("smb")
    assert list(CIFS_SHARE.iterdir()) == []
    seen = [Path("/proc/mounts").read_text(), cloud.log.read_text(), Path("/run/servers.log").read_text()]
    seen += [path.read_text(errors="replace") for path in Path("/etc/libvirt/storage").rglob("*.xml")]
    assert not any(PASSWORD in text for text in seen)
