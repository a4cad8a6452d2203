"""Domains for what the lab does without DOSVM: to try libvirt itself, and as the peer of benchmarks."""

from __future__ import annotations

import uuid as uuid_module

from tests.lab.lab import SAMPLE


def tiny_domain(name: str = "", *, uuid: str = "", memory_mib: int = 16) -> str:
    """The XML of a guest with nothing to boot from; it waits in its BIOS and costs almost nothing."""
    return _domain(name, uuid, memory_mib, "")


def sample_domain(name: str = "", *, uuid: str = "", memory_mib: int = 128) -> str:
    """The XML of a guest that boots the sample image.

    Raises:
        AssertionError: the image has not been built.
    """
    assert SAMPLE.exists(), f"{SAMPLE} is missing: run `make setup`"
    disk = (
        f"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{SAMPLE}'/>"
        "<target dev='sda' bus='sata'/><readonly/></disk>"
    )
    return _domain(name, uuid, memory_mib, disk)


def _domain(name: str, uuid: str, memory_mib: int, devices: str) -> str:
    uuid = uuid or str(uuid_module.uuid4())
    return f"""\
<domain type='qemu'>
  <name>{name or f"lab-{uuid[:8]}"}</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='cdrom'/></os>
  <features><acpi/></features>
  <devices>
    {devices}
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
  </devices>
</domain>
"""
