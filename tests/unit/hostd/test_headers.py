"""The head of an image is read strictly: what it cannot be is refused with the reason, before QEMU sees it."""

from __future__ import annotations

import contextlib
import random
import struct
import subprocess
from pathlib import Path

import pytest

from core import image_files, qcow
from core.errors import InvalidInput

MIB = 1024**2


def img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def read(path: Path, claimed: str) -> int:
    with path.open("rb") as file:
        return image_files.read(file.fileno(), path.name, claimed)


def change(path: Path, at: int, form: str, value: int) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack(f">{form}", value))
    return path


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    """An honest qcow2 image of 16 MiB."""
    path = tmp_path / "honest.qcow2"
    img("create", "-f", "qcow2", path, "16M")
    return path


@pytest.mark.parametrize(
    "options",
    [
        "compat=0.10",
        "compat=1.1,lazy_refcounts=on",
        "cluster_size=512",
        "cluster_size=2M",
        "compression_type=zstd",
        "extended_l2=on,cluster_size=128k",
        "preallocation=metadata",
        "refcount_bits=1",
    ],
)
def test_whatever_qemu_makes_is_understood(tmp_path: Path, options: str) -> None:
    path = tmp_path / "x"
    img("create", "-f", "qcow2", "-o", options, path, "64M")
    assert read(path, "qcow2") == 64 * MIB


def test_internal_snapshots_are_no_harm(qcow2: Path) -> None:
    img("snapshot", "-c", "before", qcow2)
    assert read(qcow2, "qcow2") == 16 * MIB


@pytest.mark.parametrize(
    ("at", "form", "value", "said"),
    [
        (20, "I", 8, "damaged"),  # clusters of 256 bytes
        (20, "I", 31, "damaged"),
        (24, "Q", 0, "claims a disk of 0 bytes"),
        (24, "Q", 2**63, "claims a disk"),
        (24, "Q", 1024**4, "damaged"),  # more than its tables can hold
        (32, "I", 1, "encrypted"),
        (36, "I", 2**31, "damaged"),  # a table of 16 GiB
        (40, "Q", 2**62, "damaged"),  # that lies behind the end
        (40, "Q", 0x30001, "damaged"),
        (48, "Q", 2**62, "damaged"),
        (60, "I", 2**20, "damaged"),
        (72, "Q", 2, "corrupt"),
        (72, "Q", 4, "another file"),
        (72, "Q", 2**40, "not known here"),
        (100, "I", 4, "damaged"),
        (104, "I", 0, ""),
    ],
)
def test_a_header_that_lies_is_refused(qcow2: Path, at: int, form: str, value: int, said: str) -> None:
    change(qcow2, at, form, value)
    if said:
        with pytest.raises(InvalidInput, match=said):
            read(qcow2, "qcow2")
    else:
        assert read(qcow2, "qcow2") == 16 * MIB


def test_what_is_encrypted_in_the_old_way_is_said_to_be(qcow2: Path) -> None:
    change(qcow2, 32, "I", 1)
    with qcow2.open("rb") as file, pytest.raises(InvalidInput, match="not by LUKS"):
        image_files.read(file.fileno(), "x", "qcow2", encrypted=True)


def test_a_name_of_a_data_file_is_refused_also_without_the_feature_that_goes_with_it(qcow2: Path) -> None:
    change(qcow2, 112, "I", 0x44415441)
    with pytest.raises(InvalidInput, match="another file"):
        read(qcow2, "qcow2")


def test_what_a_backing_file_is_called_is_shown_and_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "x"
    img("create", "-u", "-f", "qcow2", "-F", "raw", "-b", "../../etc/\x1b[2Jshadow", path, "1M")
    with pytest.raises(InvalidInput) as refused:
        read(path, "qcow2")
    assert r"../../etc/\x1b[2Jshadow" in refused.value.text()


@pytest.mark.parametrize("kind", ["vmdk", "vdi", "vpc", "vhdx", "qed", "qcow", "qcow2", "parallels"])
def test_no_other_format_passes_for_raw(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    img("create", "-f", kind, path, "16M")
    with pytest.raises(InvalidInput, match="not a raw image but") as refused:
        read(path, "raw")
    assert "qemu-img convert" in refused.value.text()


def test_a_fixed_vhd_is_known_by_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    img("create", "-f", "vpc", "-o", "subformat=fixed", path, "16M")
    with pytest.raises(InvalidInput, match="VHD"):
        read(path, "raw")


@pytest.mark.parametrize(
    "text",
    [
        "# Disk DescriptorFile\nversion=1\n",
        "\n\n# disk descriptorfile\n",
        "# x\n\n  # y\nversion=1\nCID=1\n",
        "version = 2 \r\n",
    ],
)
def test_a_text_that_names_the_files_of_a_disk_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x"
    path.write_text(text + 'RW 32768 FLAT "/etc/shadow" 0\n' * 100)
    with pytest.raises(InvalidInput, match="VMDK"):
        read(path, "raw")


def test_an_iso_has_the_file_system_of_a_cd(tmp_path: Path) -> None:
    path = tmp_path / "x.iso"
    path.write_bytes(bytes(32768) + b"\x01CD001" + bytes(4096))
    assert read(path, "iso") == path.stat().st_size
    path.write_bytes(bytes(65536))
    with pytest.raises(InvalidInput, match="ISO"):
        read(path, "iso")


@pytest.mark.parametrize("kind", ["qcow2", "qcow"])
def test_no_head_makes_the_reader_stumble(tmp_path: Path, kind: str) -> None:
    """600 heads with some bytes changed, and short ones: each is understood or refused in words."""
    path = tmp_path / "x"
    img("create", "-f", kind, path, "16M")
    honest, dice = path.read_bytes(), random.Random(5)
    for _ in range(600):
        head = bytearray(honest[: dice.choice((len(honest), len(honest), dice.randrange(200)))])
        for _ in range(dice.randrange(1, 6)):
            if len(head) > 8:
                head[dice.randrange(8, min(len(head), 140))] = dice.choice(
                    (0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256))
                )
        path.write_bytes(head)
        with contextlib.suppress(InvalidInput):
            assert 0 < read(path, kind) <= qcow.MOST
