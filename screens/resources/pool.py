"""Storage pools (manual 9.3, 9.4.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.i18n import N_
from core.rules import pools
from screens.spec import SYSADM, Action, Column, Danger, Field, Filter, Kind, Related, ResourceSpec, Target, Unfit

#: Kinds of pools that can be made, with what people call them.
KINDS = {
    pools.DOS: N_("DOS directory"),
    pools.NETFS: N_("Network file system"),
    pools.ISCSI: N_("iSCSI"),
    pools.DIR: N_("Host directory"),
    pools.DISK: N_("Disk"),
    pools.LOGICAL: N_("Logical volumes"),
}


def _asks(key: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether the type that is chosen has such a field."""

    def holds(values: Mapping[str, Any]) -> bool:
        kind = pools.KINDS.get(str(values.get("type")))
        return kind is not None and (key in kind.asks or f"{key}*" in kind.asks)

    return holds


def _of_server(values: Mapping[str, Any]) -> bool:
    """Whether the server of the storage that is chosen knows accounts."""
    return values.get("type") == pools.ISCSI or (
        values.get("type") == pools.NETFS and values.get("format") == pools.CIFS
    )


def _idle(offered: Sequence[str]) -> set[str]:
    """Fields that none of the kinds that are offered has a use for: nobody is asked for them."""
    idle = {
        key
        for key in ("server", "port", "format", "source", "devices", "path")
        if not any(_asks(key)({"type": kind}) for kind in offered)
    }
    ways = [{"type": kind, "format": form} for kind in offered for form in pools.KINDS[kind].formats or ("",)]
    return idle if any(map(_of_server, ways)) else idle | {"account", "secret"}


def _fits(value: Any, values: Mapping[str, Any]) -> bool:
    """Whether the type that is chosen knows a format."""
    kind = pools.KINDS.get(str(values.get("type")))
    return kind is not None and value in kind.formats


def _formats(offered: Sequence[str]) -> tuple[tuple[str, str], ...]:
    asked = [kind for kind in offered if _asks("format")({"type": kind})]
    return tuple((form, form) for kind in asked for form in pools.KINDS[kind].formats)


_DESCRIPTION = Field("description", N_("Description"), Kind.MULTILINE, rule="prose")


def add_fields(offered: Sequence[str]) -> tuple[Field, ...]:
    """The form of a new pool of one of some kinds."""
    formats = _formats(offered)
    fields = (
        Field(
            "name",
            N_("Name"),
            required=True,
            rule="pool_name",
            positional=True,
            hint=N_("1 to 64 letters, digits, dots, dashes or underscores."),
        ),
        Field(
            "type",
            N_("Type"),
            Kind.CHOICE,
            required=True,
            default=pools.DIR,
            choices=tuple((kind, KINDS[kind]) for kind in offered),
        ),
        Field("host", N_("Host"), Kind.REFERENCE, required=True, resource="host", when=_asks("host")),
        Field(
            "server",
            N_("Server"),
            required=True,
            rule="server",
            when=_asks("server"),
            hint=N_("The host name or IP address of the server of the storage."),
        ),
        Field(
            "port",
            N_("Port"),
            Kind.INTEGER,
            minimum=1,
            maximum=65535,
            when=_asks("port"),
            hint=N_("Empty: the usual one."),
        ),
        Field(
            "format",
            N_("Format"),
            Kind.CHOICE,
            required=True,
            default=formats[0][0] if formats else None,
            choices=formats,
            fits=_fits,
            when=_asks("format"),
            hint=N_("What the server speaks (auto: the first that it answers to); of a disk, its table of partitions."),
        ),
        Field(
            "source",
            N_("Source path"),
            required=True,
            rule="line",
            when=_asks("source"),
            hint=N_(
                "What the server offers: the path that NFS exports, or the name of a share (CIFS) or volume (GlusterFS)"
                " and a directory in it if you like; of iSCSI, the name of the target. Of a disk pool, the disk, best"
                " by its name in /dev/disk/by-id."
            ),
        ),
        Field(
            "devices",
            N_("Devices"),
            Kind.LIST,
            option="device",
            when=_asks("devices"),
            hint=N_("The disks or partitions of the volume group."),
        ),
        Field(
            "account",
            N_("Account"),
            rule="line",
            when=_of_server,
            hint=N_("Who logs in at the server; empty when it asks nobody."),
        ),
        Field(
            "secret",
            N_("Secret"),
            Kind.REFERENCE,
            resource="secret",
            when=_of_server,
            hint=N_("Holds the password of that account."),
        ),
        Field(
            "path",
            N_("Path"),
            required=True,
            rule="line",
            when=_asks("path"),
            hint=N_(
                "An absolute path; it is made when it does not exist. A DOS directory is on a file system that"
                " all hosts have mounted there; a network file system is mounted there by DOSVM. Of logical volumes it"
                " is /dev and the name of their volume group, which is the storage pool's name too."
            ),
        ),
        Field(
            "capacity",
            N_("Capacity"),
            Kind.SIZE,
            required=True,
            minimum=1,
            rule="size",
            hint=N_("The most that its volumes may sum to, such as 200GiB."),
        ),
        _DESCRIPTION,
        Field(
            "projects",
            N_("Given to projects"),
            Kind.REFERENCES,
            resource="project",
            option="project",
            hint=N_("Who may make volumes in it."),
        ),
        Field("vendor", N_("Vendor"), rule="line", hint=N_("Of the storage; only shown.")),
        Field("product", N_("Product"), rule="line", hint=N_("Of the storage; only shown.")),
    )
    idle = _idle(offered)
    return tuple(field._replace(console=False, command_line=False) if field.key in idle else field for field in fields)


