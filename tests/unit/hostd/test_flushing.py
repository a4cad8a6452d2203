"""Names in a directory reach the disk; a file system that cannot sync directories is none that lost something."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hostd.flushing import flush_names


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP])
def test_what_cannot_sync_a_directory_need_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    _refusing(monkeypatch, number)
    flush_names(tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE])
def test_what_was_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    _refusing(monkeypatch, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        flush_names(tmp_path)


def test_it_is_the_directory_that_is_synced_and_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    before = len(list(Path("/proc/self/fd").iterdir()))
    flush_names(tmp_path)
    assert seen == [tmp_path]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def _refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
