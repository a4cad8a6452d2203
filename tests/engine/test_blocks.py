"""A block device as a disk, with the real libvirt and QEMU: it runs, and hostd sees that it is taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from core.errors import Refused
from core.libvirt_xml import domain_xml
from core.specs.pool import PoolOrder
from hostd import blocks
from hostd.devices import KERNEL
from tests.engine.hostd import until
from tests.engine.libvirt import PrivateLibvirt
from tests.fakes.loops import loop_device
from tests.fakes.processes import seen
from tests.unit.libvirt_xml.test_domain import UUID, order

pytestmark = pytest.mark.engine


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    """A block device of 8 MiB, plain bytes."""
    with loop_device(tmp_path / "file", 8 << 20) as device:
        yield device


def test_a_guest_has_a_block_device_and_nobody_else_gets_it(
    private_libvirt: PrivateLibvirt, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = order({"memory": "16MiB", "disks": [{"volume": "vg0/lvol0"}]})
    unit = dataclasses.replace(plain.disks[0], path=loop, format="raw", root="/dev", pool=UUID, pool_kind="logical")
    xml = domain_xml(dataclasses.replace(plain, disks=(unit,)), accelerator="tcg")
    pool = PoolOrder(1, UUID, "vg0", "logical", "/dev/vg0", format="lvm2")
    # That it is a logical volume is said in its place: this kernel has no device mapper.
    monkeypatch.setattr(blocks, "is_unit", lambda *_a: True)
    monkeypatch.setattr(KERNEL, "_processes", seen)
    number = KERNEL.number(loop)
    assert number is not None
    unit = blocks.Wanted(pool, "vg0/lvol0", loop, number, writes=True)
    blocks.check(unit)
    blocks.refuse_open([unit])
    connection = libvirt.open(private_libvirt.url)
    try:
        domain = connection.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED)
        try:
            assert domain.blockInfo(loop)[0] == 8 << 20
            for writes in (True, False):
                with pytest.raises(Refused, match="used already on this host: by qemu-system"):
                    blocks.refuse_open([unit._replace(writes=writes)])
            assert not KERNEL.claimed(loop), "QEMU's use is no mount"
        finally:
            domain.destroy()
        until(lambda: not KERNEL.openers({number}), what="QEMU let go of it")
        blocks.check(unit)
        blocks.refuse_open([unit])
    finally:
        connection.close()
