"""Tasks: what hosts were asked to do, and how far they are."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import Action, Column, Danger, Filter, Kind, ResourceSpec, Target, Unfit

KINDS = {
    "machine.start": N_("Power on"),
    "machine.stop": N_("Power off"),
    "machine.receive": N_("Prepare migration"),
    "machine.migrate": N_("Migrate"),
    "machine.arrive": N_("Arrive"),
    "machine.reboot": N_("Reboot"),
    "machine.reset": N_("Reset"),
    "machine.suspend": N_("Suspend"),
    "machine.resume": N_("Resume"),
    "pool.activate": N_("Make the storage pool ready"),
    "pool.release": N_("Release the storage pool"),
    "pool.refresh": N_("Refresh the storage pool"),
    "volume.accept": N_("Accept the volume"),
    "volume.create": N_("Create the volume"),
    "volume.merge": N_("Merge the volume"),
    "volume.grow": N_("Grow the volume"),
    "volume.delete": N_("Delete the volume"),
    "image.check": N_("Check the image"),
    "image.receive": N_("Check what was uploaded"),
    "image.install": N_("Install the sample image"),
    "image.delete": N_("Delete the image"),
    "purge": N_("Clear old records"),
}
#: Kinds that can be taken back while they are queued.
TAKEN_BACK = ("machine.reboot", "machine.reset", "machine.suspend", "machine.resume")
#: Kinds that their host breaks off when asked.
BROKEN_OFF = ("volume.merge",)
STATES = ("queued", "running", "done", "failed", "cancelled")

SPEC = ResourceSpec(
    name="task",
    title=N_("Tasks"),
    singular=N_("task"),
    section=N_("Tasks"),
    columns=(
        Column("target_name", N_("On"), 18, Kind.TARGET),
        Column("kind", N_("What"), 18, Kind.CHOICE, words=KINDS),
        Column("state", N_("State"), 11, Kind.STATE),
        Column("progress", N_("Done"), 5, Kind.PERCENT, sort=False),
        Column("host", N_("Host"), 14),
        Column("created", N_("Asked at"), 16, Kind.TIME),
        Column("account", N_("By"), 12, from_width=100),
        Column("started", N_("Started"), 16, Kind.TIME, from_width=130),
        Column("finished", N_("Ended"), 16, Kind.TIME, from_width=130),
        Column("outcome", N_("Outcome"), kind=Kind.MULTILINE, details_only=True),
        Column("error", N_("Error"), kind=Kind.MULTILINE, details_only=True),
    ),
    filters=(
        Filter("state", N_("State"), Kind.CHOICE, choices=tuple((state, state) for state in STATES)),
        Filter("target", N_("On")),
    ),
    actions=(
        Action(
            "cancel",
            # Beside a dialog's own button that cancels the dialog, the word would say two things.
            N_("Break it off"),
            "task.cancel",
            key="c",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_(
                "What was asked of {target_name} is taken back, if its host has not begun it or can break it off."
            ),
            unfit=(
                Unfit(lambda row: row["state"] not in ("queued", "running"), N_("It has ended.")),
                Unfit(
                    lambda row: row["kind"] not in (*TAKEN_BACK, *BROKEN_OFF),
                    N_("A task of this kind cannot be taken back."),
                ),
                Unfit(
                    lambda row: row["state"] != "queued" and row["kind"] not in BROKEN_OFF,
                    N_("A host has begun it already."),
                ),
            ),
        ),
    ),
    label="target_name",
    default_sort="-created",
    topics=("task",),
    empty=N_("No tasks yet."),
    help=N_(
        "What hosts were asked to do: queued until a host takes it, then running, and at its end done, failed or"
        " cancelled. Enter shows why one failed; c takes back what no host has begun, and breaks off a merge."
    ),
)
