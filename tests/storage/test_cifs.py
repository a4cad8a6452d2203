"""Pools on a share of CIFS, whose account's password is a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.cloud import Cloud
from tests.storage.servers import CIFS_PASSWORD, CIFS_SHARE, CifsServer

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

_PLACE = ["--type", "netfs", "--format", "cifs", "--server", "127.0.0.1", "--capacity", "1GiB", "--project", "web"]
_SHARE = ["--source", "disks", "--path", "/media/smb", "--account", "alice"]


def test_an_account_that_is_refused_and_one_that_is_let_in(cloud: Cloud, cifs: CifsServer) -> None:
    cloud.add_secret("right", "cifs", CIFS_PASSWORD)
    cloud.add_secret("wrong", "cifs", "something-else")
    refused = cloud.dosvm("pool", "add", "smb", *_PLACE, *_SHARE, "--secret", "wrong", "--wait", check=False)
    assert refused.code != 0
    assert "refuses this host or account" in refused.err
    cloud.dosvm("pool", "add", "smb", *_PLACE, *_SHARE, "--secret", "right", "--wait")
    assert " /media/smb cifs " in Path("/proc/mounts").read_text()
    cloud.volume("disk", "smb")
    cloud.remove("smb")
    assert list(CIFS_SHARE.iterdir()) == []
    seen = [Path("/proc/mounts").read_text(), cloud.log.read_text(), Path("/run/servers.log").read_text()]
    seen += [path.read_text(errors="replace") for path in Path("/etc/libvirt/storage").rglob("*.xml")]
    assert not any(CIFS_PASSWORD in text for text in seen)
