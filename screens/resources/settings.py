"""The parameters that all hosts live by (manual 13.2.1, figure 13-7)."""

from __future__ import annotations

from core.i18n import N_
from core.rules.parameters import RANGES
from screens.spec import SYSADM, Action, Column, Field, Kind, ResourceSpec


def _number(key: str, label: str, unit: str, hint: str) -> Field:
    known = RANGES[key]
    return Field(key, label, Kind.INTEGER, minimum=known.low, maximum=known.high, unit=unit, hint=hint)


_SECONDS, _DAYS = N_("s"), N_("days")

_FIELDS = (
    _number("vm_sample_interval", N_("VM samples every"), _SECONDS, N_("How often the load of VMs is looked at.")),
    _number(
        "vm_flush_interval",
        N_("VM samples to disk every"),
        _SECONDS,
        N_("More than the interval of VM samples. What hostd had not written when it was killed is lost."),
    ),
    _number(
        "host_sample_interval", N_("Host samples every"), _SECONDS, N_("How often the load of hosts is looked at.")
    ),
    _number(
        "host_history_interval",
        N_("Host history every"),
        _SECONDS,
        N_("More than the interval of host samples. A row of the history has the mean since the row before."),
    ),
    _number(
        "heartbeat_interval",
        N_("Heartbeat every"),
        _SECONDS,
        N_("How often a host says that it lives. Longer in a large cloud: each beat is a write to the database."),
    ),
    _number(
        "scheduling_interval",
        N_("Tasks looked for every"),
        _SECONDS,
        N_("How often a host looks for tasks nobody told it of, and compares its VMs with what was asked for."),
    ),
    _number(
        "missed_heartbeats",
        N_("Down after missed beats"),
        N_("beats"),
        N_("So many heartbeats may be missed before a host counts as down."),
    ),
    _number(
        "port",
        N_("Port of hostd"),
        "TCP",
        N_("Best above 1024. Hosts move while they run; where it is taken, the old port stays, and the host says so."),
    ),
    Field(
        "temporary_directory",
        N_("Temporary files of VMs"),
        rule="directory_or_none",
        hint=N_("On every host, for VMs started from now on; empty: as in each host's dosvm.toml."),
    ),
    _number(
        "host_history_days", N_("Days host history is kept"), _DAYS, N_("Older rows are removed, a few at a time.")
    ),
    _number("task_days", N_("Days ended tasks are kept"), _DAYS, N_("Older ones are removed, a few at a time.")),
    _number(
        "trash_days",
        N_("Days the trash is kept"),
        _DAYS,
        N_("Deleted things can be restored for so long; 0 deletes them at once."),
    ),
)

#: In the console it is asked when it is needed, with what goes.
_LOSE = Field(
    "lose",
    N_("Lose what is older than it is kept"),
    Kind.BOOLEAN,
    default=False,
    hint=N_("Where fewer days remove something for good: it may go."),
    console=False,
)


def _column(field: Field) -> Column:
    if field.kind is not Kind.INTEGER:
        return Column(field.key, field.label, 24)
    kind = {_SECONDS: Kind.DURATION}.get(field.unit, Kind.INTEGER)
    return Column(field.key, field.label, 12, kind)


SPEC = ResourceSpec(
    name="settings",
    title=N_("Runtime parameters"),
    singular=N_("runtime parameters"),
    section=N_("Parameters"),
    roles=(SYSADM,),
    columns=(
        *(_column(field) for field in _FIELDS),
        Column("not_taken_over_by", N_("Not taken over by"), 24, Kind.LIST, sort=False),
    ),
    actions=(
        Action(
            "edit", N_("Edit"), "settings.edit", key="e", fields=(*_FIELDS, _LOSE), rule="parameters", roles=(SYSADM,)
        ),
    ),
    default_sort="",
    topics=("parameters", "host"),
    single=True,
    help=N_(
        "What all hosts of the cloud live by. A change reaches running hosts at once, at the latest with their next"
        " heartbeat; nothing is restarted. A host that cannot take something over is named here; its details say why."
    ),
)
