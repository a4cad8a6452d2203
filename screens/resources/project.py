"""Projects and what they may use (manual 7.2.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.i18n import N_
from core.rules.sizes import format_size
from screens.spec import (
    SYSADM,
    Action,
    Column,
    Danger,
    Field,
    Filter,
    Finding,
    Kind,
    Related,
    ResourceSpec,
    Row,
    Target,
    Unfit,
)

_DESCRIPTION = Field("description", N_("Description"), Kind.MULTILINE, rule="prose")
_NAME_HINT = N_("1 to 64 characters of any script.")
_QUOTAS = N_("Quotas")
_ADMINS = N_("Administrators")
_POOLS = N_("Storage pools")
_HOST_GROUPS = N_("Host groups")


def _below_use(key: str, write: Callable[[int], str]) -> Callable[[Any, Row], Finding | None]:
    """Less than what is used is allowed, and to be thought of: nothing is taken away, nothing can be added."""

    def look(value: Any, row: Row) -> Finding | None:
        used = row.get(f"used_{key.removeprefix('max_')}")
        if not isinstance(used, int) or value >= used:
            return None
        return Finding(N_("{used} are in use: nothing can be added until less is."), {"used": write(used)}, wrong=False)

    return look


def _count(key: str, label: str, hint: str) -> Field:
    against = _below_use(key, str)
    return Field(key, label, Kind.INTEGER, minimum=0, maximum=1_000_000, hint=hint, against=against, panel=_QUOTAS)


def _bytes(key: str, label: str, hint: str) -> Field:
    against = _below_use(key, format_size)
    return Field(key, label, Kind.SIZE, minimum=0, rule="size", hint=hint, against=against, panel=_QUOTAS)


def _set(key: str, label: str, resource: str, option: str, hint: str, **filters: Any) -> tuple[Field, ...]:
    """The whole set for the form; on the command line also single members, to add and to remove."""
    return (
        Field(key, label, Kind.REFERENCES, resource=resource, option=option, panel=label, hint=hint, filters=filters),
        Field(f"add_{key}", label, Kind.REFERENCES, resource=resource, option=f"add-{option}", console=False),
        Field(f"remove_{key}", label, Kind.REFERENCES, resource=resource, option=f"remove-{option}", console=False),
    )


def _is_active(row: Row) -> bool:
    return bool(row["active"])


SPEC = ResourceSpec(
    name="project",
    title=N_("Projects"),
    singular=N_("project"),
    section=N_("Projects"),
    roles=(SYSADM,),
    columns=(
        Column("name", N_("Name"), 20),
        Column("state", N_("State"), 11, Kind.STATE),
        Column("admins", N_("Administrators"), 20, Kind.LIST),
        Column("groups", N_("Project groups"), 16, Kind.LIST, from_width=100),
        Column("description", N_("Description"), 20),
        Column("pools", N_("Storage pools"), 20, Kind.LIST, details_only=True),
        Column("host_groups", N_("Host groups"), 20, Kind.LIST, details_only=True),
        Column("max_instances", N_("Most instances"), 9, Kind.INTEGER, details_only=True),
        Column("max_vcpus", N_("Most VCPUs"), 9, Kind.INTEGER, details_only=True),
        Column("max_memory", N_("Most memory"), 9, Kind.SIZE, details_only=True),
        Column("max_disk", N_("Most disk space"), 9, Kind.SIZE, details_only=True),
        Column("max_images", N_("Most images"), 9, Kind.INTEGER, details_only=True),
        Column("max_image_bytes", N_("Most image space"), 9, Kind.SIZE, details_only=True),
        Column("max_snapshots", N_("Most snapshots"), 9, Kind.INTEGER, details_only=True),
        Column("vcpu_seconds", N_("VCPU run time"), 16, Kind.RUN_TIME, from_width=110),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=130),
    ),
    filters=(Filter("active", N_("Active"), Kind.BOOLEAN),),
    actions=(
        Action(
            "add",
            N_("Add"),
            "project.add",
            key="a",
            target=Target.NOTHING,
            fields=(
                Field("name", N_("Name"), required=True, rule="name", positional=True, hint=_NAME_HINT),
                Field("group", N_("Project group"), Kind.REFERENCE, required=True, resource="project-group"),
                _DESCRIPTION,
            ),
        ),
        Action(
            "edit",
            N_("Edit"),
            "project.edit",
            key="e",
            fields=(Field("name", N_("Name"), rule="name", hint=_NAME_HINT), _DESCRIPTION),
        ),
        Action(
            "configure",
            N_("Configure"),
            "project.configure",
            key="c",
            fields=(
                _count("max_instances", N_("Most instances"), N_("How many instances may exist.")),
                _count("max_vcpus", N_("Most VCPUs"), N_("Of all VMs together whose power is on.")),
                _bytes("max_memory", N_("Most memory"), N_("Of all VMs together whose power is on.")),
                _bytes("max_disk", N_("Most disk space"), N_("Of all volumes together.")),
                _count("max_images", N_("Most images"), N_("How many images may be registered.")),
                _bytes("max_image_bytes", N_("Most image space"), N_("Of all images together.")),
                _count("max_snapshots", N_("Most snapshots"), N_("Of all disks together.")),
                *_set(
                    "admins",
                    _ADMINS,
                    "user",
                    "admin",
                    N_("Everybody manages one project at most: offered are those who manage none."),
                    free=True,
                ),
                *_set("pools", _POOLS, "pool", "pool", N_("A pool may serve several projects.")),
                *_set(
                    "host_groups",
                    _HOST_GROUPS,
                    "host-group",
                    "host-group",
                    N_("VMs of the project run on the hosts of these groups."),
                ),
            ),
        ),
        Action(
            "activate",
            N_("Activate"),
            "project.activate",
            key="t",
            target=Target.ROWS,
            unfit=(Unfit(_is_active, N_("It is active already.")),),
        ),
        Action(
            "deactivate",
            N_("Deactivate"),
            "project.deactivate",
            key="z",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_("The administrators of {name} can no longer manage it. Its VMs are left as they are."),
            unfit=(Unfit(lambda row: not _is_active(row), N_("It is deactivated already.")),),
        ),
        Action("usage", N_("Usage"), key="p", screen="usage", command_line=False),
        Action(
            "contents",
            N_("Contents"),
            "project.contents",
            console=False,
        ),
        Action(
            "delete",
            N_("Delete"),
            "project.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.TYPE_NAME,
            warning=N_("The project {name} goes to the trash. From there it can be restored for some time."),
            plan="project.contents",
            fields=(
                Field(
                    "everything",
                    N_("Everything in it too"),
                    Kind.BOOLEAN,
                    hint=N_("Its VMs are stopped. Instances, volumes and images go to the trash with the project."),
                ),
            ),
            task=True,
        ),
    ),
    related=(
        Related("vm", N_("VMs"), "v", {"project": "uuid"}),
        Related("user", N_("Users"), "u", {"project": "uuid"}, roles=(SYSADM,)),
    ),
    reference="name",
    topics=("project", "user"),
    empty=N_("No projects yet."),
    first=N_("Press a to add the first; it needs a project group."),
    help=N_(
        "A project is what VMs belong to. It needs quotas, administrators, storage pools and host groups before its"
        " administrators can run anything: press c to configure it."
    ),
)
