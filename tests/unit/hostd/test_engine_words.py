"""What engines say of disks and volume groups is said in words that name what is wrong, and what to do."""

from __future__ import annotations

import pytest

from core.errors import EngineError, Refused
from core.specs.pool import PoolOrder
from hostd import blocks, image_locks

LOCKED = (
    "internal error: process exited while connecting to monitor: qemu-system-x86_64: -device virtio-blk-pci,drive=f:"
    ' Failed to get shared "write" lock\nIs another process using the image [/srv/pool/disk]?'
)
NO_GROUP = (
    "internal error: Child process (/usr/sbin/vgchange -aly vg0) unexpected exit status 5:"
    '   Volume group "vg0" not found\n  Cannot process volume group vg0'
)
NO_GROUP_EITHER = "unsupported configuration: cannot find logical volume group name 'vg0'"
FILES = [("local/other", "/srv/pool/other"), ("local/disk", "/srv/pool/disk")]


def test_who_has_a_disk_open_is_said_with_the_disk() -> None:
    error = EngineError("libvirt: {reason}", reason=LOCKED)
    with pytest.raises(EngineError, match=r"Another program.*open: local/disk \(/srv/pool/disk\)") as told:
        image_locks.explain(error, FILES)
    assert "fuser -v /srv/pool/disk" in told.value.text()
    image_locks.explain(EngineError("libvirt: {reason}", reason="Cannot get interface MTU: lock held"), FILES)


@pytest.mark.parametrize("reason", [NO_GROUP, NO_GROUP_EITHER])
def test_a_volume_group_that_is_not_there_is_to_be_made(reason: str) -> None:
    pool = PoolOrder(1, "u" * 36, "vg0", "logical", "/dev/vg0")
    told = blocks.explained(pool, EngineError("libvirt: {reason}", reason=reason))
    assert isinstance(told, Refused)
    assert "vgcreate vg0" in told.text()
    other = EngineError("libvirt: {reason}", reason="no space")
    assert blocks.explained(pool, other) is other
