"""What was deleted and can be restored."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Danger, Field, Filter, Kind, ResourceSpec, Target, Unfit

#: Kinds of things that go to the trash, with what people call them.
KINDS = {"user": N_("User"), "project": N_("Project"), "host-group": N_("Host group"), "secret": N_("Secret")}


SPEC = ResourceSpec(
    name="trash",
    title=N_("Trash"),
    singular=N_("deleted thing"),
    section=N_("Logs"),
    roles=(SYSADM,),
    columns=(
        Column("name", N_("Name"), 20),
        Column("kind", N_("Type"), 12, Kind.CHOICE, words=KINDS),
        Column("state", N_("State"), 12, Kind.STATE),
        Column("deleted", N_("Deleted"), 16, Kind.TIME),
        Column("until", N_("Kept until"), 16, Kind.TIME, from_width=90),
        Column("account", N_("Deleted by"), 12, from_width=100),
        Column("lines", N_("Contents"), kind=Kind.MULTILINE, sort=False, details_only=True),
    ),
    filters=(Filter("kind", N_("Type"), Kind.CHOICE, choices=tuple(KINDS.items())),),
    actions=(
        Action(
            "restore",
            N_("Restore"),
            "trash.restore",
            key="u",
            fields=(
                Field(
                    "name",
                    N_("Under the name"),
                    hint=N_("Left empty, it gets the name it had. Needed when that is taken meanwhile."),
                ),
            ),
            unfit=(
                Unfit(
                    lambda row: row["state"] != "restorable",
                    N_("It is being deleted for good and cannot be restored any more."),
                ),
            ),
        ),
        Action(
            "purge",
            N_("Delete for good"),
            "trash.purge",
            key="d",
            target=Target.ROWS,
            danger=Danger.TYPE_NAME,
            warning=N_("{name} is deleted for good. A project takes the files of its volumes and images along."),
            plan="trash.show",
            task=True,
        ),
    ),
    default_sort="-deleted",
    topics=("trash",),
    empty=N_(
        "The trash is empty. Deleted users, projects, host groups and secrets wait here until their time is over."
    ),
    help=N_(
        "What was deleted waits here. Press u to restore it as it was. When its time is over, or with d, it is deleted"
        " for good, a project with all its files."
    ),
)
