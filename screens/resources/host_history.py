"""The history of hosts' loads (manual 6.2.2.3, figure 6-12; 6.2.2.5)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Danger, Field, Filter, Kind, ResourceSpec, Target

CLEAR_BEFORE = Field("before", N_("Before"), Kind.TIME, required=True, hint=N_("Everything older goes."))
CLEAR_WARNING = N_(
    "{rows} rows of the history of {of} before {before} are removed for ever. That you did this stays on record."
)
CHART_FIELDS = (
    Field("since", N_("Since"), Kind.TIME, hint=N_("Empty for all there is.")),
    Field("until", N_("Until"), Kind.TIME, hint=N_("Empty for now.")),
    Field("points", N_("Points"), Kind.INTEGER, default=200, minimum=2, maximum=1000, hint=N_("At most so many rows.")),
)

_MANY = N_(
    "A history has millions of rows, in the order of time: c draws what was highest, filters choose a time span."
)

SPEC = ResourceSpec(
    name="host-history",
    title=N_("Host history"),
    singular=N_("row of the history"),
    section=N_("Hosts"),
    roles=(SYSADM,),
    columns=(
        Column(
            "name",
            N_("Host"),
            20,
            sort=False,
            unsorted=N_("A history has millions of rows, in the order of time: f chooses one host."),
        ),
        Column("at", N_("Time"), 19, Kind.TIME),
        Column("cpu_percent", N_("CPU"), 5, Kind.PERCENT, sort=False, unsorted=_MANY),
        Column("memory_percent", N_("Mem"), 5, Kind.PERCENT, sort=False, unsorted=_MANY),
        Column("disk_percent", N_("Disk"), 5, Kind.PERCENT, sort=False, unsorted=_MANY),
        Column("network_rate", N_("Network"), 11, Kind.RATE, sort=False, unsorted=_MANY),
    ),
    filters=(
        Filter("host", N_("Host"), Kind.REFERENCE, resource="host"),
        Filter("since", N_("Since"), Kind.TIME),
        Filter("until", N_("Until"), Kind.TIME, hint=N_("Before this time.")),
    ),
    actions=(
        Action("chart", N_("Chart"), key="c", screen="host-history", roles=(SYSADM,), command_line=False),
        Action(
            "clear",
            N_("Clear"),
            "host-history.clear",
            key="d",
            target=Target.NOTHING,
            fields=(
                Field("host", N_("Host"), Kind.REFERENCE, resource="host", hint=N_("Empty: of all hosts.")),
                CLEAR_BEFORE,
            ),
            preview="host-history.clearable",
            danger=Danger.CONFIRM,
            warning=CLEAR_WARNING,
            task=True,
            roles=(SYSADM,),
        ),
    ),
    show_operation="-",
    default_sort="-at",
    topics=("host-history",),
    interval=60.0,
    empty=N_("No history yet. Each host adds a row a minute, unless the parameters say otherwise."),
    help=N_(
        "What hosts' loads were: a row for each interval of the parameters, the mean since the row before. Nothing for"
        " a while means that the host did not run, or that somebody cleared it. c draws it, d removes what is older"
        " than a time."
    ),
)
