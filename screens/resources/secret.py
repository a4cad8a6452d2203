"""Secrets: passwords and keys that storage is opened with (manual 8.2)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Danger, Field, Filter, Kind, Related, ResourceSpec, Target, Unfit

#: What a secret can be for, with what people call it.
KINDS = {
    "volume": N_("volume encryption"),
    "iscsi": N_("iSCSI storage pool"),
    "cifs": N_("CIFS share"),
}
_VALUE_HINT = N_(
    "Of a volume: 8 characters or more. Of iSCSI: 12 to 16 ASCII characters work everywhere. It is never shown again."
)
_NAME = Field(
    "name",
    N_("English name"),
    required=True,
    rule="identifier",
    positional=True,
    hint=N_("1 to 64 letters, digits, dots, dashes or underscores."),
)
_TITLE = Field("display_name", N_("Title"), required=True, rule="display_name", hint=N_("For people; any script."))
_USAGE = Field(
    "usage",
    N_("Used for"),
    required=True,
    rule="usage",
    hint=N_("1 to 128 letters, digits, dashes, dots, underscores or slashes; one secret per kind for each."),
)
_REST = (
    Field(
        "project",
        N_("Project"),
        Kind.REFERENCE,
        resource="project",
        hint=N_("Whose administrators may encrypt volumes by it; empty: only the system administrator."),
    ),
    Field("description", N_("Description"), Kind.MULTILINE, rule="prose"),
)

SPEC = ResourceSpec(
    name="secret",
    title=N_("Secrets"),
    singular=N_("secret"),
    section=N_("Secrets"),
    columns=(
        Column("display_name", N_("Title"), 16),
        Column("name", N_("English name"), 16),
        Column("kind", N_("Kind of use"), 18, Kind.CHOICE, words=KINDS),
        Column("usage", N_("Used for"), 14),
        Column("project", N_("Project"), 10),
        Column("used_by", N_("Used by"), 20, Kind.LIST, from_width=130),
        Column("description", N_("Description"), 20, from_width=100),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=160),
    ),
    filters=(
        Filter("kind", N_("Kind of use"), Kind.CHOICE, choices=tuple(KINDS.items())),
        Filter("usage", N_("Used for")),
        Filter("project", N_("Project"), Kind.REFERENCE, resource="project", roles=(SYSADM,)),
    ),
    actions=(
        Action(
            "add",
            N_("Add"),
            "secret.add",
            key="a",
            target=Target.NOTHING,
            fields=(
                _TITLE,
                _NAME,
                Field(
                    "kind",
                    N_("Kind of use"),
                    Kind.CHOICE,
                    required=True,
                    default="volume",
                    choices=tuple(KINDS.items()),
                    hint=N_("Ceph is not offered: no storage pool of DOSVM would use it."),
                ),
                _USAGE,
                *_REST,
                Field(
                    "value",
                    N_("Password"),
                    Kind.SECRET,
                    required=True,
                    rule="secret_value",
                    twice=True,
                    hint=_VALUE_HINT,
                ),
            ),
            roles=(SYSADM,),
        ),
        Action(
            "edit",
            N_("Edit"),
            "secret.edit",
            key="e",
            fields=(
                Field("display_name", N_("Title"), rule="display_name", hint=_TITLE.hint),
                Field("name", N_("English name"), rule="identifier", hint=_NAME.hint),
                Field("usage", N_("Used for"), rule="usage", hint=_USAGE.hint),
                *_REST,
                Field(
                    "value",
                    N_("Password"),
                    Kind.SECRET,
                    rule="secret_value",
                    twice=True,
                    hint=N_("Left empty it stays as it is."),
                ),
                Field(
                    "even_if_used",
                    N_("Even if used"),
                    Kind.BOOLEAN,
                    default=False,
                    hint=N_(
                        "Change the password although volumes were encrypted with it, which open with the old one only;"
                        " or the project, although volumes of another one, or of none, open with it."
                    ),
                ),
            ),
            roles=(SYSADM,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "secret.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_("The secret {name} goes to the trash. What it opens, nobody opens without its value."),
            unfit=(Unfit(lambda row: bool(row["used_by"]), N_("It is used: its details say by what.")),),
            roles=(SYSADM,),
        ),
    ),
    related=(Related("volume", N_("Volumes"), "o", {"secret": "uuid"}),),
    reference="name",
    topics=("secret", "volume", "pool", "project"),
    empty=N_("No secrets yet. The system administrator adds them: passphrases of volumes, passwords of iSCSI storage."),
    help=N_(
        "A secret keeps a password or key that storage is opened with: the passphrase of encrypted volumes, or the"
        " password of an iSCSI storage pool or a CIFS share. Its value is stored encrypted and never shown; a host is"
        " given it only while it needs it. A secret that is used cannot be deleted. Press o for the volumes that it"
        " encrypts."
    ),
)
