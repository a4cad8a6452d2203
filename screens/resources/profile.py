"""The caller's own account (manual 5.4.2, 5.5)."""

from __future__ import annotations

from core.i18n import N_
from screens.resources.user import BASICS, NEW_PASSWORD
from screens.spec import Action, Column, Field, Kind, ResourceSpec

SPEC = ResourceSpec(
    name="profile",
    title=N_("My account"),
    singular=N_("account"),
    section=N_("Me"),
    columns=(
        Column("name", N_("Account"), 16),
        Column("display_name", N_("Name"), 20),
        Column("project", N_("Project"), 20),
        Column("phone", N_("Phone"), 16),
        Column("email", N_("E-mail"), 24, from_width=100),
        Column("frozen", N_("Frozen"), 6, Kind.BOOLEAN, sort=False, details_only=True),
        Column("address", N_("Postal address"), details_only=True),
        Column("description", N_("Description"), kind=Kind.MULTILINE, details_only=True),
        Column("created", N_("Created"), 16, Kind.TIME, details_only=True, sort=False),
    ),
    actions=(
        Action("edit", N_("Edit"), "profile.edit", key="e", fields=BASICS),
        Action(
            "change-password",
            N_("Change password"),
            "profile.change-password",
            key="p",
            fields=(
                Field("old_password", N_("Present password"), Kind.SECRET, required=True, own_password=True),
                NEW_PASSWORD,
            ),
        ),
        Action(
            "set-preferences",
            N_("Set preferences of the console"),
            "profile.set-preferences",
            console=False,
            fields=(
                Field(
                    "preferences",
                    N_("Preferences"),
                    required=True,
                    positional=True,
                    hint=N_("A JSON object: its keys are changed, null takes one away."),
                ),
            ),
        ),
    ),
    topics=("user",),
    single=True,
    help=N_(
        "Your own account. The account name is given by the system administrator and stays; everything else is"
        " yours to change. Changing the password ends your sessions elsewhere."
    ),
)
