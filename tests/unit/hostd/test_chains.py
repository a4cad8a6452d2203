"""Long chains of images, with the real qemu-img: what snapshots may be stacked up to, it can be asked about."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from core.errors import EngineError
from core.services.snapshots import MAX_DEPTH
from hostd import qemu_img, volume_images
from hostd.volume_images import Layer

TIB = 1024**4


def chain(place: Path, count: int, capacity: int) -> Layer:
    """Snapshots of snapshots."""
    layer: Layer | None = None
    for number in range(count):
        path = place / str(number)
        layer = Layer(str(path), "qcow2", "", layer)
        volume_images.create(path, layer, capacity, {})
    assert layer is not None
    return layer


def test_the_longest_chain_of_the_largest_disks_is_measured_grown_and_merged(tmp_path: Path) -> None:
    top = chain(tmp_path, MAX_DEPTH, 8 * TIB)
    assert volume_images.room_for_merge(top) > 0
    volume_images.grow(top, 9 * TIB)
    assert volume_images.look(top).capacity == 9 * TIB
    volume_images.merge(top, tmp_path / "whole", "", lambda _percent: None, lambda: True)
    assert volume_images.look(Layer(str(tmp_path / "whole"), "qcow2")).capacity == 9 * TIB


def test_what_is_wrong_with_a_chain_is_said_and_not_the_chain(tmp_path: Path) -> None:
    top = chain(tmp_path, 12, 1024**2)
    (tmp_path / "3").unlink()
    with pytest.raises(EngineError) as told:
        volume_images.room_for_merge(top)
    assert "No such file" in told.value.text()
    assert len(told.value.text()) < 200 + 2 * len(str(tmp_path))
    assert "json:" not in told.value.text()


def test_what_took_too_long_says_so() -> None:
    assert "more time of the processor" in qemu_img.failure(-signal.SIGKILL, b"").text()


def test_a_chain_of_encrypted_images_may_take_as_long_as_its_keys_do() -> None:
    locked = Layer("b", "qcow2", "secret", Layer("a", "qcow2", "secret"))
    assert volume_images.seconds_for(locked) > volume_images.seconds_for(Layer("a", "qcow2"))
