"""Instances: complete VM configurations (manual 11.3, tables 11-1, 11-2, 11-3, 11-5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.i18n import N_
from screens.spec import PROJECT, SYSADM, Action, Column, Danger, Field, Filter, Kind, Related, ResourceSpec, Target

BASIC = N_("Basic")
DISKS = N_("Disks")
GRAPHICS = N_("Graphics")
CUSTOM = N_("Custom")

_NAME_HINT = N_("1 to 64 characters of any script, no slash.")


def _same(*values: str) -> tuple[tuple[str, str], ...]:
    """Choices that are shown as they are: words of libvirt's and QEMU's own."""
    return tuple((value, value) for value in values)


def _spice(row: Mapping[str, Any]) -> bool:
    return row.get("type") == "spice"


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
            minimum=1024**2,
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


DISK_FIELDS = (
    Field("device", N_("Device"), Kind.CHOICE, default="disk", choices=(("disk", N_("disk")), ("cdrom", N_("CD")))),
    Field(
        "volume", N_("Volume"), Kind.REFERENCE, resource="volume", hint=N_("POOL/NAME; a volume or an image is needed.")
    ),
    Field("image", N_("Image"), Kind.REFERENCE, resource="image"),
    Field("bus", N_("Bus"), Kind.CHOICE, default="virtio", choices=_same("virtio", "sata", "scsi", "ide", "usb")),
    Field("target", N_("Device name"), hint=N_("Such as vda; given by itself when empty. The guest may use another.")),
    Field("read_only", N_("Read-only"), Kind.BOOLEAN, default=False),
    Field(
        "cache",
        N_("Cache"),
        Kind.CHOICE,
        default="default",
        choices=_same("default", "none", "writethrough", "writeback", "directsync", "unsafe"),
    ),
    Field("copy_on_read", N_("Copy on read"), Kind.BOOLEAN, default=False),
    Field(
        "startup_policy",
        N_("When the file is missing"),
        Kind.CHOICE,
        default="mandatory",
        choices=_same("mandatory", "requisite", "optional"),
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

SPEC = ResourceSpec(
    name="instance",
    title=N_("Instances"),
    singular=N_("instance"),
    section=N_("Machines"),
    columns=(
        Column("name", N_("Name"), 18),
        Column("display_name", N_("Title"), 14),
        Column("vcpus", N_("VCPUs"), 5, Kind.INTEGER),
        Column("memory", N_("Memory"), 9, Kind.SIZE),
        Column("vms", N_("VMs"), 4, Kind.INTEGER, sort=False),
        Column("unique", N_("One VM only"), 11, Kind.BOOLEAN, sort=False),
        Column("enabled", N_("Enabled"), 7, Kind.BOOLEAN),
        Column("host", N_("Bound to host"), 14, sort=False, from_width=110),
        Column("project", N_("Project"), 14, sort=False, roles=(SYSADM,)),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=130),
    ),
    filters=(Filter("project", N_("Project"), Kind.REFERENCE, resource="project", roles=(SYSADM,)),),
    topics=("instance", "vm"),
)
