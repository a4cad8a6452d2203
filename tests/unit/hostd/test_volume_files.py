"""The files of volumes when two hosts are at one of them, because the first one was taken for dead."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

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


def new_owner(place: Path) -> None:
    """Let another file have the volume's name."""
    (place / "disk").rename(place / "elsewhere")
    (place / "disk").write_text("somebody's new one")


def precious(place: Path) -> list[str]:
    """What is in all files of a directory."""
    return sorted(path.read_text() for path in place.rglob("*") if path.is_file())


@pytest.mark.parametrize("number", [5, 17, 116], ids=["EIO", "EEXIST", "ESTALE"])
def test_somebodys_file_that_cannot_be_put_back_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "disk").write_text("old")
    link = os.link

    def refuses(source: object, target: object, **more: Any) -> None:
        if str(target).endswith("/disk"):
            raise OSError(number, os.strerror(number))
        link(source, target, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", refuses)
    with pytest.raises((EngineError, OSError)):
        volume_files.remove(tmp_path, "disk", UUID, lambda: new_owner(tmp_path))
    volume_files.forget(tmp_path, UUID)  # as the sweep does
    assert precious(tmp_path) == ["old", "somebody's new one"]
    assert not (tmp_path / f".{UUID}.part").exists()


class Died(BaseException):
    """hostd, killed in the middle."""


def dies_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let hostd die at a point of a removal."""

    def point(passed: str) -> None:
        if passed == name:
            monkeypatch.undo()
            raise Died

    monkeypatch.setattr("hostd.removal.point", point)


@pytest.mark.parametrize("name", ["before_removal", "after_removal"])
def test_a_removal_that_died_is_ended_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "disk").write_text("old")
    dies_at(monkeypatch, name)
    with pytest.raises(Died):
        volume_files.remove(tmp_path, "disk", UUID)
    volume_files.remove(tmp_path, "disk", UUID)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["before_removal", "after_removal"])
def test_a_removal_that_died_after_the_name_was_given_anew_takes_nothing_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "disk").write_text("old")
    dies_at(monkeypatch, name)
    with pytest.raises(Died):
        volume_files.remove(tmp_path, "disk", UUID, lambda: new_owner(tmp_path))
    volume_files.forget(tmp_path, UUID)
    assert precious(tmp_path) == ["old", "somebody's new one"]


def test_a_file_that_the_storage_does_not_let_go_is_not_taken_for_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").write_text("old")
    unlink = Path.unlink

    def refuses(path: Path, missing_ok: bool = False) -> None:
        if path.name == ".removed":
            raise OSError(5, "Input/output error")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuses)
    with pytest.raises(OSError, match="Input/output"):
        volume_files.remove(tmp_path, "disk", UUID)
    monkeypatch.undo()
    volume_files.remove(tmp_path, "disk", UUID)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_moved_away_is_not_taken_for_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").write_text("old")

    def stale(*_a: object, **_k: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "rename", stale)
    with pytest.raises(OSError, match="Stale"):
        volume_files.remove(tmp_path, "disk", UUID)


@pytest.mark.parametrize("taken", [False, True])
def test_without_links_what_is_meant_goes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    (tmp_path / "disk").write_text("old")

    def no_link(*_a: object, **_k: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_link)
    if taken:
        with pytest.raises(EngineError, match="another file"):
            volume_files.remove(tmp_path, "disk", UUID, lambda: new_owner(tmp_path))
        assert (tmp_path / "disk").read_text() == "somebody's new one"
    else:
        volume_files.remove(tmp_path, "disk", UUID)
        assert list(tmp_path.iterdir()) == []


def test_a_large_file_is_written_to_the_disk_with_signs_of_life(tmp_path: Path) -> None:
    signs: list[float] = []

    def large(path: Path) -> None:
        with path.open("r+b") as file:
            for at in (0, 40 << 20):
                file.seek(at)
                file.write(b"x" * (1 << 20))

    volume_files.make(tmp_path, "disk", UUID, large, {}, alive=lambda: signs.append(time.monotonic()))
    assert len(signs) > 5
    assert (tmp_path / "disk").stat().st_size == 41 << 20


def test_what_is_not_wanted_any_more_is_not_written_to_the_disk(tmp_path: Path) -> None:
    class Unwanted(Exception):
        """It was cancelled."""

    def cancelled() -> None:
        raise Unwanted

    with pytest.raises(Unwanted):
        volume_files.make(tmp_path, "disk", UUID, whole, {}, alive=cancelled)
    assert list(tmp_path.iterdir()) == []
