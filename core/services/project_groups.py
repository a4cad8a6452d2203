"""Project groups: projects that share one directory for their files (manual 7.2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, delete, func, insert, select

from core.coordination.charges import charge, charge_directories
from core.errors import InUse, InvalidInput, Refused
from core.i18n import N_
from core.model import Image, Instance, Pool, Project, ProjectGroup, instance_image, project_in_group
from core.rules import names
from core.services.editing import edit, unused
from core.services.fields import ruled
from core.services.listing import Query, answer, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.pool_origins import refuse_temporary, tidy
from core.services.relations import first_name, names_by, some
from core.services.trash import refuse_trashed


def _rows(call: Call, groups: Sequence[ProjectGroup]) -> list[dict[str, Any]]:
    projects = names_by(call, project_in_group, "group_id", "project_id", Project, [g.id for g in groups])
    if not call.actor.is_sysadm:
        # Which other projects share a group is not for their admins to know.
        own = call.session.scalar(select(Project.name).where(Project.id == call.actor.project_id))
        projects = {group: [name for name in found if name == own] for group, found in projects.items()}
    return [
        {
            "uuid": group.uuid,
            "name": group.name,
            "directory": group.directory,
            "description": group.description,
            "projects": projects[group.id],
            "created": iso(group.created),
            "version": group.version,
        }
        for group in groups
    ]


@operation("project-group.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All project groups; for a project admin those of the own project."""
    rows, total = listing(
        call,
        select(ProjectGroup).where(*visible(call, ProjectGroup)),
        query,
        columns={
            "name": ProjectGroup.name,
            "directory": ProjectGroup.directory,
            "description": ProjectGroup.description,
            "projects": first_name(
                project_in_group, "group_id", "project_id", Project, ProjectGroup, *visible(call, Project)
            ),
            "created": ProjectGroup.created,
        },
        tie=ProjectGroup.id,
        search=[ProjectGroup.name, ProjectGroup.directory],
        filters={"project": lambda value: _holds(call, value)},
    )
    return answer(_rows(call, [found.ProjectGroup for found in rows]), total)


@operation("project-group.members", roles=EVERYBODY)
def members(call: Call, *, query: Query) -> Answer:
    """A row for each project of each group (manual 7.2.2.1), and one for a group without any.

    ``member`` tells the row from all others; ``project`` is its project, or empty. For a project admin the own one.
    ``groups``: how many groups that project is in.
    """
    # To projects that the caller may see: one in the trash would be a row of a group without projects.
    seen = [] if call.actor.is_sysadm else [project_in_group.c.project_id == call.actor.project_id]
    if call.trashed_projects:
        seen.append(project_in_group.c.project_id.not_in(call.trashed_projects))
    # A project in a group, or a group without projects, in one number.
    member = ProjectGroup.id * 2**32 + func.coalesce(project_in_group.c.project_id, 0)
    statement: Any = (
        select(ProjectGroup, Project.name.label("project"), member.label("member"))
        .outerjoin(project_in_group, and_(project_in_group.c.group_id == ProjectGroup.id, *seen))
        .outerjoin(Project, Project.id == project_in_group.c.project_id)
        .where(*visible(call, ProjectGroup))
    )
    first_project = first_name(
        project_in_group, "group_id", "project_id", Project, ProjectGroup, *visible(call, Project)
    )
    found, total = listing(
        call,
        statement,
        query,
        columns={
            "name": ProjectGroup.name,
            "project": Project.name,
            "directory": ProjectGroup.directory,
            "description": ProjectGroup.description,
            "projects": first_project,
            "created": ProjectGroup.created,
        },
        tie=member,
        search=[ProjectGroup.name, Project.name, ProjectGroup.directory, ProjectGroup.description],
        filters={"project": lambda value: (Project.name == value) | (Project.uuid == value)},
        # By the group first, whose number has an index.
        among=lambda numbers: and_(ProjectGroup.id.in_({n >> 32 for n in numbers}), member.in_(numbers)),
    )
    groups = {group["uuid"]: group for group in _rows(call, list({f.ProjectGroup for f in found}))}
    counts = _groups_of(call, {f.member % 2**32 for f in found})
    rows = [
        {
            **groups[f.ProjectGroup.uuid],
            "project": f.project or "",
            "member": str(f.member),
            "groups": counts.get(f.member % 2**32, 0),
        }
        for f in found
    ]
    return answer(rows, total)


