"""The files behind a VM's disks right before it starts: what was not looked at is not handed to QEMU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from core.errors import Refused
from core.libvirt_xml import domain_xml
from core.specs.instance import parse_instance
from core.specs.order import DiskOrder, MachineOrder
from hostd.disks import Disks

#: Images are in no pool.
NO_POOLS: Any = SimpleNamespace(ready_all=lambda _uuids: None)


@pytest.fixture(autouse=True)
def _no_acl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostd.disks.let_pass", lambda *_a: [])


def order(root: Path, policy: str) -> MachineOrder:
    """A VM with the image ``cd.iso`` in its drive."""
    drive = {"device": "cdrom", "image": "cd", "startup_policy": policy}
    disk = DiskOrder("image", "u" * 36, "cd", str(root / "cd.iso"), "raw", overlay=False, root=str(root))
    return MachineOrder(
        id=1,
        uuid="00000000-0000-4000-8000-000000000001",
        name="one",
        project="web",
        instance="shop",
        epoch=1,
        power="on",
        state="starting",
        host_id=1,
        enabled=True,
        spec=parse_instance({"disks": [drive]}),
        disks=(disk,),
    )


@pytest.mark.parametrize("linked", [False, True])
def test_a_drive_whose_file_may_be_missing_is_empty_then(tmp_path: Path, linked: bool) -> None:
    """Also when a link leads to where a file may come later: nobody looked at that one."""
    root = tmp_path / "group"
    root.mkdir()
    if linked:
        (root / "cd.iso").symlink_to(tmp_path / "secret")
    ready, overlays = Disks(NO_POOLS, lambda: tmp_path / "overlays", tmp_path).prepare(order(root, "optional"))
    xml = domain_xml(ready, accelerator="tcg", overlays=overlays)
    (drive,) = ElementTree.fromstring(xml).findall("./devices/disk")
    assert (drive.get("device"), drive.find("source")) == ("cdrom", None)
    assert str(root) not in xml


def test_a_drive_whose_file_must_be_there_refuses(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is missing"):
        Disks(NO_POOLS, lambda: tmp_path / "overlays", tmp_path).prepare(order(tmp_path, "mandatory"))
