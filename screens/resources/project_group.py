"""Project groups: projects that share a directory for their files (manual 7.2.2)."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Danger, Field, Kind, Related, ResourceSpec, Target, Unfit

_NAME = Field(
    "name", N_("Name"), required=True, rule="name", positional=True, hint=N_("1 to 64 characters of any script.")
)
_DIRECTORY = Field(
    "directory",
    N_("Directory"),
    required=True,
    rule="directory",
    hint=N_("An absolute path on every host, for images; on several hosts it must be the same shared directory."),
)
_DESCRIPTION = Field("description", N_("Description"), Kind.MULTILINE, rule="prose")
_PROJECT = Field("project", N_("Project"), Kind.REFERENCE, required=True, resource="project", positional=True)

SPEC = ResourceSpec(
    name="project-group",
    title=N_("Project groups"),
    singular=N_("project group"),
    section=N_("Projects"),
    columns=(
        Column("name", N_("Name"), 20),
        Column("project", N_("Project"), 20),
        Column("directory", N_("Directory"), 24),
        Column("description", N_("Description"), 20, from_width=100),
        Column("projects", N_("All its projects"), 24, Kind.LIST, details_only=True),
        Column("created", N_("Created"), 16, Kind.TIME, from_width=130),
    ),
    actions=(
        Action(
            "add",
            N_("Add"),
            "project-group.add",
            key="a",
            target=Target.NOTHING,
            fields=(_NAME, _DIRECTORY, _DESCRIPTION),
            roles=(SYSADM,),
        ),
        Action(
            "edit",
            N_("Edit"),
            "project-group.edit",
            key="e",
            fields=(
                Field("name", N_("Name"), rule="name", hint=_NAME.hint),
                Field("directory", N_("Directory"), rule="directory", hint=_DIRECTORY.hint),
                _DESCRIPTION,
            ),
            roles=(SYSADM,),
        ),
        Action(
            "add-project",
            N_("Add a project to the group"),
            "project-group.add-project",
            key="p",
            short=N_("Add project"),
            fields=(_PROJECT,),
            roles=(SYSADM,),
        ),
        Action(
            "remove-project",
            N_("Remove a project from the group"),
            "project-group.remove-project",
            key="m",
            short=N_("Remove project"),
            fields=(_PROJECT._replace(console=False),),
            passes={"project": "project"},
            danger=Danger.CONFIRM,
            warning=N_("Project {project} is taken out of project group {name}."),
            unfit=(Unfit(lambda row: not row["project"], N_("No project is in it.")),),
            roles=(SYSADM,),
        ),
        Action(
            "delete",
            N_("Delete"),
            "project-group.delete",
            key="d",
            target=Target.ROWS,
            danger=Danger.CONFIRM,
            warning=N_("The project group {name} is deleted. The files in its directory stay."),
            unfit=(Unfit(lambda row: bool(row["projects"]), N_("There are projects in it: remove them first.")),),
            roles=(SYSADM,),
        ),
    ),
    related=(Related("image", N_("Images"), "i", {"group": "uuid"}),),
    rows_operation="project-group.members",
    row_key="member",
    reference="name",
    topics=("project-group", "project"),
    empty=N_("No project groups yet."),
    first=N_("Press a to add the first: a project needs one."),
    help=N_(
        "A project group is a set of projects that keep their images in one directory. A project may be in several;"
        " one of no group has no place for images. A group with several projects has a row for each."
    ),
)
