"""Images: files in the project group's directory that serve as disk or CD (manual 9.5)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import PROJECT, Action, Column, Danger, Field, Filter, Kind, ResourceSpec, Target, Unfit

FORMATS = (
    ("raw", N_("raw (also ISO files)")),
    ("iso", N_("ISO: a CD or DVD, checked to be one")),
    ("qcow2", "qcow2"),
    ("qcow", "qcow"),
)
ARCHITECTURES = (("x86_64", "x86_64"), ("i686", "i686"))
STATES = ("present", "missing", "uploading", "creating", "deleting", "failed")
_NAME_HINT = N_("1 to 64 characters of any script.")


def _rest(*, new: bool) -> tuple[Field, ...]:
    return (
        Field(
            "format",
            N_("Format"),
            Kind.CHOICE,
            required=new,
            default="raw" if new else None,
            choices=FORMATS,
            hint=N_("What the file really is: `qemu-img info FILE` says it. It is checked."),
        ),
        Field(
            "architecture", N_("Architecture"), Kind.CHOICE, default="x86_64" if new else None, choices=ARCHITECTURES
        ),
        Field(
            "shared",
            N_("Shared by VMs"),
            Kind.BOOLEAN,
            default=True if new else None,
            hint=N_("Whether several VMs may use it at once. All projects of the group see it and use it either way."),
        ),
        Field(
            "read_only",
            N_("Read-only"),
            Kind.BOOLEAN,
            default=True if new else None,
            hint=N_("A disk from a read-only image gets a temporary layer for what the VM writes."),
        ),
        Field("description", N_("Description"), Kind.MULTILINE, rule="prose"),
    )


_NOT_OWN = Unfit(lambda row: not row["own"], N_("It is another project's: only that one may delete it."))
_FILE_HINT = N_("Relative to the project group's directory, where the file must be already.")

_GROUP = Field(
    "group",
    N_("Project group"),
    Kind.REFERENCE,
    resource="project-group",
    hint=N_("Whose directory the file is in; needed when the project is in several."),
)

SPEC = ResourceSpec(
    name="image",
    title=N_("Images"),
    singular=N_("image"),
    section=N_("Images"),
    columns=(
        Column("name", N_("Name"), 20),
        Column("format", N_("Format"), 6),
        Column("architecture", N_("Architecture"), 12, from_width=100),
        Column("size", N_("Size"), 10, Kind.SIZE),
        Column("state", N_("State"), 10, Kind.STATE),
        Column("percent", N_("Arrived"), 7, Kind.PERCENT, sort=False),
        Column("own", N_("Own"), 4, Kind.BOOLEAN),
        Column("read_only", N_("Read-only"), 9, Kind.BOOLEAN),
        Column("file", N_("File"), 20, from_width=90),
        Column("group", N_("Project group"), 16, from_width=120),
        Column("shared", N_("Shared by VMs"), 6, Kind.BOOLEAN, from_width=120, short=N_("Shared")),
        Column("virtual_size", N_("Size as a disk"), 10, Kind.SIZE, details_only=True),
        Column("digest", N_("SHA-256"), 16, details_only=True),
        Column("instances", N_("Instances"), 16, Kind.LIST, details_only=True),
        Column("description", N_("Description"), kind=Kind.MULTILINE, details_only=True),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=140),
    ),
    filters=(
        Filter("group", N_("Project group"), Kind.REFERENCE, resource="project-group"),
        Filter("state", N_("State"), Kind.CHOICE, choices=tuple((state, state) for state in STATES)),
    ),
    actions=(
        Action(
            "add",
            N_("Add"),
            "image.add",
            key="a",
            target=Target.NOTHING,
            task=True,
            fields=(
                Field("name", N_("Name"), required=True, rule="name", positional=True, hint=_NAME_HINT),
                Field("file", N_("File"), required=True, rule="file_name", hint=_FILE_HINT),
                _GROUP,
                *_rest(new=True),
            ),
            roles=(PROJECT,),
        ),
        Action(
            "upload",
            N_("Upload"),
            "image.upload",
            key="u",
            target=Target.NOTHING,
            task=True,
            fields=(
                Field(
                    "source",
                    N_("File here"),
                    Kind.UPLOAD,
                    required=True,
                    positional=True,
                    hint=N_("A file of the machine on which the console or the command runs."),
                ),
                Field("name", N_("Name"), required=True, rule="name", positional=True, hint=_NAME_HINT),
                Field(
                    "file",
                    N_("File"),
                    rule="file_name",
                    hint=N_("What it will be below the project group's directory; its own name unless given."),
                ),
                _GROUP,
                *_rest(new=True),
            ),
            roles=(PROJECT,),
        ),
        Action(
            "edit",
            N_("Edit"),
            "image.edit",
            key="e",
            fields=(
                Field("name", N_("Name"), rule="name", hint=_NAME_HINT),
                Field("file", N_("File"), rule="file_name", hint=_FILE_HINT),
                *_rest(new=False),
            ),
            unfit=(
                Unfit(
                    lambda row: row["state"] == "uploading",
                    N_("It is being uploaded: change it when all of it is there."),
                ),
            ),
            task=True,
            roles=(PROJECT,),
        ),
        Action(
            "cancel",
            N_("Cancel the upload"),
            "image.cancel",
            key="c",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_(
                "The upload of {name} ends, whoever sends it. What has arrived of it is removed, and its quota is free."
            ),
            unfit=(
                Unfit(lambda row: row["state"] != "uploading", N_("It is not being uploaded: d deletes it.")),
                _NOT_OWN,
            ),
            roles=(PROJECT,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "image.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.TYPE_NAME,
            warning=N_("The image {name} and its file {file} are deleted. This cannot be undone."),
            asides=(
                Unfit(
                    lambda row: row["state"] == "uploading",
                    N_("It is being uploaded: that ends, and what has arrived of it is removed."),
                ),
            ),
            unfit=(
                _NOT_OWN,
                Unfit(lambda row: bool(row["instances"]), N_("Instances use it: its details name them.")),
            ),
            task=True,
            roles=(PROJECT,),
        ),
    ),
    topics=("image", "instance"),
    empty=N_("No images yet."),
    first=N_("Press u to upload a file, or a to register one that is in the project group's directory."),
    help=N_(
        "An image is a file in the project group's directory that serves as a CD or as a disk. All projects of the"
        " group see it, use it and may edit what is said of it; only the project that registered it may delete it. One"
        " that VMs do not share is used by one VM alone. One whose file somebody removed is missing a minute later,"
        " and present again when the same file is back."
    ),
)
