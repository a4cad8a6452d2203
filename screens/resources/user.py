"""Project administrators, managed by the system administrator (manual 5.4)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Danger, Field, Filter, Kind, ResourceSpec, Target, Unfit

#: What everybody may say of themselves; the forms of `profile` and `user` share it.
BASICS = (
    Field("display_name", N_("Name"), rule="display_name", hint=N_("How people call you; any script.")),
    Field("phone", N_("Phone"), rule="phone"),
    Field("email", N_("E-mail"), rule="email"),
    Field("address", N_("Postal address"), rule="line"),
    Field("description", N_("Description"), Kind.MULTILINE, rule="prose"),
)
NEW_PASSWORD = Field(
    "new_password",
    N_("New password"),
    Kind.SECRET,
    required=True,
    rule="password",
    hint=N_("8 to 128 characters."),
    twice=True,
)
OWN_PASSWORD = Field(
    "own_password",
    N_("Your own password"),
    Kind.SECRET,
    required=True,
    own_password=True,
    hint=N_("Asked again, in case somebody else sits at your terminal."),
)
_MUST_CHANGE = Field(
    "must_change_password",
    N_("Must be changed"),
    Kind.BOOLEAN,
    default=False,
    hint=N_("At the next login its owner has to choose another one first: nobody else knows it then."),
)
_ACCOUNT = Field(
    "account",
    N_("Account"),
    required=True,
    rule="account",
    positional=True,
    hint=N_("1 to 64 letters, digits, dots, dashes or underscores; used to log in."),
)

_SYSADM = Unfit(lambda row: row["name"] == "sysadm", N_("The system administrator manages itself: see the profile."))

SPEC = ResourceSpec(
    name="user",
    title=N_("Users"),
    singular=N_("user"),
    section=N_("Users"),
    roles=(SYSADM,),
    columns=(
        Column("name", N_("Account"), 16),
        Column("display_name", N_("Name"), 20),
        Column("project", N_("Project"), 18),
        Column("phone", N_("Phone"), 14),
        Column("frozen", N_("Frozen"), 6, Kind.BOOLEAN),
        Column("email", N_("E-mail"), 24, from_width=110),
        Column("address", N_("Postal address"), details_only=True),
        Column("description", N_("Description"), kind=Kind.MULTILINE, details_only=True),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=130),
    ),
    filters=(
        Filter("frozen", N_("Frozen"), Kind.BOOLEAN),
        Filter("project", N_("Project"), Kind.REFERENCE, resource="project"),
        Filter("free", N_("Without project"), Kind.BOOLEAN),
    ),
    actions=(
        Action(
            "add",
            N_("Add"),
            "user.add",
            key="a",
            target=Target.NOTHING,
            fields=(
                _ACCOUNT,
                *BASICS,
                Field("project", N_("Project"), Kind.REFERENCE, resource="project", hint=N_("Can be given later.")),
                NEW_PASSWORD,
                _MUST_CHANGE,
                OWN_PASSWORD,
            ),
        ),
        Action(
            "edit",
            N_("Edit"),
            "user.edit",
            key="e",
            fields=(
                Field("account", N_("Account"), rule="account", hint=_ACCOUNT.hint),
                *BASICS,
            ),
            unfit=(_SYSADM,),
        ),
        Action(
            "set-password",
            N_("Set password"),
            "user.set-password",
            key="p",
            fields=(NEW_PASSWORD, _MUST_CHANGE, OWN_PASSWORD),
            unfit=(_SYSADM,),
        ),
        Action(
            "freeze",
            N_("Freeze"),
            "user.freeze",
            key="z",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            plan="user.show",
            warning=N_("{name} can no longer log in. A session that is open goes on until it ends."),
            unfit=(_SYSADM, Unfit(lambda row: row["frozen"], N_("It is frozen already."))),
        ),
        Action(
            "unfreeze",
            N_("Restore"),
            "user.unfreeze",
            key="u",
            target=Target.ROWS,
            unfit=(_SYSADM, Unfit(lambda row: not row["frozen"], N_("It is not frozen."))),
        ),
        Action(
            "delete",
            N_("Delete"),
            "user.delete",
            key="d",
            target=Target.ROWS,
            fields=(OWN_PASSWORD,),
            danger=Danger.CONFIRM,
            plan="user.show",
            warning=N_("The account {name} goes to the trash and its sessions end. What it made stays."),
            unfit=(_SYSADM,),
        ),
    ),
    reference="name",
    topics=("user", "project"),
    empty=N_("No users yet."),
    first=N_("Press a to add the administrator of a project."),
    help=N_(
        "Users are project administrators: each manages one project, a project may have several. The system"
        " administrator adds them, sets their passwords, and can freeze and restore them."
    ),
)