def _groups_of(call: Call, projects: set[int]) -> dict[int, int]:
    """How many groups each of some projects is in."""
    counted = (
        select(project_in_group.c.project_id, func.count())
        .where(project_in_group.c.project_id.in_(projects))
        .group_by(project_in_group.c.project_id)
    )
    return {row[0]: row[1] for row in call.session.execute(counted)}


def _holds(call: Call, project: Any) -> Any:
    return ProjectGroup.id.in_(
        select(project_in_group.c.group_id)
        .join(Project, Project.id == project_in_group.c.project_id)
        # Asked for another project, its admin would learn that it is in the same group.
        .where((Project.name == project) | (Project.uuid == project), *visible(call, Project))
    )


@operation("project-group.show", roles=EVERYBODY)
def show(call: Call, *, project_group: str) -> Answer:
    """One project group."""
    return _rows(call, [find(call, ProjectGroup, project_group, field="project_group")])[0]


@operation("project-group.add", roles=SYSTEM_ADMIN, action=N_("Add"), target="name")
def add(call: Call, *, name: str, directory: str, description: str = "") -> Answer:
    """Make a project group."""
    return _rows(call, [create(call, name=name, directory=directory, description=description)])[0]


def create(call: Call, *, name: str, directory: str, description: str = "") -> ProjectGroup:
    """Enter a project group; its directory is made by the host that first needs it.

    Raises:
        InvalidInput: a rule is broken, or the directory is in another group's.
        AlreadyExists: the name is taken.
    """
    ruled("name", names.name, name)
    ruled("directory", names.directory, directory)
    ruled("description", names.prose, description)
    unused(call, ProjectGroup.name == name, name)
    clean = _apart(call, directory, None)
    group = ProjectGroup(name=name, directory=clean, description=description, created=call.clock.now())
    call.session.add(group)
    call.session.flush()
    call.note(name, object=group.uuid, directory=clean)
    call.changed("project-group")
    return group


def _apart(call: Call, directory: str, group_id: int | None) -> str:
    """The directory without needless slashes; refused when one could read another's files in it."""
    clean = tidy(directory)
    charge_directories(call.session)
    refuse_temporary(call, clean, field="directory")
    groups = select(ProjectGroup.name, ProjectGroup.directory).where(ProjectGroup.id != (group_id or 0))
    pools = select(Pool.name, Pool.path)
    for statement, message in (
        (groups, N_("{directory} overlaps with the directory of project group {name} ({other}).")),
        (pools, N_("{directory} overlaps with the directory of storage pool {name} ({other}).")),
    ):
        for name, other in call.session.execute(statement):
            if (clean + "/").startswith(other + "/") or (other + "/").startswith(clean + "/"):
                raise InvalidInput(
                    message,
                    remedy=N_("Choose another directory."),
                    field="directory",
                    directory=clean,
                    name=name,
                    other=other,
                )
    return clean


@operation("project-group.edit", roles=SYSTEM_ADMIN, action=N_("Edit"), target="project_group")
def edit_(
    call: Call,
    *,
    project_group: str,
    name: str | None = None,
    directory: str | None = None,
    description: str | None = None,
    version: int | None = None,
) -> Answer:
    """Change a project group; its directory only while no image is in it."""
    group = find(call, ProjectGroup, project_group, field="project_group")
    ruled("name", names.name, name)
    ruled("directory", names.directory, directory)
    ruled("description", names.prose, description)
    if name is not None and name != group.name:
        unused(call, ProjectGroup.name == name, name)
    if directory is not None:
        directory = _apart(call, directory, group.id)
        if directory != group.directory:
            trashed = select(Image.project_id).where(Image.group_id == group.id)
            refuse_trashed(call, "project_group", group.name, Project.__table__.c.id.in_(trashed))
            _refuse_images(call, group, Image.group_id == group.id)
    call.note(group.name)
    edit(call, group, version, {"name": name, "directory": directory, "description": description})
    call.changed("project-group")
    return _rows(call, [group])[0]


