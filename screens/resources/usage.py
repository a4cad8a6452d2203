"""What projects use of what they may use (manual 7.3)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import Column, Kind, ResourceSpec

SPEC = ResourceSpec(
    name="usage",
    title=N_("Usage"),
    singular=N_("usage"),
    section=N_("Usage"),
    columns=(
        Column("name", N_("Project"), 18),
        Column("used_instances", N_("Instances"), 9, Kind.INTEGER, short=N_("Inst.")),
        Column("max_instances", N_("Most instances"), 5, Kind.INTEGER, short=N_("of")),
        Column("used_vcpus", N_("VCPUs"), 5, Kind.INTEGER),
        Column("max_vcpus", N_("Most VCPUs"), 5, Kind.INTEGER, short=N_("of")),
        Column("used_memory", N_("Memory"), 9, Kind.SIZE),
        Column("max_memory", N_("Most memory"), 9, Kind.SIZE, short=N_("of")),
        Column("used_disk", N_("Disk"), 9, Kind.SIZE),
        Column("max_disk", N_("Most disk"), 9, Kind.SIZE, short=N_("of")),
        Column("vcpu_seconds", N_("VCPU run time"), 16, Kind.RUN_TIME, live=True),
        Column("used_images", N_("Images"), 6, Kind.INTEGER),
        Column("max_images", N_("Most images"), 5, Kind.INTEGER, short=N_("of")),
        Column("uploading_images", N_("Images being uploaded"), kind=Kind.INTEGER, details_only=True, sort=False),
        Column("used_image_bytes", N_("Image space"), 11, Kind.SIZE),
        Column("max_image_bytes", N_("Most image space"), 9, Kind.SIZE, short=N_("of")),
        Column("uploading_image_bytes", N_("Space of uploads"), kind=Kind.SIZE, details_only=True, sort=False),
        Column("used_snapshots", N_("Snapshots"), 9, Kind.INTEGER),
        Column("max_snapshots", N_("Most snapshots"), 5, Kind.INTEGER, short=N_("of")),
    ),
    detail_screen="usage",
    reference="name",
    topics=("project", "instance", "vm", "volume", "image"),
    empty=N_("No projects yet."),
    help=N_(
        "Each quota beside what is used of it. VCPUs and memory count VMs whose power is on; instances, disk and"
        " images count what exists, and an image from the first byte of its upload on."
    ),
)
