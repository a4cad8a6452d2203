"""From an order to the description of a domain (https://libvirt.org/formatdomain.html)."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import SubElement

from core.libvirt_xml.builder import Children, Flag, Node, clean, integer, text, yes_no
from core.libvirt_xml.custom import merge, parse_custom
from core.libvirt_xml.devices import Balloon, Channel, Console, Disk, Graphics, Input, Random, Serial, Video
from core.specs.instance import DiskSpec, GraphicsSpec
from core.specs.order import DiskOrder, MachineOrder

#: Namespace of our element in a domain's metadata.
NAMESPACE = "urn:dosvm:machine:1"
#: Where a screen listens when nothing is said: with a password everywhere, without one only locally.
OPEN, LOCAL = "0.0.0.0", "127.0.0.1"  # noqa: S104  (said above: only behind a password)


class Boot(Node):
    """One device to boot from."""

    TAG = "boot"
    device = text("@dev")


class Domain(Node):
    """A virtual machine as libvirt knows it."""

    TAG = "domain"
    ORDER = (
        "name",
        "uuid",
        "title",
        "metadata",
        "memory",
        "vcpu",
        "sysinfo",
        "os",
        "features",
        "cpu",
        "clock",
        "on_poweroff",
        "on_reboot",
        "on_crash",
        "pm",
        "devices",
    )
    type = text("@type")
    name = text("name")
    uuid = text("uuid")
    title = text("title")
    memory_unit = text("memory/@unit")
    memory = integer("memory")
    vcpus = integer("vcpu")
    architecture = text("os/type/@arch")
    machine = text("os/type/@machine")
    os_type = text("os/type")
    boot = Children("os", Boot)
    boot_menu = yes_no("os/bootmenu/@enable")
    boot_menu_timeout = integer("os/bootmenu/@timeout")
    bios_serial = yes_no("os/bios/@useserial")
    reboot_timeout = integer("os/bios/@rebootTimeout")
    acpi = Flag("features/acpi")
    apic = Flag("features/apic")
    cpu_mode = text("cpu/@mode")
    clock = text("clock/@offset")
    on_poweroff = text("on_poweroff")
    on_reboot = text("on_reboot")
    on_crash = text("on_crash")
    disks = Children("devices", Disk)
    inputs = Children("devices", Input)
    graphics = Children("devices", Graphics)
    serials = Children("devices", Serial)
    consoles = Children("devices", Console)
    videos = Children("devices", Video)
    balloons = Children("devices", Balloon)
    randoms = Children("devices", Random)


def domain_name(uuid: str) -> str:
    """The name a VM has in libvirt: people's names may be anything, this is unique and plain."""
    return f"dosvm-{uuid}"


def domain_xml(order: MachineOrder, *, accelerator: str, overlays: Mapping[int, str] | None = None) -> str:
    """The description that libvirt starts a VM from.

    Args:
        order: the VM.
        accelerator: ``kvm`` or ``tcg``.
        overlays: index of a disk -> path of the temporary overlay it runs on (qcow2 over the disk's file).

    Raises:
        InvalidInput: the custom XML holds what is not allowed.
    """
    spec = order.spec
    domain = Domain(
        type="kvm" if accelerator == "kvm" else "qemu",
        name=domain_name(order.uuid),
        uuid=order.uuid,
        title=f"{order.project}/{order.name}",
        memory_unit="KiB",
        memory=spec.memory // 1024,
        vcpus=spec.vcpus,
        os_type="hvm",
        architecture=spec.architecture,
        machine=spec.machine,
        boot=tuple(Boot(device=device) for device in spec.boot),
        boot_menu=spec.boot_menu,
        bios_serial=spec.bios_serial,
        reboot_timeout=spec.reboot_timeout,
        acpi=True,
        apic=True,
        clock="utc",
        on_poweroff="destroy",
        on_reboot="restart",
        on_crash="destroy",
    )
    if spec.boot_menu and spec.boot_menu_timeout >= 0:
        domain.boot_menu_timeout = spec.boot_menu_timeout
    if accelerator == "kvm":
        domain.cpu_mode = "host-model"
    _add_metadata(domain, order)
    _add_devices(domain, order, overlays or {})
    tuning = parse_custom(spec.tuning_xml, "domain")
    if tuning is not None:
        merge(domain.element, tuning)
    return domain.xml()


def _add_metadata(domain: Domain, order: MachineOrder) -> None:
    attributes = {"epoch": str(order.epoch), "name": order.name, "project": order.project, "instance": order.instance}
    machine = {key: clean(value) for key, value in attributes.items()}
    SubElement(domain.ensure(("metadata",)), "dosvm:machine", {"xmlns:dosvm": NAMESPACE, **machine})


