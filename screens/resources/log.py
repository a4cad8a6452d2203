"""The operation log: who changed what (manual 13.1.1)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Danger, Field, Filter, Kind, ResourceSpec, Target, Unfit

TIME_FILTERS = (
    Filter("account", N_("Account"), hint=N_("Part of it is enough.")),
    Filter("since", N_("Since"), Kind.TIME),
    Filter("until", N_("Until"), Kind.TIME, hint=N_("Before this time.")),
)

#: Offered in both logs, for it clears both.
CLEAR = Action(
    "clear",
    N_("Clear"),
    "log.clear",
    key="d",
    target=Target.NOTHING,
    fields=(
        Field(
            "before",
            N_("Before"),
            Kind.TIME,
            required=True,
            hint=N_("Everything older goes, from both logs. The last hour stays."),
        ),
    ),
    preview="log.clearable",
    danger=Danger.CONFIRM,
    warning=N_(
        "{operations} operations and {logins} logins before {before} are removed for ever. That you did this stays on"
        " record."
    ),
    task=True,
)

#: What operations call what they do (a test compares them).
ACTIONS = {
    "Activate": N_("Activate"),
    "Add": N_("Add"),
    "Accept": N_("Accept"),
    "Add project": N_("Add project"),
    "Cancel": N_("Cancel"),
    "Change password": N_("Change password"),
    "Clear": N_("Clear"),
    "Configure": N_("Configure"),
    "Deactivate": N_("Deactivate"),
    "Delete": N_("Delete"),
    "Delete for good": N_("Delete for good"),
    "Disable": N_("Disable"),
    "Edit": N_("Edit"),
    "Edit description": N_("Edit description"),
    "Enable": N_("Enable"),
    "Forget": N_("Forget"),
    "Freeze": N_("Freeze"),
    "Give up": N_("Give up"),
    "Empty for maintenance": N_("Empty for maintenance"),
    "Bring back from maintenance": N_("Bring back from maintenance"),
    "Give to project": N_("Give to project"),
    "Grow": N_("Grow"),
    "Make a snapshot": N_("Make a snapshot"),
    "Merge": N_("Merge"),
    "Power off": N_("Power off"),
    "Power on": N_("Power on"),
    "Prepare": N_("Prepare"),
    "Reboot": N_("Reboot"),
    "Refresh": N_("Refresh"),
    "Remove project": N_("Remove project"),
    "Reset": N_("Reset"),
    "Restore": N_("Restore"),
    "Revert": N_("Revert"),
    "Resume": N_("Resume"),
    "Suspend": N_("Suspend"),
    "Unfreeze": N_("Unfreeze"),
    "Upload": N_("Upload"),
}

#: What was acted on, as the names of operations begin (a test compares them).
KINDS = {
    "cloud": N_("cloud"),
    "host": N_("host"),
    "host-group": N_("host group"),
    "host-history": N_("host history"),
    "image": N_("image"),
    "instance": N_("instance"),
    "log": N_("log"),
    "pool": N_("storage pool"),
    "profile": N_("profile"),
    "project": N_("project"),
    "project-group": N_("project group"),
    "secret": N_("secret"),
    "settings": N_("settings"),
    "task": N_("task"),
    "trash": N_("trash"),
    "user": N_("user"),
    "vm": N_("VM"),
    "volume": N_("volume"),
}

_MANY = N_("A log has millions of rows: what was done and on what it sorts by, / and f find the rest.")

SPEC = ResourceSpec(
    name="log",
    title=N_("Operation log"),
    singular=N_("operation"),
    section=N_("Logs"),
    roles=(SYSADM,),
    columns=(
        Column("target", N_("On"), 20, Kind.TARGET),
        Column("at", N_("Time"), 19, Kind.TIME),
        Column("account", N_("Account"), 14),
        Column("address", N_("From"), 15),
        Column("action", N_("Action"), 16, Kind.CHOICE, words=ACTIONS),
        Column("kind", N_("Kind"), 14, Kind.CHOICE, from_width=96, words=KINDS),
        Column("end", N_("Task"), 11, Kind.STATE, from_width=110, sort=False, unsorted=_MANY),
        Column("operation", N_("Operation"), 24, from_width=130),
        Column("contents", N_("Detail"), 30, Kind.CONTENTS, sort=False, from_width=150, unsorted=_MANY),
    ),
    filters=(*TIME_FILTERS, Filter("action", N_("Action"), Kind.CHOICE, choices=tuple(ACTIONS.items()))),
    actions=(
        Action(
            "revert",
            N_("Revert"),
            "log.revert",
            key="u",
            danger=Danger.CONFIRM,
            plan="log.revertible",
            warning=N_("{name} is edited back to what it was before:"),
            unfit=(
                Unfit(
                    lambda row: not row["revertible"],
                    N_("Only edits can be reverted, and of those no passwords and no configurations."),
                ),
            ),
            task=True,
        ),
        Action("revertible", N_("What reverting would do"), "log.revertible", console=False, roles=(SYSADM,)),
        CLEAR,
    ),
    show_operation="-",
    label="target",
    default_sort="-at",
    topics=("log",),
    empty=N_("Nothing was changed yet."),
    help=N_(
        "Every change anybody made: when, by whom, from which address, on what. It cannot be edited. u puts back what"
        " an edit changed, while nobody changed it since. d removes what is older than a time, from both logs; that"
        " stays on record for ever."
    ),
)
