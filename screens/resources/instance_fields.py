"""The fields of an instance: basic, disks, graphics, custom (manual tables 11-1, 11-2, 11-3, 11-5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.i18n import N_
from core.rules.instances import first_screens
from screens.spec import Field, Kind, Unfit

BASIC = N_("Basic")
DISKS = N_("Disks")
GRAPHICS = N_("Graphics")
CUSTOM = N_("Custom")

_NAME_HINT = N_("1 to 64 characters of any script.")


def _same(*values: str) -> tuple[tuple[str, str], ...]:
    """Choices that are shown as they are: words of libvirt's and QEMU's own."""
    return tuple((value, value) for value in values)


def _spice(row: Mapping[str, Any]) -> bool:
    return row.get("type") == "spice"


def _disk(row: Mapping[str, Any]) -> bool:
    return row.get("device") != "cdrom"


def _cdrom(row: Mapping[str, Any]) -> bool:
    return row.get("device") == "cdrom"


def _basic() -> tuple[Field, ...]:
    return (
        Field("vcpus", N_("VCPUs"), Kind.INTEGER, default=1, minimum=1, maximum=255, hint=N_("1 to 255."), panel=BASIC),
        Field(
            "memory",
            N_("Memory"),
            Kind.SIZE,
            default=1024**3,
            minimum=16 * 1024**2,
            maximum=2**46,
            rule="size",
            hint=N_("At most a host's memory less 512 MiB."),
            panel=BASIC,
        ),
        Field(
            "architecture",
            N_("Architecture"),
            Kind.CHOICE,
            default="x86_64",
            choices=_same("x86_64", "i686"),
            panel=BASIC,
        ),
        Field(
            "accelerator",
            N_("Hypervisor"),
            Kind.CHOICE,
            default="auto",
            choices=(("auto", N_("the best the host has")), ("kvm", "KVM"), ("tcg", N_("QEMU's emulation (TCG)"))),
            panel=BASIC,
        ),
        Field("machine", N_("Machine type"), Kind.CHOICE, default="pc", choices=_same("pc", "q35"), panel=BASIC),
        Field(
            "boot",
            N_("Boot from"),
            Kind.LIST,
            default=["hd", "cdrom"],
            choices=(
                ("hd", N_("hard disk")),
                ("cdrom", N_("CD")),
                ("fd", N_("floppy disk")),
                ("network", N_("network")),
            ),
            hint=N_("Tried in this order."),
            panel=BASIC,
        ),
        Field("boot_menu", N_("Boot menu"), Kind.BOOLEAN, default=False, panel=BASIC),
        Field(
            "boot_menu_timeout",
            N_("Boot menu shown for"),
            Kind.INTEGER,
            default=3000,
            minimum=-1,
            maximum=65535,
            unit="ms",
            hint=N_("-1 waits for ever."),
            when=lambda values: bool(values.get("boot_menu")),
            panel=BASIC,
        ),
        Field("bios_serial", N_("BIOS on the serial port"), Kind.BOOLEAN, default=False, panel=BASIC),
        Field(
            "reboot_timeout",
            N_("Reboot when nothing boots, after"),
            Kind.INTEGER,
            default=-1,
            minimum=-1,
            maximum=65535,
            unit="ms",
            hint=N_("-1 never reboots."),
            panel=BASIC,
        ),
        Field(
            "tablet",
            N_("Tablet pointer"),
            Kind.BOOLEAN,
            default=True,
            hint=N_("The guest's pointer is where the viewer's is; good for Windows and FreeBSD."),
            panel=BASIC,
        ),
    )


_DISK = (
    Field("device", N_("Device"), Kind.CHOICE, default="disk", choices=(("disk", N_("disk")), ("cdrom", N_("CD")))),
    Field(
        "volume",
        N_("Volume"),
        Kind.REFERENCE,
        resource="volume",
        filters={"state": "present"},
        also=("snapshots",),
        beware=(
            Unfit(lambda row: bool(row["snapshots"]), N_("Snapshots rest on it: it can be read, and not written.")),
        ),
        hint=N_("POOL/NAME; a disk is a volume or an image."),
        when=_disk,
    ),
    Field(
        "image",
        N_("Image"),
        Kind.REFERENCE,
        resource="image",
        filters={"usable": True},
        hint=N_("An empty CD drive has none."),
    ),
    Field(
        "bus",
        N_("Bus"),
        Kind.CHOICE,
        default="",
        choices=(("", N_("what fits the machine type")), *_same("virtio", "sata", "scsi", "ide", "usb")),
        hint=N_("Windows has no driver for virtio of its own; sata or ide work everywhere."),
    ),
    Field(
        "target", N_("Device name"), hint=N_("Such as vda; chosen when left empty. The guest may call it otherwise.")
    ),
    Field("read_only", N_("Read-only"), Kind.BOOLEAN, default=False, when=_disk),
    Field(
        "cache",
        N_("Cache"),
        Kind.CHOICE,
        default="default",
        choices=(
            ("default", N_("default")),
            *_same("none", "writethrough", "writeback", "directsync", "unsafe"),
        ),
    ),
    Field(
        "copy_on_read",
        N_("Copy on read"),
        Kind.BOOLEAN,
        default=False,
        hint=N_("Keeps what was read from a slow base image, so that it is read once only."),
        when=_disk,
    ),
    Field(
        "startup_policy",
        N_("When the file is missing"),
        Kind.CHOICE,
        default="mandatory",
        choices=(
            ("mandatory", N_("refuse to start")),
            ("requisite", N_("refuse to start, drop it later")),
            ("optional", N_("start without it")),
        ),
        when=_cdrom,
    ),
    Field(
        "tray",
        N_("Tray"),
        Kind.CHOICE,
        default="closed",
        choices=(("closed", N_("closed")), ("open", N_("open"))),
        when=_cdrom,
    ),
    Field("removable", N_("Removable"), Kind.BOOLEAN, default=False, when=lambda row: row.get("bus") == "usb"),
)

_TLS_HINT = N_(
    "TLS works where spice_tls is on in the hosts' /etc/libvirt/qemu.conf; elsewhere such a VM does not start."
)
_MODES = (("any", N_("any")), ("insecure", N_("plain TCP only")), ("secure", N_("TLS only")))
_CHANNEL = (
    Field(
        "name",
        N_("Channel"),
        Kind.CHOICE,
        required=True,
        choices=_same("main", "display", "inputs", "cursor", "playback", "record", "smartcard", "usbredir"),
    ),
    Field("mode", N_("Security"), Kind.CHOICE, default="any", choices=_MODES, hint=_TLS_HINT),
)
_USUAL = ("", N_("as QEMU chooses"))
#: Only where there may be one already.
_CLEAR = Field(
    "clear_password",
    N_("Remove the password"),
    Kind.BOOLEAN,
    default=False,
    hint=N_("Without one the screen is open to whoever reaches it."),
)
_GRAPHICS = (
    Field("type", N_("Type"), Kind.CHOICE, required=True, default="vnc", choices=(("vnc", "VNC"), ("spice", "SPICE"))),
    Field(
        "port", N_("TCP port"), Kind.INTEGER, default=0, minimum=0, maximum=65535, hint=N_("From 5900; 0 chooses one.")
    ),
    Field(
        "listen",
        N_("Listen on"),
        default="",
        hint=N_("An IP address of the host; empty: all of them with a password, only 127.0.0.1 without."),
    ),
    Field(
        "password",
        N_("Password"),
        Kind.SECRET,
        hint=N_("VNC uses at most 8 characters. Left empty, one that is set stays."),
    ),
    _CLEAR,
    Field("password_valid_to", N_("Password valid until"), Kind.TIME, hint=N_("Empty: for ever.")),
    Field("keep_connected", N_("Keep viewers when it changes"), Kind.BOOLEAN, default=False),
    Field(
        "sharing",
        N_("Sharing"),
        Kind.CHOICE,
        default="allow-exclusive",
        choices=(
            ("allow-exclusive", N_("a viewer may ask to be alone")),
            ("force-shared", N_("viewers must share")),
            ("ignore", N_("everybody may connect")),
        ),
        when=lambda row: not _spice(row),
    ),
    Field("tls_port", N_("TLS port"), Kind.INTEGER, default=0, minimum=0, maximum=65535, hint=_TLS_HINT, when=_spice),
    Field(
        "default_mode",
        N_("Channel security"),
        Kind.CHOICE,
        default="any",
        choices=_MODES,
        hint=_TLS_HINT,
        when=_spice,
    ),
    Field("channels", N_("Channels"), Kind.ROWS, fields=_CHANNEL, when=_spice),
    Field(
        "image_compression",
        N_("Image compression"),
        Kind.CHOICE,
        default="",
        choices=(_USUAL, *_same("auto_glz", "auto_lz", "quic", "glz", "lz", "off")),
        when=_spice,
    ),
    Field(
        "jpeg",
        N_("JPEG compression"),
        Kind.CHOICE,
        default="",
        choices=(_USUAL, *_same("auto", "never", "always")),
        when=_spice,
    ),
    Field(
        "zlib",
        N_("zlib compression"),
        Kind.CHOICE,
        default="",
        choices=(_USUAL, *_same("auto", "never", "always")),
        when=_spice,
    ),
    Field("playback", N_("Sound compression"), Kind.BOOLEAN, default=True, when=_spice),
    Field(
        "streaming",
        N_("Video streaming"),
        Kind.CHOICE,
        default="",
        choices=(_USUAL, *_same("filter", "all", "off")),
        when=_spice,
    ),
    Field("file_transfer", N_("File transfer"), Kind.BOOLEAN, default=True, when=_spice),
)


def _devices(*, changed: bool) -> tuple[Field, ...]:
    return (
        Field(
            "disks",
            N_("Disks"),
            Kind.ROWS,
            fields=_DISK,
            row_rule="disk",
            option="disk",
            hint=N_("Disks and CD drives, in the order the guest sees them."),
            panel=DISKS,
        ),
        Field(
            "graphics",
            N_("Screens"),
            Kind.ROWS,
            default=first_screens,
            row_key="type",
            fields=_GRAPHICS if changed else tuple(field for field in _GRAPHICS if field is not _CLEAR),
            hint=N_("How the VM's screen is seen: VNC, SPICE, or both. Open to the network with a password only.")
            if changed
            else N_(
                "How the VM's screen is seen: VNC unless you say something else; its host alone reaches it, until you"
                " give it a password."
            ),
            panel=GRAPHICS,
        ),
    )


def _custom() -> tuple[Field, ...]:
    return (
        Field(
            "host",
            N_("Bound to host"),
            Kind.REFERENCE,
            resource="host",
            hint=N_("Its VMs run there only. A host or a host group, not both."),
            panel=CUSTOM,
        ),
        Field(
            "host_group",
            N_("Bound to host group"),
            Kind.REFERENCE,
            resource="host-group",
            hint=N_("Its VMs run on those hosts only."),
            panel=CUSTOM,
        ),
        Field(
            "tuning_xml",
            N_("Tuning XML"),
            Kind.XML,
            hint=N_("libvirt's XML within <domain>; on the command line @FILE reads a file."),
            panel=CUSTOM,
        ),
        Field(
            "devices_xml",
            N_("Devices XML"),
            Kind.XML,
            hint=N_("libvirt's XML within <devices>; on the command line @FILE reads a file."),
            panel=CUSTOM,
        ),
    )


_DISPLAY_NAME = Field("display_name", N_("Title"), rule="display_name", hint=N_("For people; any script."), panel=BASIC)
#: In the console it is asked when it is needed, with the names of who loses what.
_MOVE = Field(
    "move",
    N_("Move volumes here"),
    Kind.BOOLEAN,
    default=False,
    hint=N_("Volumes that another instance of the project has leave it; its VMs must be off."),
    console=False,
)
#: The form of a new instance.
NEW = (
    Field("name", N_("Name"), required=True, rule="name", positional=True, hint=_NAME_HINT, panel=BASIC),
    _DISPLAY_NAME,
    *_basic(),
    *_devices(changed=False),
    *_custom(),
    _MOVE,
)
#: The form of one that is there.
CHANGED = (
    Field("name", N_("Name"), rule="name", hint=_NAME_HINT, panel=BASIC),
    _DISPLAY_NAME,
    # What an edit leaves out stays as it is; so its fields have no defaults of their own.
    *(field._replace(default=None) for field in (*_basic(), *_devices(changed=True), *_custom())),
    _MOVE,
)