#: Of what its host is to do with it.
_UNREADY = (
    Unfit(lambda row: row["state"] == "creating", N_("It is still being made: wait for the end of that task.")),
    Unfit(lambda row: row["state"] == "deleting", N_("It is being deleted already.")),
    Unfit(lambda row: row["state"] == "down", N_("Its host is down.")),
)

SPEC = ResourceSpec(
    name="pool",
    title=N_("Storage pools"),
    singular=N_("storage pool"),
    section=N_("Storage pools"),
    columns=(
        Column("name", N_("Name"), 18),
        Column("type", N_("Type"), 16, Kind.CHOICE, words=KINDS),
        Column("state", N_("State"), 10, Kind.STATE, sort=False),
        Column("capacity", N_("Capacity"), 10, Kind.SIZE),
        Column("used", N_("Used"), 10, Kind.SIZE),
        Column("host", N_("Host"), 16),
        Column("volumes", N_("Volumes"), 7, Kind.INTEGER, from_width=90),
        Column("foreign", N_("Foreign files"), kind=Kind.INTEGER, sort=False, details_only=True),
        Column("path", N_("Path"), 24, from_width=120),
        Column("projects", N_("Given to projects"), 18, Kind.LIST, from_width=140, roles=(SYSADM,)),
        Column("description", N_("Description"), kind=Kind.MULTILINE, details_only=True),
        Column("format", N_("Format"), details_only=True),
        Column("server", N_("Server"), details_only=True),
        Column("port", N_("Port"), kind=Kind.INTEGER, details_only=True),
        Column("source", N_("Source path"), details_only=True),
        Column("devices", N_("Devices"), kind=Kind.LIST, details_only=True),
        Column("account", N_("Account"), details_only=True),
        Column("secret", N_("Secret"), sort=False, details_only=True, roles=(SYSADM,)),
        Column("size", N_("Size of the storage"), kind=Kind.SIZE, sort=False, details_only=True),
        Column("free", N_("Free in the storage"), kind=Kind.SIZE, sort=False, details_only=True),
        Column("overcommitted", N_("Overcommitted by"), kind=Kind.SIZE, sort=False, details_only=True),
        Column("hosts", N_("On hosts"), kind=Kind.MEMBERS, sort=False, details_only=True),
        Column("error", N_("Error"), kind=Kind.MULTILINE, sort=False, details_only=True),
        Column("vendor", N_("Vendor"), details_only=True),
        Column("product", N_("Product"), details_only=True),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=160),
        Column("xml", N_("XML"), kind=Kind.XML, details_only=True),
    ),
    filters=(
        Filter("kind", N_("Type"), Kind.CHOICE, choices=tuple((kind, KINDS[kind]) for kind in pools.OFFERED)),
        Filter("capacity_from", N_("Capacity from"), Kind.SIZE),
        Filter("capacity_to", N_("Capacity to"), Kind.SIZE),
        Filter("since", N_("Since"), Kind.TIME),
        Filter("until", N_("Until"), Kind.TIME, hint=N_("Before this time.")),
        Filter("bound", N_("Bound to a host"), Kind.BOOLEAN),
        Filter("host", N_("Host"), Kind.REFERENCE, resource="host"),
    ),
    actions=(
        Action(
            "add",
            N_("Add"),
            "pool.add",
            key="a",
            target=Target.NOTHING,
            task=True,
            fields=add_fields(pools.OFFERED),
            roles=(SYSADM,),
        ),
        Action(
            "refresh",
            N_("Refresh"),
            "pool.refresh",
            key="h",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_(
                "What is in the storage of {name} is looked at: new files and units become volumes, those that are gone"
                " are marked missing."
            ),
            unfit=_UNREADY,
            task=True,
        ),
        Action("edit", N_("Edit description"), "pool.edit", key="e", fields=(_DESCRIPTION,), roles=(SYSADM,)),
        Action(
            "delete",
            N_("Delete"),
            "pool.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_(
                "The storage pool {name} is forgotten, with the records of foreign files in it. What it is made of"
                " stays, and so do those files."
            ),
            unfit=(
                *_UNREADY,
                Unfit(lambda row: row["volumes"] > row["foreign"], N_("There are volumes in it: delete them first.")),
            ),
            task=True,
            roles=(SYSADM,),
        ),
    ),
    related=(Related("volume", N_("Volumes"), "o", {"pool": "uuid"}),),
    reference="name",
    topics=("pool", "volume", "host"),
    empty=N_("No storage pools yet. The system administrator adds them and gives them to projects."),
    help=N_(
        "A storage pool is a place for volumes. Its capacity is a promise: volumes that would sum to more are refused."
        " Volumes of files are thin: they take room in the storage as they are written. The details show what is free"
        " there, and by how much volumes may outgrow it. Press o for the volumes of the pool under the cursor."
    ),
)
