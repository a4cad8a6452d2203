"""QEMU's user may pass just the directories above a pool, and nothing else is opened."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from core.errors import EngineError
from hostd.access import let_pass, may_search, qemu_user

USER = 64055

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes ACLs of directories it does not own")


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A directory below two that are closed to all but root."""
    deep = tmp_path / "home" / "pool"
    deep.mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)
    deep.chmod(0o750)
    return deep


def reaches(directory: Path) -> bool:
    """Whether the user may really go there."""
    done = subprocess.run(
        ["setpriv", f"--reuid={USER}", "--clear-groups", "--regid=65534", "test", "-x", str(directory)], check=False
    )
    return done.returncode == 0


def test_the_user_gets_there_and_sees_nothing_more(closed: Path, tmp_path: Path) -> None:
    assert not reaches(closed)
    changed = let_pass(closed, tmp_path / "record", user=USER)
    assert reaches(closed)
    assert changed[-2:] == [closed.parent, closed]
    listing = subprocess.run(
        ["setpriv", f"--reuid={USER}", "--clear-groups", "--regid=65534", "ls", str(closed)],
        capture_output=True,
        check=False,
    )
    assert listing.returncode != 0


def test_the_owners_and_others_permissions_stay(closed: Path, tmp_path: Path) -> None:
    let_pass(closed, tmp_path / "record", user=USER)
    mode = closed.parent.stat().st_mode
    assert mode & 0o700 == 0o700
    assert mode & 0o007 == 0


def test_what_is_open_already_is_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir(mode=0o755)
    let_pass(directory, tmp_path / "record", user=USER)
    assert "system.posix_acl_access" not in os.listxattr(directory)


def test_a_second_time_changes_nothing_and_the_record_says_what_was_done(closed: Path, tmp_path: Path) -> None:
    record = tmp_path / "record"
    let_pass(closed, record, user=USER)
    assert let_pass(closed, record, user=USER) == []
    assert f"u:{USER}:--x {closed}" in record.read_text()


def test_an_existing_acl_is_kept(closed: Path, tmp_path: Path) -> None:
    let_pass(closed.parent, tmp_path / "record", user=1234)
    let_pass(closed, tmp_path / "record", user=USER)
    assert may_search(closed.parent, 1234)
    assert may_search(closed.parent, USER)


def test_root_needs_no_help(closed: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "qemu.conf"
    configuration.write_text('# user = "x"\nuser = "root"\n')
    assert qemu_user(configuration) is None
    configuration.write_text('user = "+107"\n')
    assert qemu_user(configuration) == 107


def test_a_directory_that_is_not_there_is_said_not_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="There is no directory") as told:
        let_pass(tmp_path / "gone", tmp_path / "record", user=12345)
    assert "chmod" not in told.value.text()
