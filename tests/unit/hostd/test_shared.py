"""The directory that all hosts share, told from an empty one of its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Refused
from core.specs.pool import PoolOrder
from hostd import shared

_MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:40 / /dpfs rw,relatime shared:9 - fuse.glusterfs a:/vol rw
31 22 0:41 / /dpfs/with\\040blank rw - nfs4 server:/a\\040b rw
32 22 0:42 / /srv rw - ext4 /dev/vdb rw
33 22 0:43 / /srv rw - nfs4 server:/over rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/dpfs/vm", ("/dpfs", "fuse.glusterfs", "a:/vol")),
        ("/dpfs", ("/dpfs", "fuse.glusterfs", "a:/vol")),
        ("/dpfs2/vm", ("/", "ext4", "/dev/vda1")),
        ("/dpfs/with blank/x", ("/dpfs/with blank", "nfs4", "server:/a b")),
        ("/srv/x", ("/srv", "nfs4", "server:/over")),
    ],
)
def test_the_mount_that_counts_is_the_last_and_nearest(path: str, found: tuple[str, str, str]) -> None:
    assert shared.mount_of(path, _MOUNTS) == found


def _pool(path: Path, uuid: str = "u" * 36) -> PoolOrder:
    return PoolOrder(1, uuid, "dpfs", "dos", str(path))


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the kernel's list of mounts is read from; a shared file system is at tmp_path."""
    file = tmp_path / "mountinfo"
    file.write_text(f"22 1 254:1 / / rw - ext4 /dev/vda1 rw\n30 22 0:40 / {tmp_path} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(shared, "_MOUNTS", file)
    return file


def test_the_first_host_marks_it_and_the_others_look_for_that(tmp_path: Path, mounts: Path) -> None:
    pool = _pool(tmp_path / "vm")
    with pytest.raises(FileNotFoundError):
        (tmp_path / "vm").stat()
    shared.check(pool, mark=True)
    shared.check(pool, mark=True)
    shared.check(pool, mark=False)
    other = _pool(tmp_path / "vm", "v" * 36)
    with pytest.raises(Refused, match="belongs to another storage pool, u"):
        shared.check(other, mark=True)
    shared.unmark(other)
    shared.check(pool, mark=False)
    shared.unmark(pool)
    shared.check(other, mark=True)


def test_an_empty_directory_of_that_name_is_refused(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "vm").mkdir()
    with pytest.raises(Refused, match=r"\.dosvm-pool is not in it"):
        shared.check(_pool(tmp_path / "vm"), mark=False)


@pytest.mark.parametrize("line", ["", "30 22 0:40 / {} rw - tmpfs tmpfs rw\n"])
def test_what_is_not_shared_is_refused_and_nothing_made(tmp_path: Path, mounts: Path, line: str) -> None:
    mounts.write_text("22 1 254:1 / / rw - ext4 /dev/vda1 rw\n" + line.format(tmp_path))
    with pytest.raises(Refused, match="not on a file system that hosts share"):
        shared.check(_pool(tmp_path / "vm"), mark=True)
    assert not (tmp_path / "vm").exists()


def test_a_link_in_place_of_the_mark_is_not_followed(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "vm").mkdir()
    target = tmp_path / "precious"
    (tmp_path / "vm" / shared.MARK).symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        shared.check(_pool(tmp_path / "vm"), mark=True)
    assert not target.exists()
