"""Volumes: virtual disks in a pool (manual 9.4)."""

from __future__ import annotations

from core.i18n import N_
from core.rules.pools import KINDS
from core.rules.secrets import ENCRYPTED_FORMATS
from core.rules.volumes import FORMATS, GROWING
from screens.spec import (
    SYSADM,
    Action,
    Column,
    Danger,
    Field,
    Filter,
    Kind,
    Related,
    ResourceSpec,
    Row,
    Target,
    Unfit,
)

_FORMATS = tuple((name, name) for name in FORMATS)
STATES = ("present", "missing", "foreign", "creating", "merging", "deleting", "failed")
_DISPLAY_NAME = Field("display_name", N_("Title"), rule="display_name", hint=N_("For people; any script."))
_DESCRIPTION = Field("description", N_("Description"), Kind.MULTILINE, rule="prose")
_NEW_NAME = Field(
    "name",
    N_("Name"),
    required=True,
    rule="identifier",
    positional=True,
    hint=N_("1 to 64 letters, digits, dots, dashes or underscores; also the file's name."),
)


def _is_file(row: Row) -> bool:
    """Whether DOSVM makes and changes it; other volumes are made in their storage system, and found."""
    return KINDS[row["pool_type"]].files


_NOT_OWN = Unfit(lambda row: not row["own"], N_("It belongs to no project: the system administrator may do it."))
_UNIT = Unfit(lambda row: not _is_file(row), N_("Its storage system does that; a refresh finds what is new."))
_ABSENT = Unfit(lambda row: row["state"] != "present", N_("It takes a volume that is present."))
_FOREIGN = Unfit(
    lambda row: row["state"] == "foreign",
    N_("Nobody has said its format: the system administrator accepts it first (c)."),
)
_ON = Unfit(lambda row: row["vm_on"], N_("A VM that uses it is on: stop it first."))
_RESTED_ON = Unfit(lambda row: bool(row["snapshots"]), N_("Snapshots rest on it: t shows them."))
_PROJECT = Field(
    "project",
    N_("Given to project"),
    Kind.REFERENCE,
    resource="project",
    hint=N_(
        "Whose it becomes: that project uses, grows and deletes it, and it counts against its quota."
        " Empty: every project that has the storage pool may use it, none may change it."
    ),
)
#: In the console it is asked when it is needed, with what is free.
_THIN = Field(
    "thin",
    N_("Larger than what is free"),
    Kind.BOOLEAN,
    default=False,
    hint=N_("Volumes take room as they are written: it may be larger than what is free in the storage now."),
    console=False,
)