def _refuse_images(call: Call, group: ProjectGroup, *which: Any) -> None:
    images = list(call.session.scalars(select(Image.name).where(*which).order_by(Image.name).limit(6)))
    if images:
        raise InUse(
            N_("Images are registered in project group {name}: {images}."),
            remedy=N_("Delete them first."),
            name=group.name,
            images=some(images),
        )


def _refuse_used(call: Call, group: ProjectGroup, member: Project) -> None:
    """Refuse to take a project out of a group while its instances use images that others registered there.

    Raises:
        InUse: names the instances, and what they use.
    """
    # Who gives an image to an instance of the project charges the project too: one of the two waits.
    charge(call.session, Project, member.id)
    using = call.session.execute(
        select(Instance.name, Image.name.label("image"))
        .join(instance_image, instance_image.c.instance_id == Instance.id)
        .join(Image, Image.id == instance_image.c.image_id)
        .where(Instance.project_id == member.id, Image.group_id == group.id)
        .order_by(Instance.name, Image.name)
        .limit(6)
    ).all()
    if using:
        raise InUse(
            N_("Instances of project {project} use images of the group: {instances}."),
            remedy=N_("Take the images out of them first, or delete the instances."),
            field="project",
            project=member.name,
            instances=some(f"{row.name} ({row.image})" for row in using),
        )


@operation("project-group.delete", roles=SYSTEM_ADMIN, action=N_("Delete"), target="project_group")
def delete_(call: Call, *, project_group: str) -> Answer:
    """Delete a project group without projects; its directory stays as it is."""
    group = find(call, ProjectGroup, project_group, field="project_group")
    projects = names_by(call, project_in_group, "group_id", "project_id", Project, [group.id])[group.id]
    if projects:
        raise InUse(
            N_("There are projects in project group {name}: {projects}."),
            remedy=N_("Remove them from the group first."),
            field="project_group",
            name=group.name,
            projects=some(projects),
        )
    members = select(project_in_group.c.project_id).where(project_in_group.c.group_id == group.id)
    refuse_trashed(call, "project_group", group.name, Project.__table__.c.id.in_(members))
    _refuse_images(call, group, Image.group_id == group.id)
    call.session.execute(delete(ProjectGroup).where(ProjectGroup.id == group.id))
    call.note(group.name, object=group.uuid)
    call.changed("project-group")
    return {}


@operation("project-group.add-project", roles=SYSTEM_ADMIN, action=N_("Add project"), target="project_group")
def add_project(call: Call, *, project_group: str, project: str) -> Answer:
    """Put a project into a group as well."""
    group = find(call, ProjectGroup, project_group, field="project_group")
    member = find(call, Project, project, field="project")
    link(call, group, member)
    call.note(group.name, object=group.uuid, project=member.name)
    return _rows(call, [group])[0]


def link(call: Call, group: ProjectGroup, project: Project) -> None:
    """Put a project into a group; that it is there already is no error."""
    there = call.session.scalar(
        select(func.count())
        .select_from(project_in_group)
        .where(project_in_group.c.group_id == group.id, project_in_group.c.project_id == project.id)
    )
    if not there:
        call.session.execute(insert(project_in_group).values(group_id=group.id, project_id=project.id))
    call.changed("project-group", "project")


@operation("project-group.remove-project", roles=SYSTEM_ADMIN, action=N_("Remove project"), target="project_group")
def remove_project(call: Call, *, project_group: str, project: str) -> Answer:
    """Take a project out of a group, its last one too (manual 7.2.2.6): it can register images in none then."""
    group = find(call, ProjectGroup, project_group, field="project_group")
    member = find(call, Project, project, field="project")
    groups = names_by(call, project_in_group, "project_id", "group_id", ProjectGroup, [member.id])[member.id]
    if group.name not in groups:
        raise Refused(
            N_("Project {project} is not in project group {name}."),
            field="project",
            project=member.name,
            name=group.name,
        )
    _refuse_images(call, group, Image.group_id == group.id, Image.project_id == member.id)
    _refuse_used(call, group, member)
    call.session.execute(
        delete(project_in_group).where(
            project_in_group.c.group_id == group.id, project_in_group.c.project_id == member.id
        )
    )
    call.note(group.name, object=group.uuid, project=member.name)
    call.changed("project-group", "project")
    return _rows(call, [group])[0]
