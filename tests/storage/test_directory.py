"""The virtual machine itself: hostd, a pool in a directory, a guest that keeps what it writes."""

from __future__ import annotations

import pytest

from tests.storage.cloud import Cloud, begins

pytestmark = [pytest.mark.storage, pytest.mark.timeout(300)]


def test_a_guest_writes_to_a_volume_in_a_directory(cloud: Cloud) -> None:
    cloud.volume("disk", "local")
    text = cloud.write_in_a_guest("plain", "local/disk")
    assert begins(cloud.home / "pool/disk", text)
    cloud.clean()
    cloud.dosvm("volume", "delete", "local/disk", "--yes", "--wait", account="zhao")
