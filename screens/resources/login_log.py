"""The login log: who logged in or tried to (manual 13.1.2)."""

from __future__ import annotations

from core.i18n import N_
from screens.resources.log import CLEAR, TIME_FILTERS
from screens.spec import SYSADM, Column, Filter, Kind, ResourceSpec

OUTCOMES = {
    "right": N_("logged in"),
    "wrong": N_("wrong account or password"),
    "frozen": N_("the account is frozen"),
    "early": N_("too soon after a wrong password"),
    "own-wrong": N_("own password, asked again, was wrong"),
}

SPEC = ResourceSpec(
    name="login-log",
    title=N_("Login log"),
    singular=N_("login"),
    section=N_("Logs"),
    roles=(SYSADM,),
    columns=(
        Column("account", N_("Account"), 20),
        Column("at", N_("Time"), 19, Kind.TIME),
        Column("address", N_("From"), 20),
        Column("outcome", N_("Outcome"), 24, Kind.CHOICE, words=OUTCOMES),
    ),
    filters=(*TIME_FILTERS, Filter("outcome", N_("Outcome"), Kind.CHOICE, choices=tuple(OUTCOMES.items()))),
    actions=(CLEAR._replace(command_line=False),),
    show_operation="-",
    label="account",
    default_sort="-at",
    topics=("login-log",),
    empty=N_("Nobody has logged in yet."),
    help=N_(
        "Every login and every attempt that failed, with the address it came from. d removes what is older than a"
        " time, from both logs."
    ),
)
