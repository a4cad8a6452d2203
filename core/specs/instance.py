"""The complete configuration of a VM (manual 11.3): what a person writes, and what the database keeps as JSON.

In what people write, ``disks[].volume`` is ``pool/name`` and ``disks[].image`` a name; the services store
UUIDs in their place. Sizes are bytes (a text with a unit is understood). ``graphics[].password`` is
write-only: stored as a sealed text, never shown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from core.errors import InvalidInput
from core.i18n import N_
from core.rules.disks import disk as disk_rule
from core.rules.sizes import MIB, parse_size
from core.specs.spec import Spec

MAX_DISKS = 16
#: How many disks a bus of the machine takes (QEMU's i440FX and Q35 as libvirt lays them out).
BUS_SLOTS = {"ide": 4, "sata": 6, "scsi": 16, "virtio": 16, "usb": 4}
#: Prefix of the device names on each bus.
BUS_PREFIX = {"ide": "hd", "sata": "sd", "scsi": "sd", "usb": "sd", "virtio": "vd"}
#: The device names of each bus: there is one IDE controller, and it takes four.
_TARGET = {"ide": re.compile("hd[a-d]"), "virtio": re.compile("vd[a-z]")}
_TARGET |= dict.fromkeys(("sata", "scsi", "usb"), re.compile("sd[a-z]"))
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
#: Bytes of a password that QEMU takes: DES keys are 8 bytes, SPICE's tickets 60.
_PASSWORD_BYTES = {"vnc": 8, "spice": 60}
_FIRST_PORT = 5900

_Port = Annotated[int, Meta(ge=0, le=65535)]


class DiskSpec(Spec, frozen=True):
    """One disk or CD drive (manual table 11-2)."""

    device: Literal["disk", "cdrom"] = "disk"
    volume: str = ""
    image: str = ""
    bus: Literal["virtio", "sata", "scsi", "ide", "usb", ""] = ""
    target: str = ""
    read_only: bool = False
    cache: Literal["default", "none", "writethrough", "writeback", "directsync", "unsafe"] = "default"
    copy_on_read: bool = False
    startup_policy: Literal["mandatory", "requisite", "optional"] = "mandatory"
    tray: Literal["closed", "open"] = "closed"
    removable: bool = False


class ChannelSpec(Spec, frozen=True):
    """The security of one SPICE channel (manual table 11-3, rows 11 and 12)."""

    name: Literal["main", "display", "inputs", "cursor", "playback", "record", "smartcard", "usbredir"]
    mode: Literal["any", "insecure", "secure"] = "any"


class GraphicsSpec(Spec, frozen=True):
    """One remote screen (manual table 11-3). ``port`` 0 means chosen by itself.

    ``listen`` is empty for: every address of the host when a password is set, 127.0.0.1 when none is, so that
    no screen is open to the network by accident. An empty ``password`` keeps the one that is set; ``clear_password``
    removes it, and is itself never stored.
    """

    type: Literal["vnc", "spice"]
    port: _Port = 0
    listen: str = ""
    password: Annotated[str, Meta(max_length=4096)] = ""
    clear_password: bool = False
    password_valid_to: str = ""
    keep_connected: bool = False
    sharing: Literal["allow-exclusive", "force-shared", "ignore"] = "allow-exclusive"
    tls_port: _Port = 0
    default_mode: Literal["any", "insecure", "secure"] = "any"
    channels: Annotated[tuple[ChannelSpec, ...], Meta(max_length=8)] = ()
    image_compression: Literal["", "auto_glz", "auto_lz", "quic", "glz", "lz", "off"] = ""
    jpeg: Literal["", "auto", "never", "always"] = ""
    zlib: Literal["", "auto", "never", "always"] = ""
    playback: bool = True
    streaming: Literal["", "filter", "all", "off"] = ""
    file_transfer: bool = True


class InstanceSpec(Spec, frozen=True):
    """All of it: basic (table 11-1), disks (11-2), screens (11-3), binding and custom XML (11-5)."""

    vcpus: Annotated[int, Meta(ge=1, le=255)] = 1
    memory: Annotated[int, Meta(ge=16 * MIB, le=2**46)] = 1024 * MIB
    architecture: Literal["x86_64", "i686"] = "x86_64"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    machine: Literal["pc", "q35"] = "pc"
    boot: Annotated[tuple[Literal["cdrom", "hd", "fd", "network"], ...], Meta(min_length=1, max_length=4)] = (
        "hd",
        "cdrom",
    )
    boot_menu: bool = False
    boot_menu_timeout: Annotated[int, Meta(ge=-1, le=65535)] = 3000
    bios_serial: bool = False
    reboot_timeout: Annotated[int, Meta(ge=-1, le=65535)] = -1
    tablet: bool = True
    disks: Annotated[tuple[DiskSpec, ...], Meta(max_length=MAX_DISKS)] = ()
    graphics: Annotated[tuple[GraphicsSpec, ...], Meta(max_length=2)] = ()
    host: str = ""
    host_group: str = ""
    tuning_xml: str = ""
    devices_xml: str = ""

    def plain(self) -> dict[str, Any]:
        """See :meth:`Spec.plain`; that a password was to be removed is nothing that stays."""
        values = super().plain()
        for screen in values["graphics"]:
            del screen["clear_password"]
        return values

    def bus_of(self, disk: DiskSpec) -> str:
        """The bus of a disk, chosen by the machine type when none was."""
        if disk.bus:
            return disk.bus
        if disk.device == "cdrom":
            return "ide" if self.machine == "pc" else "sata"
        return "virtio"

    def targets(self) -> tuple[str, ...]:
        """The device names of the disks, those that were given first, the others from what is left."""
        taken = {disk.target for disk in self.disks if disk.target}
        names = []
        for disk in self.disks:
            name = disk.target
            if not name:
                prefix = BUS_PREFIX[self.bus_of(disk)]
                name = next(n for n in (prefix + chr(ord("a") + i) for i in range(26)) if n not in taken)
                taken.add(name)
            names.append(name)
        return tuple(names)


def parse_instance(values: Mapping[str, Any]) -> InstanceSpec:
    """Understand and check a configuration as a whole.

    Raises:
        InvalidInput: a value breaks a rule; the field is a path such as ``disks.1.bus``.
    """
    memory = values.get("memory")
    if isinstance(memory, str):
        values = {**values, "memory": _size(memory)}
    spec = InstanceSpec.of(values)
    _check_disks(spec)
    for index, graphics in enumerate(spec.graphics):
        _check_graphics(f"graphics.{index}", graphics)
    _check_ports(spec)
    if len({graphics.type for graphics in spec.graphics}) < len(spec.graphics):
        raise InvalidInput(N_("There is one screen of each type at most."), field="graphics")
    if len(set(spec.boot)) < len(spec.boot):
        raise InvalidInput(N_("Each boot device is named once."), field="boot")
    if spec.host and spec.host_group:
        raise InvalidInput(N_("Bind it to a host or to a host group, not to both."), field="host_group")
    _check_custom(spec)
    return spec


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except InvalidInput as error:
        error.field = error.field or "memory"
        raise


def _check_disks(spec: InstanceSpec) -> None:
    used: dict[str, int] = {}
    sources: set[tuple[str, str]] = set()
    for index, disk in enumerate(spec.disks):
        where = f"disks.{index}"
        for key, wrong in disk_rule({"device": disk.device, "volume": disk.volume, "image": disk.image}).items():
            wrong.field = f"{where}.{key}"
            raise wrong
        source = ("volume", disk.volume) if disk.volume else ("image", disk.image)
        if source[1] and disk.device == "disk":
            if source in sources:
                raise InvalidInput(N_("{name} is used twice."), field=where, name=source[1])
            sources.add(source)
        _check_bus(spec, disk, where)
        bus = spec.bus_of(disk)
        used[bus] = used.get(bus, 0) + 1
        if used[bus] > BUS_SLOTS[bus]:
            raise InvalidInput(
                N_("The bus {bus} takes {limit} disks."), field=f"{where}.bus", bus=bus, limit=BUS_SLOTS[bus]
            )
    names = [disk.target for disk in spec.disks if disk.target]
    if len(set(names)) < len(names):
        raise InvalidInput(N_("Each device name is given once."), field="disks")


def _check_bus(spec: InstanceSpec, disk: DiskSpec, where: str) -> None:
    bus = spec.bus_of(disk)
    if disk.device == "cdrom" and bus == "virtio":
        raise InvalidInput(N_("A CD drive is not on the virtio bus; take sata, ide or scsi."), field=f"{where}.bus")
    if bus == "ide" and spec.machine == "q35":
        raise InvalidInput(N_("The machine type q35 has no IDE bus; take sata."), field=f"{where}.bus")
    if disk.device == "disk" and disk.read_only and bus in ("ide", "sata"):
        raise InvalidInput(N_("Disks on the bus {bus} cannot be read-only."), field=f"{where}.read_only", bus=bus)
    if disk.copy_on_read and (disk.read_only or disk.device == "cdrom"):
        raise InvalidInput(N_("Copying on read needs a writable disk."), field=f"{where}.copy_on_read")
    if disk.device != "cdrom":
        # libvirt takes neither for a disk (manual table 11-2, rows 7 and 12)
        if disk.tray == "open":
            raise InvalidInput(N_("Only a CD drive has a tray."), field=f"{where}.tray")
        if disk.startup_policy != "mandatory":
            raise InvalidInput(N_("Only a CD drive may start without its file."), field=f"{where}.startup_policy")
    if disk.removable and bus != "usb":
        raise InvalidInput(N_("Only disks on the usb bus are removable."), field=f"{where}.removable")
    if disk.target and not _TARGET[bus].fullmatch(disk.target):
        raise InvalidInput(
            N_("On the bus {bus} a device name is like {example}."),
            field=f"{where}.target",
            bus=bus,
            example=BUS_PREFIX[bus] + "a",
        )


def _check_graphics(where: str, graphics: GraphicsSpec) -> None:
    for name, port in (("port", graphics.port), ("tls_port", graphics.tls_port)):
        if port and port < _FIRST_PORT:
            raise InvalidInput(N_("Screens use ports from {limit}."), field=f"{where}.{name}", limit=_FIRST_PORT)
    if graphics.listen:
        try:
            # A zone (fe80::1%eth0) may be any text; QEMU listens on addresses only.
            if "%" in graphics.listen:
                raise ValueError
            ipaddress.ip_address(graphics.listen)
        except ValueError:
            raise InvalidInput(N_("An IP address is needed, such as 0.0.0.0."), field=f"{where}.listen") from None
    _check_screen_password(where, graphics)
    if graphics.type == "vnc":
        spice_only = ("tls_port", "channels", "image_compression", "jpeg", "zlib", "streaming")
        for name in spice_only:
            if getattr(graphics, name):
                raise InvalidInput(N_("Only SPICE has this."), field=f"{where}.{name}")
    if len({channel.name for channel in graphics.channels}) < len(graphics.channels):
        raise InvalidInput(N_("Each channel is named once."), field=f"{where}.channels")


def _check_screen_password(where: str, graphics: GraphicsSpec) -> None:
    if graphics.clear_password and graphics.password:
        raise InvalidInput(N_("Give a password or remove it, not both."), field=f"{where}.clear_password")
    if not graphics.password.startswith("sealed:"):
        limit = _PASSWORD_BYTES[graphics.type]
        if not graphics.password.isprintable():
            raise InvalidInput(N_("Printable characters only."), field=f"{where}.password")
        if len(graphics.password.encode()) > limit:
            raise InvalidInput(
                N_("A password of this screen has at most {limit} bytes."), field=f"{where}.password", limit=limit
            )
    if graphics.password_valid_to:
        try:
            if not _TIME.fullmatch(graphics.password_valid_to):
                raise ValueError
            datetime.fromisoformat(graphics.password_valid_to)
        except ValueError:
            raise InvalidInput(
                N_("A time in UTC is needed, such as 2030-01-31T12:00:00."), field=f"{where}.password_valid_to"
            ) from None


def _check_ports(spec: InstanceSpec) -> None:
    taken: set[int] = set()
    for index, graphics in enumerate(spec.graphics):
        for name, port in (("port", graphics.port), ("tls_port", graphics.tls_port)):
            if port and port in taken:
                raise InvalidInput(N_("Each port is used once."), field=f"graphics.{index}.{name}")
            taken.add(port)


def _check_custom(spec: InstanceSpec) -> None:
    from core.libvirt_xml.custom import check_custom

    check_custom(spec.tuning_xml, root="domain", field="tuning_xml")
    check_custom(spec.devices_xml, root="devices", field="devices_xml")