def _add_devices(domain: Domain, order: MachineOrder, overlays: Mapping[int, str]) -> None:
    spec = order.spec
    custom = parse_custom(spec.devices_xml, "devices")
    own = {child.tag for child in custom} if custom is not None else set()
    targets = spec.targets()
    files = iter(order.disks)
    domain.disks = tuple(
        _disk(
            disk,
            spec.bus_of(disk),
            targets[index],
            next(files) if disk.volume or disk.image else None,
            overlays.get(index),
        )
        for index, disk in enumerate(spec.disks)
    )
    if spec.tablet and "input" not in own:
        domain.inputs = (Input(type="tablet", bus="usb"),)
    passwords = order.passwords or ("",) * len(spec.graphics)
    domain.graphics = tuple(_graphics(g, password) for g, password in zip(spec.graphics, passwords, strict=True))
    if "serial" not in own:
        domain.serials = (Serial(type="pty", port=0),)
        domain.consoles = (Console(type="pty", target="serial", port=0),)
    if spec.graphics and "video" not in own:
        domain.videos = (Video(model="vga"),)
    domain.balloons = (Balloon(model="virtio", period=10),)
    domain.randoms = (Random(model="virtio", backend_model="random", backend="/dev/urandom"),)
    if custom is not None:
        devices = domain.ensure(("devices",))
        for child in custom:
            devices.append(child)


def _disk(spec: DiskSpec, bus: str, target: str, file: DiskOrder | None, overlay: str | None) -> Disk:
    disk = Disk(type="file", device=spec.device, driver="qemu", target=target, bus=bus)
    if file is not None and not file.path:
        file = None  # a CD that may be missing is: the drive is empty
    disk.format = "raw" if file is None else "qcow2" if overlay else file.format
    if spec.cache != "default":
        disk.cache = spec.cache
    if spec.device == "cdrom":
        disk.tray = spec.tray
        disk.read_only = True
    else:
        disk.error_policy = "stop"
        disk.discard = "unmap"
        disk.read_only = spec.read_only
        if spec.copy_on_read:
            disk.copy_on_read = True
    if spec.removable:
        disk.removable = True
    if file is None:
        return disk
    if file.is_block:
        disk.type, disk.dev = "block", file.path
        # What other hosts see as well must not be kept in this one's memory: VMs could not be migrated.
        disk.cache = spec.cache if spec.cache != "default" else "none"
        disk.ends_here = True
        return disk
    disk.file = overlay or file.path
    if spec.device == "cdrom" and spec.startup_policy != "mandatory":
        disk.startup_policy = spec.startup_policy
    # The chain of backing files is said in full, so that QEMU and libvirt never look for it in the files.
    if overlay:
        disk.backing_type = "file"
        disk.backing_format = file.format
        disk.backing_file = file.path
        disk.backing_ends = True
        return disk
    if file.secret is not None:
        disk.encryption, disk.secret_type, disk.secret = "luks", "passphrase", file.secret.uuid
    disk.ends_here = True
    place = disk.ensure(("backingStore",))
    for below in file.backing:
        place.set("type", "file")
        SubElement(place, "format", {"type": below.format})
        source = SubElement(place, "source", {"file": below.path})
        if below.secret is not None:
            encryption = SubElement(source, "encryption", {"format": "luks"})
            SubElement(encryption, "secret", {"type": "passphrase", "uuid": below.secret.uuid})
        place = SubElement(place, "backingStore")
    return disk


def _graphics(spec: GraphicsSpec, password: str) -> Graphics:
    address = spec.listen or (OPEN if password else LOCAL)
    graphics = Graphics(
        type=spec.type,
        port=spec.port or -1,
        autoport=not spec.port,
        listen=address,
        listen_type="address",
        listen_address=address,
    )
    if password:
        graphics.password = password
        if spec.password_valid_to:
            graphics.password_valid_to = spec.password_valid_to
        if spec.keep_connected:
            graphics.connected = "keep"
    if spec.type == "vnc":
        graphics.sharing = spec.sharing
        return graphics
    if spec.tls_port:
        graphics.tls_port = spec.tls_port
    if spec.default_mode != "any":
        graphics.default_mode = spec.default_mode
    graphics.channels = tuple(Channel(name=c.name, mode=c.mode) for c in spec.channels)
    graphics.image = spec.image_compression or None
    graphics.jpeg = spec.jpeg or None
    graphics.zlib = spec.zlib or None
    graphics.playback = spec.playback
    graphics.streaming = spec.streaming or None
    graphics.file_transfer = spec.file_transfer
    return graphics
