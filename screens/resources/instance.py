"""Instances: complete VM configurations (manual 11.3)."""

from __future__ import annotations

from core.i18n import N_
from screens.resources.instance_fields import CHANGED, NEW
from screens.spec import PROJECT, SYSADM, Action, Column, Danger, Filter, Kind, Related, ResourceSpec, Target, Unfit

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
        Column("vms", N_("VMs"), 4, Kind.INTEGER),
        Column("unique", N_("One VM only"), 11, Kind.BOOLEAN),
        Column("enabled", N_("Enabled"), 7, Kind.BOOLEAN),
        Column("host", N_("Bound to host"), 14, from_width=110),
        Column("host_group", N_("Bound to host group"), 19, from_width=140),
        Column("project", N_("Project"), 14, roles=(SYSADM,)),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=130),
        Column("volumes", N_("Volumes"), kind=Kind.LIST, sort=False, details_only=True),
        Column("passwords", N_("Screens with a password"), kind=Kind.LIST, sort=False, details_only=True),
    ),
    filters=(
        Filter("project", N_("Project"), Kind.REFERENCE, resource="project", roles=(SYSADM,)),
        Filter("enabled", N_("Enabled"), Kind.BOOLEAN),
    ),
    actions=(
        Action("add", N_("Add"), "instance.add", key="a", target=Target.NOTHING, fields=NEW, roles=(PROJECT,)),
        Action(
            "copy",
            N_("Add from this one"),
            "instance.add",
            key="n",
            short=N_("Copy"),
            target=Target.NOTHING,
            fields=NEW,
            prefill="instance.show",
            command_line=False,
            roles=(PROJECT,),
        ),
        Action(
            "edit",
            N_("Edit"),
            "instance.edit",
            key="e",
            fields=CHANGED,
            prefill="instance.show",
            roles=(PROJECT,),
        ),
        Action(
            "enable",
            N_("Enable"),
            "instance.enable",
            key="t",
            target=Target.ROWS,
            unfit=(Unfit(lambda row: row["enabled"], N_("It is enabled already.")),),
            roles=(PROJECT,),
        ),
        Action(
            "disable",
            N_("Disable"),
            "instance.disable",
            key="z",
            target=Target.ROWS,
            task=True,
            danger=Danger.CONFIRM,
            warning=N_("{name} can no longer be used; its VMs that run are forced off."),
            unfit=(Unfit(lambda row: not row["enabled"], N_("It is disabled already.")),),
            roles=(PROJECT,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "instance.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_("The instance {name} is deleted. Its volumes and images stay. It must have no VMs."),
            unfit=(Unfit(lambda row: bool(row["vms"]), N_("It has VMs: delete them first.")),),
            roles=(PROJECT,),
        ),
    ),
    related=(
        Related("vm", N_("VMs"), "v", {"instance": "uuid"}),
        Related("volume", N_("Volumes"), "o", {"instance": "uuid"}),
    ),
    topics=("instance", "vm", "volume"),
    empty=N_("No instances yet."),
    first=N_("Press a to describe a machine; VMs are made from it."),
    help=N_(
        "An instance is a complete description of a machine: processors, memory, disks, screen. VMs are made from it;"
        " when one of its disks can be written, it can have one VM only. A disabled instance cannot be used."
        " A new one has a screen by VNC unless you take that out; VMs have no network interfaces in this version."
    ),
)
