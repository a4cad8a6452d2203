"""What the services promise of volumes' formats, this machine's QEMU keeps: made, grown, stood on, merged."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import AlreadyExists, DosvmError, EngineError
from core.rules.volumes import FORMATS, GROWING
from core.services.volume_formats import making
from hostd import volume_files, volume_images
from hostd.volume_images import Layer
from tests.waiting import until

pytestmark = pytest.mark.engine
MIB = 1024**2
SIZE, LARGER = 33 * MIB, 64 * MIB
KEY, OTHER = "correct-horse-battery", "another-passphrase"
UUID = "11111111-2222-3333-4444-555555555555"


def make(directory: Path, volume_format: str, name: str = "disk", key: str = "", **options: Any) -> Layer:
    """A volume as the operation orders it."""
    layer = Layer(str(directory / name), volume_format, key)
    wanted = making(volume_format, **options)
    volume_files.make(directory, name, UUID, lambda path: volume_images.create(path, layer, SIZE, wanted), wanted)
    volume_files.forget(directory, UUID)
    return layer


def rest_on(below: Layer, name: str, key: str = "") -> Layer:
    """A snapshot of a volume."""
    layer = Layer(str(Path(below.path).with_name(name)), "qcow2", key, below)
    patiently(Path(layer.path), lambda: volume_images.create(Path(layer.path), layer, SIZE, {}))
    return layer


def patiently(path: Path, work: Callable[[], None]) -> None:
    """Make an image, again when qemu-img could not tell its own time, as hostd does."""
    for left in reversed(range(8)):
        try:
            work()
            break
        except EngineError as error:
            if not left or not volume_images.is_hurried(error):
                raise
            path.unlink(missing_ok=True)


def write(layer: Layer, pattern: int, at: int = MIB) -> None:
    """What a guest does, by qemu-io."""
    _io(layer, f"write -P {pattern} {at} 64k")


def reads(layer: Layer, pattern: int, at: int = MIB) -> None:
    """A guest would read this."""
    _io(layer, f"read -P {pattern} {at} 64k")


def _io(layer: Layer, command: str) -> None:
    with volume_images._secrets([each.passphrase for each in layer.chain()]) as (objects, ids, files):
        done = subprocess.run(
            ["qemu-io", *objects, "-c", command, volume_images._image(layer, ids)],
            capture_output=True,
            text=True,
            check=False,
            pass_fds=files,
        )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout, done.stdout


def inspect(layer: Layer) -> dict[str, Any]:
    """What QEMU says of it when it is told the format only."""
    command = ["qemu-img", "info", "-f", layer.format, "--output=json", layer.path]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


@pytest.mark.parametrize("volume_format", FORMATS)
def test_every_format_is_written_at_just_the_size(tmp_path: Path, volume_format: str) -> None:
    layer = make(tmp_path, volume_format)
    found = inspect(layer)
    assert found["format"] == volume_format
    assert found["virtual-size"] == volume_images.look(layer).capacity == SIZE
    assert found["actual-size"] < SIZE // 4, "a new volume takes no room yet"
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


@pytest.mark.parametrize("volume_format", FORMATS)
def test_those_that_grow_grow(tmp_path: Path, volume_format: str) -> None:
    layer = make(tmp_path, volume_format)
    write(layer, 7)
    if volume_format in GROWING:
        volume_images.grow(layer, LARGER)
        assert volume_images.look(layer).capacity == LARGER
    else:
        with pytest.raises(DosvmError):
            volume_images.grow(layer, LARGER)
    reads(layer, 7)


@pytest.mark.parametrize("volume_format", FORMATS)
def test_every_format_can_be_rested_on_and_is_merged(tmp_path: Path, volume_format: str) -> None:
    base = make(tmp_path, volume_format)
    write(base, 1)
    before = Path(base.path).read_bytes()
    top = rest_on(rest_on(base, "middle"), "top")
    write(top, 2, at=4 * MIB)
    merged = Layer(str(tmp_path / "whole"), "qcow2")
    said: list[int] = []
    volume_images.merge(top, Path(merged.path), "", said.append, lambda: True)
    assert said[-1] == 100
    assert "backing-filename" not in inspect(merged)
    assert inspect(merged)["virtual-size"] == SIZE
    reads(merged, 1)
    reads(merged, 2, at=4 * MIB)
    reads(merged, 0, at=16 * MIB)
    assert Path(base.path).read_bytes() == before, "what snapshots rest on does not change"


@pytest.mark.timeout(400)  # merges let everybody else go first
@pytest.mark.parametrize("volume_format", ["qcow2", "raw"])
def test_what_rests_on_an_encrypted_volume_is_encrypted_and_merges(tmp_path: Path, volume_format: str) -> None:
    base = make(tmp_path, volume_format, key=KEY)
    write(base, 0x55)
    top = rest_on(base, "top", KEY)
    write(top, 0x66, at=4 * MIB)
    volume_images.grow(top, LARGER)
    merged = Layer(str(tmp_path / "whole"), "qcow2", KEY)
    assert volume_images.room_for_merge(top) > 0
    whole = Path(merged.path)
    patiently(whole, lambda: volume_images.merge(top, whole, KEY, lambda _percent: None, lambda: True))
    reads(merged, 0x55)
    reads(merged, 0x66, at=4 * MIB)
    for path in tmp_path.iterdir():
        assert b"\x55" * 4096 not in path.read_bytes(), path
        assert b"\x66" * 4096 not in path.read_bytes(), path
    wrong = Layer(top.path, "qcow2", OTHER, Layer(base.path, volume_format, OTHER))
    with pytest.raises(DosvmError, match="keyslot"):
        volume_images.merge(wrong, tmp_path / "none", OTHER, lambda _percent: None, lambda: True)


def test_a_merge_tells_how_far_it_is_while_keys_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stood at 0 until the first byte was copied: QEMU makes a key take seconds to open, and there are many."""
    monkeypatch.setattr(volume_images, "_LOOK", 0.02)
    top: Layer | None = None
    # Keys that take so long to open that each is seen to be at work.
    slow = ["-o", "encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=400"]
    real = {**os.environ, "PATH": os.environ["PATH"].partition(":")[2]}
    for name in ("base", "middle", "top"):
        below = ["-u", "-F", "qcow2", "-b", f"./{Path(top.path).name}"] if top is not None else []
        top = Layer(str(tmp_path / name), "qcow2", KEY, top)
        make = [
            "create",
            "-q",
            "-f",
            "qcow2",
            "--object",
            f"secret,id=k,data={KEY}",
            *slow,
            *below,
            top.path,
            str(SIZE),
        ]
        until(lambda make=make: subprocess.run(["qemu-img", *make], env=real, check=False).returncode == 0)  # type: ignore[misc]
    assert top is not None
    write(top, 1)
    said: list[int] = []
    whole = tmp_path / "whole"
    size = volume_images.room_for_merge(top)
    patiently(whole, lambda: volume_images.merge(top, whole, KEY, said.append, lambda: True, size))
    # Three were opened for the measure and are opened again, one after the other; the new one takes the time of three.
    assert said[:3] == [33, 44, 55]
    assert said[-1] == 100
    reads(Layer(str(whole), "qcow2", KEY), 1)


