"""Whatever an instance may say, libvirt's QEMU driver can make a QEMU command line of it.

The schema says that a description is well-formed; only the driver knows whether this QEMU has the device, the bus
has a place for it, and the combination makes sense. Nothing is started here.
"""

from __future__ import annotations

from typing import Any

import libvirt
import pytest

from core.libvirt_xml import domain_xml
from tests.engine.libvirt import PrivateLibvirt
from tests.unit.libvirt_xml.test_domain import RICH, UUID, order

pytestmark = pytest.mark.engine


def disk(**values: Any) -> dict[str, Any]:
    """An instance with one volume as its disk."""
    return {"disks": [{"volume": "local/a", **values}]}


def screen(kind: str, **values: Any) -> dict[str, Any]:
    """An instance with one screen."""
    return {"graphics": [{"type": kind, **values}]}


def custom(devices: str = "", domain: str = "") -> dict[str, Any]:
    """An instance with custom XML."""
    return {
        "devices_xml": f"<devices>{devices}</devices>" if devices else "",
        "tuning_xml": f"<domain>{domain}</domain>" if domain else "",
    }


INSTANCES: dict[str, dict[str, Any]] = {
    "least": {"memory": "16MiB"},
    "i686": {"architecture": "i686", **disk()},
    "i686 q35": {"architecture": "i686", "machine": "q35", **disk()},
    "all processors of a pc": {"vcpus": 255},
    "boots from everything": {"boot": ["network", "fd", "cdrom", "hd"]},
    "q35 boots from everything": {"machine": "q35", "boot": ["network", "fd", "cdrom", "hd"]},
    "boot menu for ever": {"boot_menu": True, "boot_menu_timeout": -1},
    "boot menu": {"boot_menu": True, "boot_menu_timeout": 65535},
    "serial BIOS": {"bios_serial": True, "reboot_timeout": 65535},
    "sixteen disks": {"disks": [{"volume": f"p/{index}"} for index in range(16)]},
    "sixteen scsi disks": {"disks": [{"volume": f"p/{index}", "bus": "scsi"} for index in range(16)]},
    "four usb disks and a tablet": {"disks": [{"volume": f"p/{index}", "bus": "usb"} for index in range(4)]},
    "four ide disks": {"disks": [{"volume": f"p/{index}", "bus": "ide"} for index in range(4)]},
    "six sata disks": {"machine": "q35", "disks": [{"volume": f"p/{index}", "bus": "sata"} for index in range(6)]},
    "chosen names": disk(bus="sata", target="sdz"),
    "chosen names, virtio": disk(target="vdz"),
    "read-only": disk(read_only=True),
    "read-only scsi": disk(bus="scsi", read_only=True),
    "read-only usb": disk(bus="usb", read_only=True, removable=True),
    "copy on read": disk(copy_on_read=True),
    "empty CD drive": {"disks": [{"device": "cdrom"}]},
    "empty CD drive, q35": {"machine": "q35", "disks": [{"device": "cdrom"}]},
    "CD drive, scsi, open": {"disks": [{"device": "cdrom", "image": "x", "bus": "scsi", "tray": "open"}]},
    "CD drive, usb": {"disks": [{"device": "cdrom", "image": "x", "bus": "usb", "startup_policy": "requisite"}]},
    "VNC": screen("vnc", listen="::", password="12345678", password_valid_to="2032-02-29T23:59:59"),
    "VNC, time without password": screen("vnc", password_valid_to="2032-02-29T23:59:59"),
    "SPICE": screen("spice", password="密" * 20),
    "no tablet": {"tablet": False},
    # Without TLS, which libvirt refuses until the host's qemu.conf names certificates.
    "rich": {
        **RICH,
        "graphics": [RICH["graphics"][0], {**RICH["graphics"][1], "tls_port": 0, "channels": [{"name": "main"}]}],
    },
    "the manual's devices": custom(
        '<serial type="pty"><target port="0"/></serial><video><model type="vmvga" vram="10240" heads="1"/>'
        '<address type="pci" domain="0x0000" bus="0x00" slot="0x02" function="0x0"/></video>'
    ),
    "the manual's features": custom(domain='<features><acpi default="on" toggle="yes"/></features>'),
    "a serial port of its own": custom('<serial type="pty"/>'),
    "a keyboard": custom('<input type="keyboard" bus="usb"/>'),
    "sound, watchdog, hub": custom('<sound model="ich6"/><watchdog model="i6300esb" action="reset"/><hub type="usb"/>'),
    "guest agent": custom('<channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>'),
    "qxl": {**custom('<video><model type="qxl" ram="65536" vram="131072" vgamem="16384"/></video>'), **screen("spice")},
    "most video memory": custom('<video><model type="qxl" vram="139999" vram64="139999"/></video>' * 2),
    "the farthest bus": custom('<sound model="ich6"><address type="pci" bus="0x0f" slot="0x01"/></sound>'),
    "iothreads": custom(domain="<iothreads>64</iothreads>"),
    "topology": {"vcpus": 8, **custom(domain="<cpu><topology sockets='1' cores='4' threads='2'/></cpu>")},
    "smbios": custom(domain="<sysinfo type='smbios'><oemStrings><entry>a,b</entry></oemStrings></sysinfo>"),
    "pins": {"vcpus": 2, **custom(domain="<cputune><shares>512</shares><vcpupin vcpu='0' cpuset='0'/></cputune>")},
}
INSTANCES |= {
    f"cache {mode}": disk(cache=mode) for mode in ("none", "writethrough", "writeback", "directsync", "unsafe")
}


@pytest.mark.parametrize("name", list(INSTANCES))
def test_libvirt_can_run_every_instance_there_may_be(private_libvirt: PrivateLibvirt, name: str) -> None:
    xml = domain_xml(order(INSTANCES[name]), accelerator="tcg")
    connection = libvirt.open(private_libvirt.url)
    # The one that the encrypted volume of the rich instance names.
    usage = "<usage type='volume'><volume>x</volume></usage>"
    secret = connection.secretDefineXML(f"<secret ephemeral='yes' private='yes'><uuid>{UUID}</uuid>{usage}</secret>")
    try:
        secret.setValue(b"Correct-horse", 0)
        assert "-uuid" in connection.domainXMLToNative("qemu-argv", xml, 0)
    finally:
        secret.undefine()
        connection.close()
