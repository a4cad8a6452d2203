"""Samples outlive hostd: what was written is there again, and what a crash or a disk spoilt costs nothing else."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from hostd.metrics.journal import Journal
from hostd.metrics.store import KEPT, Store

NOW = time.time()


def stores() -> dict[str, Store]:
    return {"host": Store(("cpu",)), "vm": Store(("cpu", "memory"))}


def fill(held: dict[str, Store], begin: float, count: int = 10) -> None:
    """Samples of the host and two VMs, a second apart."""
    for n in range(count):
        held["host"].add("host", begin + n, (float(n),))
        for vm in ("a", "b"):
            held["vm"].add(vm, begin + n, (float(n), n * 2.0))


def again(directory: Path) -> dict[str, Store]:
    """What the next run of hostd finds."""
    held = stores()
    Journal(directory, held).read()
    return held


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    held = stores()
    journal = Journal(tmp_path, held)
    fill(held, NOW - 100)
    journal.write()
    fill(held, NOW - 50)
    journal.write()
    found = again(tmp_path)
    for name, of in (("host", "host"), ("vm", "a"), ("vm", "b")):
        assert found[name].since(of, 0) == held[name].since(of, 0)
    assert len(found["vm"].since("a", 0)) == 20


def test_nothing_is_written_twice(tmp_path: Path) -> None:
    held = stores()
    journal = Journal(tmp_path, held)
    fill(held, NOW - 100)
    assert journal.write() > 0
    assert journal.write() == 0
    # What was read at the start is on the disk already.
    found = stores()
    second = Journal(tmp_path, found)
    second.read()
    assert second.write() == 0
    fill(found, NOW - 10)
    assert second.write() > 0
    assert len(again(tmp_path)["vm"].since("a", 0)) == 20


def test_a_vm_that_is_gone_and_comes_back_begins_anew(tmp_path: Path) -> None:
    held = stores()
    journal = Journal(tmp_path, held)
    fill(held, NOW - 100)
    journal.write()
    held["vm"].keep(set())
    held["host"].add("host", NOW - 60, (1.0,))
    journal.write()
    held["vm"].add("a", NOW - 50, (7.0, 7.0))
    journal.write()
    assert again(tmp_path)["vm"].last("a") == {"at": NOW - 50, "cpu": 7.0, "memory": 7.0}


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_crash_in_the_middle_of_writing_costs_that_frame_only(tmp_path: Path, cut: int) -> None:
    held = stores()
    journal = Journal(tmp_path, held)
    fill(held, NOW - 100)
    journal.write()
    fill(held, NOW - 50)
    journal.write()
    (file,) = tmp_path.glob("*.samples")
    os.truncate(file, file.stat().st_size - cut)
    found = again(tmp_path)
    assert len(found["vm"].since("a", 0)) == 10
    # The run after it writes on, and what it writes is found.
    second = Journal(tmp_path, found)
    second.read()
    fill(found, NOW - 20)
    second.write()
    assert len(again(tmp_path)["vm"].since("a", 0)) == 20


def test_any_byte_may_be_wrong_and_nothing_breaks(tmp_path: Path) -> None:
    held = stores()
    fill(held, NOW - 100)
    Journal(tmp_path, held).write()
    (file,) = tmp_path.glob("*.samples")
    right = file.read_bytes()
    good = again(tmp_path)["vm"].since("a", 0)
    for place in range(len(right)):
        spoilt = bytearray(right)
        spoilt[place] ^= 0x41
        file.write_bytes(spoilt)
        assert again(tmp_path)["vm"].since("a", 0) in ([], good)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"dosvm-samples-1\n", b"\0" * 5000, b"dosvm-samples-1\n" + b"\xff" * 100]
)
def test_files_of_nonsense_are_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{NOW:.3f}.samples").write_bytes(content)
    (tmp_path / "nonsense.samples").write_bytes(content)
    held = again(tmp_path)
    assert held["vm"].newest() == {}


def test_a_full_disk_loses_nothing_that_is_written_and_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = stores()
    journal = Journal(tmp_path, held)
    fill(held, NOW - 100)
    journal.write()
    fill(held, NOW - 50)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        journal.write()
    monkeypatch.setattr(os, "write", write)
    assert len(again(tmp_path)["vm"].since("a", 0)) == 10
    journal.write()
    assert len(again(tmp_path)["vm"].since("a", 0)) == 20


def test_old_files_go_and_old_samples_are_not_read(tmp_path: Path) -> None:
    old = stores()
    fill(old, NOW - KEPT - 500)
    Journal(tmp_path, old).write()
    (file,) = tmp_path.glob("*.samples")
    file.rename(tmp_path / f"{NOW - KEPT - 700:.3f}.samples")
    assert again(tmp_path)["vm"].since("a", 0) == []
    held = stores()
    fill(held, NOW - 10)
    Journal(tmp_path, held).write()
    assert len(list(tmp_path.glob("*.samples"))) == 1