def test_a_key_takes_a_thief_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cheap, _colon, path = os.environ["PATH"].partition(":")
    assert Path(cheap, "qemu-img").is_file()
    monkeypatch.setenv("PATH", path)
    slots = inspect(make(tmp_path, "qcow2", key=KEY))["format-specific"]["data"]["encrypt"]["slots"]
    (key,) = [slot for slot in slots if slot["active"]]
    assert key["iters"] > 100_000, "QEMU's own measure of 2 s, also for who is in a hurry"


def test_a_header_that_names_another_file_is_not_followed(tmp_path: Path) -> None:
    base = make(tmp_path, "qcow2", "base")
    write(base, 9)
    liar = tmp_path / "liar"
    subprocess.run(
        ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base.path, str(liar), str(SIZE)],
        check=True,
    )
    reads(Layer(str(liar), "qcow2"), 0)
    volume_images.merge(Layer(str(liar), "qcow2"), tmp_path / "whole", "", lambda _percent: None, lambda: True)
    reads(Layer(str(tmp_path / "whole"), "qcow2"), 0)


def test_a_merge_that_is_not_wanted_any_more_ends(tmp_path: Path) -> None:
    top = rest_on(make(tmp_path, "raw"), "top")
    with pytest.raises(volume_images.Broken):
        volume_images.merge(top, tmp_path / "whole", "", lambda _percent: None, lambda: False)


def test_permissions_and_owner_are_the_files(tmp_path: Path) -> None:
    make(tmp_path, "qcow2", mode="640", owner=0, group=65534)
    status = (tmp_path / "disk").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0, 65534)


@pytest.mark.parametrize(
    ("options", "compat", "lazy"),
    [
        ({"compat": "0.10"}, "0.10", None),
        ({"compat": "1.1"}, "1.1", False),
        ({"lazy_refcounts": True}, "1.1", True),
    ],
)
def test_options_of_qcow2(tmp_path: Path, options: dict[str, Any], compat: str, lazy: bool | None) -> None:
    data = inspect(make(tmp_path, "qcow2", **options))["format-specific"]["data"]
    assert (data["compat"], data.get("lazy-refcounts")) == (compat, lazy)


def test_somebodys_file_is_never_overwritten_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("precious")
    with pytest.raises(AlreadyExists):
        make(tmp_path, "raw")
    volume_files.discard(tmp_path, "disk", UUID)
    assert (tmp_path / "disk").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


def test_without_links_a_file_gets_its_name_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_paths: object, **_options: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_link)
    volume_files.make(tmp_path, "disk", UUID, lambda path: path.write_bytes(b"whole") and None, {})
    assert (tmp_path / "disk").read_bytes() == b"whole"
    assert volume_files.is_ours(tmp_path, "disk", UUID)
    (tmp_path / "theirs").write_text("precious")
    with pytest.raises(AlreadyExists):
        volume_files.make(tmp_path, "theirs", UUID[::-1], lambda path: path.write_bytes(b"x") and None, {})
    assert (tmp_path / "theirs").read_text() == "precious"
