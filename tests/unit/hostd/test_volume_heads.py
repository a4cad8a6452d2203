"""What a volume's file must be before a VM gets it, on files that QEMU itself has made."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from core.errors import Refused
from hostd import image_headers, removal, volume_files
from hostd.volume_heads import Wanted, look
from hostd.volume_images import Layer, create

MIB = 1024**2
UUID = "0b6ff1f0-6a54-4fd5-9c39-4ee9a3f3a111"


def img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def wanted(form: str = "qcow2", **more: object) -> Wanted:
    return Wanted(**{"uuid": UUID, "name": "local/disk", "format": form, "capacity": 16 * MIB, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["qcow2", "raw", "qcow", "qed", "vmdk", "vpc"])
def test_what_dosvm_makes_is_what_it_wants(tmp_path: Path, form: str) -> None:
    path = tmp_path / "disk"
    path.touch()
    create(path, Layer(str(path), form), 16 * MIB, {})
    look(path, wanted(form))
    if form in ("qcow2", "raw"):
        key = Layer(str(tmp_path / "locked"), form, "open sesame")
        create(tmp_path / "locked", key, 16 * MIB, {})
        look(tmp_path / "locked", wanted(form, encrypted=True))
        with pytest.raises(Refused, match="damaged"):
            look(path, wanted(form, encrypted=True))
    top = tmp_path / "top"
    create(top, Layer(str(top), "qcow2", backing=Layer(str(path), form)), 16 * MIB, {})
    look(top, wanted(backing="disk"))
    with pytest.raises(Refused, match="does not rest on other"):
        look(top, wanted(backing="other"))
    with pytest.raises(Refused, match="only the difference") as replaced:
        look(top, wanted())
    assert "Flatten" not in replaced.value.text(), "that would keep the wrong file"
    if form != "raw":
        path.write_bytes(b"\0" * path.stat().st_size)
        with pytest.raises(Refused, match="local/disk is damaged"):
            look(path, wanted(form))


def test_a_data_file_a_larger_disk_and_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", path, "16M")
    with pytest.raises(Refused, match="keeps its data in another file"):
        look(path, wanted())
    path.unlink()
    img("create", "-f", "qcow2", path, "17M")
    with pytest.raises(Refused, match="holds a disk of 17 MiB; the volume has 16 MiB"):
        look(path, wanted())
    with path.open("wb") as file:
        file.truncate(17 * MIB)
    with pytest.raises(Refused, match="holds a disk of 17 MiB"):
        look(path, wanted("raw"))
    path.write_bytes(b"")
    with pytest.raises(Refused, match="is empty"):
        look(path, wanted("raw"))
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="not a plain file"):
        look(path, wanted("raw"))


def test_a_second_name_is_refused_but_not_those_that_dosvm_gives(tmp_path: Path) -> None:
    path = tmp_path / "disk"

    def fill(fresh: Path) -> None:
        create(fresh, Layer(str(fresh), "raw"), 16 * MIB, {})

    volume_files.make(tmp_path, "disk", UUID, fill, {})
    assert path.stat().st_nlink == 2, "its working directory has it until the database knows it"
    look(path, wanted("raw"))
    os.link(path, tmp_path / f".{UUID}.part" / removal.SEEN)
    look(path, wanted("raw"))
    os.link(path, tmp_path / "hard")
    with pytest.raises(Refused, match="hard links"):
        look(path, wanted("raw"))
    volume_files.forget(tmp_path, UUID)
    with pytest.raises(Refused, match="hard links"):
        look(path, wanted("raw"))
    (tmp_path / "hard").unlink()
    look(path, wanted("raw"))


def test_a_vmdk_says_whether_it_has_a_parent(tmp_path: Path) -> None:
    parent, child = tmp_path / "parent", tmp_path / "child"
    img("create", "-f", "vmdk", parent, "16M")
    img("create", "-f", "vmdk", "-F", "vmdk", "-b", parent, child)
    for path, alone in ((parent, True), (child, False)):
        told = image_headers.tell(path.read_bytes()[: image_headers.HEAD], path.stat().st_size)
        assert (told.format, told.capacity, told.alone) == ("vmdk", 16 * MIB, alone)
    # Where its text is out of reach nobody knows.
    head = bytearray(parent.read_bytes()[: image_headers.HEAD])
    struct.pack_into("<Q", head, 28, 2**40)
    assert not image_headers.tell(bytes(head), 16 * MIB).alone
