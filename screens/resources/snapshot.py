"""Snapshots of volumes, as the trees that they make (manual 9.4.8)."""

from __future__ import annotations

from core.i18n import N_
from screens.resources import volume
from screens.spec import Column, Filter, Kind, ResourceSpec

#: What is done with a volume is done with it here too; commands have one name for it.
ACTIONS = tuple(
    action._replace(argument="volume", command_line=False)
    for action in volume.SPEC.actions
    if action.verb in ("snapshot", "edit", "merge", "delete")
)

SPEC = ResourceSpec(
    name="snapshot",
    title=N_("Snapshots"),
    singular=N_("snapshot"),
    section=N_("Volumes"),
    columns=(
        Column("tree", N_("Volume"), 26, sort=False, list_only=True),
        Column("name", N_("Name"), details_only=True),
        Column("display_name", N_("Title"), 14, Kind.TITLE, from_width=100),
        Column("pool", N_("Storage pool"), 12),
        Column("allocation", N_("Allocated"), 10, Kind.SIZE),
        Column("capacity", N_("Capacity"), 10, Kind.SIZE, from_width=90),
        Column("state", N_("State"), 10, Kind.STATE),
        Column("instances", N_("Instances"), 14, Kind.LIST, from_width=80),
        Column("backing", N_("Rests on"), 14, sort=False, from_width=110),
        Column("chain", N_("Chain"), kind=Kind.LIST, details_only=True, sort=False),
        Column("description", N_("Description"), kind=Kind.MULTILINE, details_only=True),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=120),
    ),
    filters=(Filter("volume", N_("Volume"), Kind.REFERENCE, resource="volume"),),
    actions=ACTIONS,
    default_sort="",
    topics=("volume", "instance", "vm"),
    empty=N_("No snapshots yet. Press n in the list of volumes to make one."),
    help=N_(
        "Snapshots of one volume are a tree: each rests on the volume above it and holds what differs. What something"
        " rests on never changes; it is not deleted, grown or written to. Give different snapshots of an installed"
        " system to different VMs. m writes all that a snapshot shows into a volume of its own."
    ),
)