SPEC = ResourceSpec(
    name="volume",
    title=N_("Volumes"),
    singular=N_("volume"),
    section=N_("Volumes"),
    columns=(
        Column("name", N_("Name"), 18),
        Column("display_name", N_("Title"), 14, Kind.TITLE, from_width=130),
        Column("pool", N_("Storage pool"), 14),
        Column("format", N_("Format"), 6),
        Column("capacity", N_("Capacity"), 10, Kind.SIZE),
        Column("allocation", N_("Allocated"), 10, Kind.SIZE, from_width=95),
        Column("measured", N_("Allocated as of"), 16, Kind.TIME, sort=False, details_only=True),
        Column("state", N_("State"), 10, Kind.STATE),
        # Who uses a volume is seen on the narrowest screen (manual 9.4.2).
        Column("instances", N_("Instances"), 14, Kind.LIST),
        Column("vms", N_("VMs"), 14, Kind.LIST, from_width=120),
        Column("encrypted", N_("Encrypted"), 9, Kind.BOOLEAN, from_width=170),
        Column("secret", N_("Secret"), details_only=True),
        Column("backing", N_("Rests on"), 14, sort=False, from_width=150),
        Column("snapshots", N_("Snapshots"), 9, Kind.INTEGER, from_width=170),
        Column("project", N_("Project"), 14, from_width=110, roles=(SYSADM,)),
        Column("description", N_("Description"), kind=Kind.MULTILINE, details_only=True),
        Column("path", N_("Path"), 30, sort=False, from_width=210),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=160),
    ),
    filters=(
        Filter("pool", N_("Storage pool"), Kind.REFERENCE, resource="pool"),
        Filter("instance", N_("Instance"), Kind.REFERENCE, resource="instance"),
        Filter("vm", N_("VM"), Kind.REFERENCE, resource="vm"),
        Filter("secret", N_("Secret"), Kind.REFERENCE, resource="secret"),
        Filter("state", N_("State"), Kind.CHOICE, choices=tuple((state, state) for state in STATES)),
    ),
    actions=(
        Action(
            "add",
            N_("Add"),
            "volume.add",
            key="a",
            target=Target.NOTHING,
            task=True,
            fields=(
                _NEW_NAME,
                _DISPLAY_NAME,
                Field(
                    "pool",
                    N_("Storage pool"),
                    Kind.REFERENCE,
                    required=True,
                    resource="pool",
                    filters={"files": True},
                    hint=N_(
                        "Volumes of iSCSI, disk and logical pools are made in their storage; a refresh finds them."
                    ),
                ),
                Field(
                    "capacity",
                    N_("Capacity"),
                    Kind.SIZE,
                    required=True,
                    rule="volume_size",
                    hint=N_("Such as 20GiB or 20GB; at least 1 MiB."),
                ),
                Field(
                    "format",
                    N_("Format"),
                    Kind.CHOICE,
                    default="qcow2",
                    choices=_FORMATS,
                    hint=N_("The format cow is not offered: no QEMU since 2014 writes it."),
                ),
                Field(
                    "secret",
                    N_("Encrypted by"),
                    Kind.REFERENCE,
                    resource="secret",
                    filters={"kind": "volume"},
                    hint=N_("A secret whose value encrypts the volume (LUKS); empty: it is not encrypted."),
                    when=lambda values: values.get("format", "qcow2") in ENCRYPTED_FORMATS,
                ),
                Field("mode", N_("Permissions"), default="0600", hint=N_("Three octal digits, such as 0600.")),
                Field("owner", N_("Owner"), Kind.INTEGER, minimum=0, hint=N_("User id; empty for QEMU's own.")),
                Field("group", N_("Group"), Kind.INTEGER, minimum=0, hint=N_("Group id; empty for QEMU's own.")),
                Field(
                    "compat",
                    N_("Compatibility"),
                    Kind.CHOICE,
                    choices=(("1.1", "1.1"), ("0.10", "0.10")),
                    hint=N_("Of qcow2; 0.10 is for QEMU older than 1.1."),
                    when=lambda values: values.get("format", "qcow2") == "qcow2",
                ),
                Field(
                    "lazy_refcounts",
                    N_("Delayed reference counts"),
                    Kind.BOOLEAN,
                    default=False,
                    hint=N_("Of qcow2; faster writes, a longer check after a crash."),
                    when=lambda values: values.get("format", "qcow2") == "qcow2",
                ),
                _THIN,
                _DESCRIPTION,
            ),
        ),
        Action(
            "grow",
            N_("Grow"),
            "volume.grow",
            key="w",
            fields=(
                Field(
                    "capacity",
                    N_("New capacity"),
                    Kind.SIZE,
                    required=True,
                    minimum=1,
                    rule="size",
                    hint=N_("At least 10 MB more than now; a volume cannot shrink."),
                ),
                _THIN,
            ),
            unfit=(
                _FOREIGN,
                _NOT_OWN,
                _UNIT,
                Unfit(lambda row: row["format"] not in GROWING, N_("QEMU cannot grow volumes of its format.")),
                _ABSENT,
                _RESTED_ON,
                _ON,
            ),
            task=True,
        ),
        Action("edit", N_("Edit"), "volume.edit", key="e", fields=(_DISPLAY_NAME, _DESCRIPTION)),
        Action(
            "snapshot",
            N_("Make a snapshot"),
            "volume.snapshot",
            key="n",
            short=N_("Snapshot"),
            fields=(
                _NEW_NAME,
                _DISPLAY_NAME,
                Field(
                    "switch",
                    N_("Instances go on with it"),
                    Kind.BOOLEAN,
                    default=False,
                    hint=N_(
                        "Instances that write to the volume use the snapshot in its place: the volume may not change."
                    ),
                ),
                _DESCRIPTION,
            ),
            unfit=(_FOREIGN, _UNIT, _ABSENT),
            task=True,
        ),
        Action(
            "merge",
            N_("Merge"),
            "volume.merge",
            key="m",
            fields=(_NEW_NAME, _DISPLAY_NAME, _DESCRIPTION),
            unfit=(
                _FOREIGN,
                _NOT_OWN,
                Unfit(lambda row: not row["backing"], N_("It is no snapshot: it rests on nothing.")),
                _ABSENT,
                _ON,
            ),
            task=True,
        ),
        Action(
            "accept",
            N_("Accept"),
            "volume.accept",
            key="c",
            target=Target.ROWS,
            fields=(
                Field(
                    "format",
                    N_("Format"),
                    Kind.CHOICE,
                    required=True,
                    choices=_FORMATS,
                    hint=N_("What format the file truly has; the list shows what it looks like."),
                ),
                Field(
                    "secret",
                    N_("Encrypted by"),
                    Kind.REFERENCE,
                    resource="secret",
                    filters={"kind": "volume"},
                    hint=N_("Of an encrypted file (LUKS): the secret with its passphrase, which its host tries."),
                    when=lambda values: values.get("format") in ENCRYPTED_FORMATS,
                ),
                _PROJECT,
            ),
            danger=Danger.CONFIRM,
            warning=N_("The file of {reference} may be used by the project, or by all that have the storage pool."),
            unfit=(
                _UNIT,
                Unfit(
                    lambda row: row["state"] != "foreign",
                    N_("It takes a file that a refresh found and whose format nobody has said yet."),
                ),
            ),
            task=True,
            roles=(SYSADM,),
        ),
        Action(
            "give",
            N_("Give to project"),
            "volume.give",
            key="o",
            short=N_("Give"),
            fields=(_PROJECT,),
            unfit=(
                _FOREIGN,
                _ABSENT,
            ),
            roles=(SYSADM,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "volume.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.TYPE_NAME,
            warning=N_("The volume {reference} is deleted with everything on it. This cannot be undone."),
            asides=(
                Unfit(
                    lambda row: row["state"] == "foreign",
                    N_("It is a foreign file that a refresh found: the file itself is destroyed."),
                ),
                Unfit(
                    lambda row: not _is_file(row),
                    N_(
                        "Of a volume in an iSCSI, disk or logical pool only its record is deleted: a refresh finds it"
                        " again."
                    ),
                ),
            ),
            unfit=(
                Unfit(lambda row: _FOREIGN.when(row) and not row["own"], _FOREIGN.why),
                Unfit(lambda row: _is_file(row) and not row["own"], _NOT_OWN.why),
                Unfit(lambda row: bool(row["instances"]), N_("Instances use it: its details name them.")),
                _RESTED_ON,
            ),
            task=True,
        ),
        Action(
            "forget",
            N_("Forget"),
            "volume.forget",
            key="u",
            target=Target.ROWS,
            danger=Danger.TYPE_NAME,
            warning=N_(
                "Only the record of {reference} is dropped: its storage is gone for good, or its file. It counts in no"
                " quota any more. Nothing in the storage is touched; should it come back, a refresh finds the file as"
                " a foreign one, and an encrypted one opens with its secret's value alone: keep that."
            ),
            unfit=(
                Unfit(lambda row: not row["lost"], N_("Its storage is within reach: d deletes it.")),
                Unfit(lambda row: bool(row["instances"]), N_("Instances use it: its details name them.")),
                _RESTED_ON,
            ),
            roles=(SYSADM,),
        ),
    ),
    related=(
        Related("snapshot", N_("Snapshots"), "t", {"volume": "uuid"}, short=N_("Tree")),
        Related("vm", N_("VMs"), "v", {"volume": "uuid"}),
    ),
    reference="reference",
    topics=("volume", "pool", "instance", "vm"),
    empty=N_("No volumes yet."),
    first=N_("Press a to add a virtual disk."),
    help=N_(
        "A volume is a virtual disk in a storage pool. It is thin: it takes room as it is written, up to its capacity."
        ' What it takes is "Allocated", as measured when it is made, grown or refreshed, and in a host directory every'
        " five minutes. Instances use it; one that is used cannot be deleted. A volume"
        " that somebody removed from outside is shown as missing after a refresh of its pool; a file that was found"
        " there is foreign until the system administrator says with c what format it has. One that is encrypted opens"
        " with the value that its secret had when it was made. A snapshot is a volume that rests on another one, which"
        " nobody writes to any more: t shows the tree, m writes all of a snapshot into a volume of its own. Of the"
        " formats qcow2 and raw can be encrypted, qcow2, raw and qed can grow; QEMU no longer writes cow."
    ),
)
