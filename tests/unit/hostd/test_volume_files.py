"""The files of volumes when two hosts are at one of them, because the first one was taken for dead."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.errors import EngineError
from hostd import volume_files

UUID = "0b6ff1f0-6a54-4fd5-9c39-4ee9a3f3a111"


def whole(path: Path) -> None:
    """What fills a file."""
    path.write_text("whole")


def begin_anew(place: Path) -> None:
    """Another host takes the task up, and is in the middle of it."""
    volume_files._withdraw(place, "disk", UUID)
    part = place / f".{UUID}.part"
    shutil.rmtree(part)
    part.mkdir()
    (part / "disk").write_text("half of theirs")


def test_a_file_that_another_host_began_anew_at_the_last_moment_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_still = volume_files._is_still

    def and_then(descriptor: int, path: Path) -> bool:
        found = is_still(descriptor, path)
        monkeypatch.setattr(volume_files, "_is_still", is_still)
        begin_anew(tmp_path)
        return found

    monkeypatch.setattr(volume_files, "_is_still", and_then)
    with pytest.raises(EngineError, match="replaced"):
        volume_files.make(tmp_path, "disk", UUID, whole, {})
    assert not (tmp_path / "disk").exists(), "it would be half of theirs"
    assert (tmp_path / f".{UUID}.part" / "disk").read_text() == "half of theirs"


def test_a_file_that_was_given_its_name_right_before_another_host_begins_anew_is_taken_for_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / f".{UUID}.part"
    part.mkdir()
    whole(part / "disk")
    withdraw = volume_files._withdraw

    def late(directory: Path, name: str, uuid: str) -> None:
        (tmp_path / "disk").hardlink_to(part / "disk")
        withdraw(directory, name, uuid)

    monkeypatch.setattr(volume_files, "_withdraw", late)

    def never(_path: Path) -> None:
        raise AssertionError("it is there")

    volume_files.make(tmp_path, "disk", UUID, never, {})
    assert (tmp_path / "disk").read_text() == "whole"


def test_what_is_discarded_gets_no_name_afterwards(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="replaced"):
        volume_files.make(
            tmp_path, "disk", UUID, whole, {}, lambda: volume_files.discard(tmp_path, "disk", UUID, lambda: None)
        )
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_storage_held_up_spares_the_file_that_has_the_name_by_then(tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("old")

    def sure() -> None:
        (tmp_path / "disk").unlink()
        (tmp_path / "disk").write_text("somebody's new one")

    with pytest.raises(EngineError, match="another file"):
        volume_files.remove(tmp_path, "disk", UUID, sure)
    assert (tmp_path / "disk").read_text() == "somebody's new one"


def test_a_file_goes_also_where_there_is_no_room_for_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").write_text("old")

    def full(*_a: object, **_k: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    volume_files.remove(tmp_path, "disk", UUID)
    assert list(tmp_path.iterdir()) == []
