"""Image files come from strangers: what is not what it claims, or refers elsewhere, is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from core.errors import InvalidInput
from hostd.qemu_img import create_overlay, inspect, resolve

MIB = 1024**2


def img(*arguments: str) -> None:
    subprocess.run(["qemu-img", *arguments], check=True, capture_output=True)


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    """An honest qcow2 image of 16 MiB."""
    path = tmp_path / "honest.qcow2"
    img("create", "-f", "qcow2", str(path), "16M")
    return path


def test_an_honest_image_tells_its_sizes(qcow2: Path) -> None:
    info = inspect(qcow2, "qcow2")
    assert info.virtual_size == 16 * MIB
    assert info.size == qcow2.stat().st_size


def test_an_honest_raw_image(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    with path.open("wb") as file:
        file.truncate(3 * MIB)
    assert inspect(path, "raw").virtual_size == 3 * MIB


def test_a_backing_file_is_refused(tmp_path: Path, qcow2: Path) -> None:
    path = tmp_path / "difference.qcow2"
    img("create", "-f", "qcow2", "-F", "qcow2", "-b", str(qcow2), str(path))
    with pytest.raises(InvalidInput, match="difference to another image"):
        inspect(path, "qcow2")


def test_a_backing_file_that_is_a_secret_of_the_host_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "steal.qcow2"
    img("create", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", str(path), "1M")
    with pytest.raises(InvalidInput):
        inspect(path, "qcow2")


def test_a_data_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.qcow2"
    img("create", "-f", "qcow2", "-o", f"data_file={tmp_path}/data,data_file_raw=on", str(path), "1M")
    with pytest.raises(InvalidInput, match="another file"):
        inspect(path, "qcow2")


def test_a_qcow2_that_claims_to_be_raw_is_refused(qcow2: Path) -> None:
    with pytest.raises(InvalidInput, match="not a raw image"):
        inspect(qcow2, "raw")


def test_a_raw_file_that_claims_to_be_qcow2_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\0" * MIB)
    with pytest.raises(InvalidInput, match="not a qcow2"):
        inspect(path, "qcow2")


def test_qcow_and_qcow2_are_not_taken_for_each_other(tmp_path: Path, qcow2: Path) -> None:
    path = tmp_path / "old.qcow"
    img("create", "-f", "qcow", str(path), "16M")
    assert inspect(path, "qcow").virtual_size == 16 * MIB
    with pytest.raises(InvalidInput, match="not a qcow2 image"):
        inspect(path, "qcow2")
    with pytest.raises(InvalidInput, match="not a qcow image"):
        inspect(qcow2, "qcow")
    with pytest.raises(InvalidInput, match="not a raw image"):
        inspect(path, "raw")


def test_the_backing_file_of_an_old_image_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "steal.qcow"
    img("create", "-u", "-f", "qcow", "-F", "raw", "-b", "/etc/shadow", str(path), "1M")
    with pytest.raises(InvalidInput, match="difference to another image"):
        inspect(path, "qcow")


def test_an_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    img("create", "-f", "qcow2", "-o", "cluster_size=2M", str(path), "100T")
    with pytest.raises(InvalidInput, match="claims a disk"):
        inspect(path, "qcow2")


def _encrypt(path: Path) -> None:
    # qemu-img measures the processor first and gives up when it was too busy to be measured.
    for attempt in range(20):
        try:
            img(
                "create", "--object", "secret,id=s,data=x", "-f", "qcow2",
                "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", str(path), "1M",
            )  # fmt: skip
            return
        except subprocess.CalledProcessError:
            if attempt == 19:
                raise


def test_an_empty_file_and_an_encrypted_one_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(InvalidInput, match="empty"):
        inspect(empty, "raw")
    locked = tmp_path / "locked"
    _encrypt(locked)
    with pytest.raises(InvalidInput, match="encrypted"):
        inspect(locked, "qcow2")


def test_names_are_only_names(tmp_path: Path) -> None:
    for name in ("nbd:localhost:10809", "json:{}", "a,driver=x", "'; DROP", "名字"):
        path = tmp_path / name
        path.write_bytes(b"\0" * 512)
        assert inspect(path, "raw").virtual_size == 512


def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "group"
    inside.mkdir()
    (inside / "link").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="leads out"):
        resolve(inside, "link")
    with pytest.raises(InvalidInput, match="leads out"):
        resolve(inside, "../group/../x")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(InvalidInput, match="plain file"):
        resolve(tmp_path, "directory")
    with pytest.raises(InvalidInput, match="no file"):
        resolve(tmp_path, "nothing")


def test_an_overlay_leaves_its_base_alone(tmp_path: Path, qcow2: Path) -> None:
    before = qcow2.read_bytes()
    overlay = tmp_path / "overlay"
    create_overlay(overlay, qcow2, "qcow2")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 4096", str(overlay)], check=True, capture_output=True)
    assert qcow2.read_bytes() == before
