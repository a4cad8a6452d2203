"""The record of what was cleared of logs and histories, for ever (manual 13.1.4)."""

from __future__ import annotations

from core.i18n import N_
from screens.resources.log import TIME_FILTERS
from screens.spec import SYSADM, Column, Kind, ResourceSpec

#: What can be cleared (a test compares them).
CLEARED = {"log": N_("Clear the logs"), "host-history": N_("Clear host history")}

SPEC = ResourceSpec(
    name="log-purge",
    title=N_("Clearing record"),
    singular=N_("clearing"),
    section=N_("Logs"),
    roles=(SYSADM,),
    columns=(
        Column("what", N_("What"), 18, Kind.CHOICE, words=CLEARED),
        Column("at", N_("Time"), 19, Kind.TIME),
        Column("before", N_("Before"), 19, Kind.TIME),
        Column("account", N_("Account"), 10),
        Column("address", N_("From"), 15),
        Column("rows", N_("Rows"), 8, Kind.INTEGER, from_width=86),
        Column(
            "action",
            N_("Action"),
            8,
            Kind.CHOICE,
            words={"Delete": N_("Delete")},
            sort=False,
            unsorted=N_("It is the same in all rows."),
            from_width=100,
        ),
        Column("scope", N_("Of"), 16, from_width=120),
        Column("finished", N_("Ended"), 19, Kind.TIME, from_width=110),
    ),
    filters=TIME_FILTERS,
    show_operation="-",
    label="what",
    default_sort="-at",
    topics=("log-purge",),
    empty=N_("Nothing was ever cleared."),
    help=N_(
        "Who cleared the logs or a history, when, from which address, what was older than which time, and how many rows"
        " went. Nobody can remove these records. While rows are still being removed there is no time in Ended."
    ),
)
