"""Images: files in a project group's directory that serve as disk or CD (manual 9.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, case, select, update

from core.coordination.charges import charge, fit_images
from core.coordination.machines import stored_spec
from core.coordination.storage import image_deletion, image_path, remove_upload
from core.coordination.tasks import targets_with_tasks
from core.errors import AlreadyExists, InUse, InvalidInput, Refused, Unavailable
from core.i18n import N_
from core.model import (
    Image,
    Instance,
    Machine,
    Project,
    ProjectGroup,
    Task,
    host_group_of_project,
    instance_image,
    project_in_group,
)
from core.rules import names
from core.services.cloud import HostView
from core.services.editing import check_version, edit, unused
from core.services.fields import ruled
from core.services.listing import Query, answer, called, flag, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, PROJECT_ADMIN, Answer, Call, operation
from core.services.orders import idle, order
from core.services.paging import Named
from core.services.relations import first_name, names_by, some
from core.services.sharing import alone

#: What the file of an image may be (manual 9.5); ``iso`` is raw that must hold the file system of a CD or DVD.
FORMATS = ("raw", "qcow2", "qcow", "iso")
#: States in which an instance may name an image; a VM starts when it is there.
USABLE = ("present", "creating")
#: For people only: what the image is meant for.
ARCHITECTURES = ("x86_64", "i686")
#: The file of the sample image, which its host makes.
SAMPLE_FILE = "sample.iso"


def _own_uploads(call: Call) -> list[Any]:
    """Uploads under way, and those that were broken off, are for the project's people and who manages the system."""
    if call.actor.is_sysadm:
        return []
    return [(Image.state != "uploading") | (Image.project_id == call.actor.project_id)]


def _statement() -> Any:
    return (
        select(
            Image,
            ProjectGroup.name.label("group"),
            ProjectGroup.directory.label("directory"),
            Project.name.label("project"),
        )
        .join(ProjectGroup, ProjectGroup.id == Image.group_id)
        .join(Project, Project.id == Image.project_id)
    )


def _users(call: Call, ids: Iterable[int]) -> dict[int, list[str]]:
    """The names of the instances that use images, as far as the caller may see them."""
    return names_by(call, instance_image, "image_id", "instance_id", Instance, ids, *visible(call, Instance))


def _rows(call: Call, found: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    users = _users(call, [row.Image.id for row in found])
    return [
        {
            "uuid": row.Image.uuid,
            "name": row.Image.name,
            "file": row.Image.file,
            "path": image_path(row.directory, row.Image.file),
            "group": row.group,
            "project": row.project,
            "own": row.Image.project_id == call.actor.project_id,
            "format": row.Image.format,
            "architecture": row.Image.architecture,
            "shared": row.Image.shared,
            "read_only": row.Image.read_only,
            "size": row.Image.size,
            "virtual_size": row.Image.virtual_size,
            "digest": row.Image.digest,
            "state": row.Image.state,
            # How much of an upload has arrived.
            "percent": 100 * min(row.Image.received, row.Image.size) // max(1, row.Image.size)
            if row.Image.state == "uploading"
            else None,
            "instances": users[row.Image.id],
            "description": row.Image.description,
            "created": iso(row.Image.created),
            "version": row.Image.version,
        }
        for row in found
    ]


@operation("image.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All images; for a project admin all of the project's groups (manual 9.5.2)."""
    rows, total = listing(
        call,
        # What is not whole counts in its project's quota, and is nobody else's to see.
        select(Image.id).where(*visible(call, Image), *_own_uploads(call)),
        query,
        columns={
            "name": Image.name,
            "file": Image.file,
            "group": Named(Image.group_id, ProjectGroup.name),
            "project": Named(Image.project_id, Project.name),
            "format": Image.format,
            "architecture": Image.architecture,
            "shared": Image.shared,
            "read_only": Image.read_only,
            "size": Image.size,
            "virtual_size": Image.virtual_size,
            "state": Image.state,
            # No comes before yes.
            "own": case((Image.project_id == call.actor.project_id, 1), else_=0),
            "instances": first_name(
                instance_image, "image_id", "instance_id", Instance, Image, *visible(call, Instance)
            ),
            "digest": Image.digest,
            "created": Image.created,
        },
        tie=Image.id,
        search=[Image.name, Image.file, Image.description],
        filters={
            "group": lambda value: Image.group_id.in_(called(ProjectGroup, value)),
            "project": lambda value: Image.project_id.in_(called(Project, value)),
            "format": lambda value: Image.format == value,
            "state": lambda value: Image.state == value,
            "shared": lambda value: Image.shared.is_(flag(value)),
            "usable": lambda value: Image.state.in_(USABLE) if flag(value) else Image.state.not_in(USABLE),
        },
        rows=_statement(),
    )
    return answer(_rows(call, rows), total)


def _show(call: Call, image: Image) -> dict[str, Any]:
    return _rows(call, call.session.execute(_statement().where(Image.id == image.id)).all())[0]


@operation("image.show", roles=EVERYBODY)
def show(call: Call, *, image: str) -> Answer:
    """One image."""
    return _show(call, find(call, Image, image, field="image"))


@operation("image.add", roles=PROJECT_ADMIN, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    file: str,
    group: str = "",
    format: str = "raw",  # noqa: A002 (what people call it)
    architecture: str = "x86_64",
    shared: bool = True,
    read_only: bool = True,
    description: str = "",
) -> Answer:
    """Register a file that is in the group's directory already; a host looks whether it is what was said."""
    project = call.session.scalars(select(Project).where(Project.id == call.actor.project_id)).one()
    where = group_of(call, project, group)
    check_values(name=name, file=file, format=format, architecture=architecture, description=description)
    image = enter(
        call,
        where,
        project,
        name=name,
        file=file,
        format=format,
        architecture=architecture,
        shared=shared,
        read_only=read_only,
        description=description,
    )
    return order(call, "image.check", image, host_of(call, image).id, project_id=project.id)


def create_sample_image(
    call: Call, group: ProjectGroup, project: Project, *, name: str = "sample"
) -> tuple[Image, Answer]:
    """Enter the sample guest's image, and the task by which this host puts its file into the group's directory.

    Returns:
        The image; ``task``, ``uuid`` and ``name``.

    Raises:
        QuotaExceeded: the project may have no more images.
        Unavailable: no host is up.
    """
    image = enter(
        call,
        group,
        project,
        name=name,
        file=SAMPLE_FILE,
        format="raw",
        architecture="x86_64",
        shared=True,
        read_only=True,
        description="",
    )
    return image, order(
        call, "image.install", image, host_of(call, image).id, project_id=project.id, payload={"source": "sample"}
    )


def enter(
    call: Call, group: ProjectGroup, project: Project, *, name: str, file: str, state: str = "creating", **values: Any
) -> Image:
    """Enter an image that comes to be.

    Raises:
        QuotaExceeded: the project may have no more.
        AlreadyExists: the group has an image of this name or file.
    """
    charge(call.session, Project, project.id)
    fit_images(call.session, project.id)
    _unused_name(call, group.id, name)
    _unused_file(call, group.id, file)
    image = Image(
        name=name,
        file=file,
        group_id=group.id,
        project_id=project.id,
        state=state,
        created=call.clock.now(),
        **values,
    )
    call.session.add(image)
    call.session.flush()
    call.note(name, object=image.uuid, group=group.name, file=file, format=image.format)
    call.changed("image")
    return image


def check_values(
    *,
    name: str | None = None,
    file: str | None = None,
    format: str | None = None,  # noqa: A002
    architecture: str | None = None,
    description: str | None = None,
) -> None:
    """Refuse values that break a rule, at their field; None is not looked at."""
    ruled("name", names.name, name)
    ruled("file", names.file_name, file)
    if format is not None and format not in FORMATS:
        raise InvalidInput(N_("An image's format is one of: {formats}."), field="format", formats=", ".join(FORMATS))
    if architecture is not None and architecture not in ARCHITECTURES:
        raise InvalidInput(
            N_("An image's architecture is one of: {architectures}."),
            field="architecture",
            architectures=", ".join(ARCHITECTURES),
        )
    ruled("description", names.prose, description)


def group_of(call: Call, project: Project, group: str) -> ProjectGroup:
    """The group that is named, or the only one that the project is in.

    Raises:
        InvalidInput: it is in several.
    """
    if group:
        return find(call, ProjectGroup, group, field="group")
    groups = call.session.scalars(
        select(ProjectGroup)
        .join(project_in_group, project_in_group.c.group_id == ProjectGroup.id)
        .where(project_in_group.c.project_id == project.id)
        .order_by(ProjectGroup.name)
    ).all()
    if len(groups) != 1:
        raise InvalidInput(
            N_("Project {project} is in several project groups: {groups}."),
            remedy=N_("Name the one whose directory the file is in."),
            field="group",
            project=project.name,
            groups=some(group.name for group in groups),
        )
    return groups[0]


def _unused_name(call: Call, group_id: int, name: str) -> None:
    """Images of a group are chosen by name, so each has its own there."""
    unused(call, (Image.group_id == group_id) & (Image.name == name), name)


def _unused_file(call: Call, group_id: int, file: str) -> None:
    """One file is one image: two could contradict each other on whether it may be written."""
    taken = call.session.scalar(select(Image.id).where(Image.group_id == group_id, Image.file == file))
    if taken is not None:
        raise AlreadyExists(
            N_("The file {file} is registered as an image already."),
            remedy=N_(
                "Use that image, or give another name in the field File: an upload makes that file; to register one,"
                " copy the file under that name first."
            ),
            field="file",
            file=file,
        )


def host_of(call: Call, image: Image) -> HostView:
    """Who looks at an image's file: who did before, else this host, else one of the project's, else any that is up.

    Raises:
        Unavailable: none is up.
    """
    up = {view.id: view for view in call.cloud.hosts() if view.state == "up"}
    if not up:
        raise Unavailable(N_("No host is up that could look at the file."), remedy=N_("Start hostd on one of them."))
    before = call.session.scalar(
        select(Task.host_id).where(Task.target == image.uuid, Task.host_id.in_(up)).order_by(Task.id.desc()).limit(1)
    )
    if before is not None:
        return up[before]
    for view in up.values():
        if view.uuid == call.cloud.me:
            return view
    given = set(
        call.session.scalars(
            select(host_group_of_project.c.group_id).where(host_group_of_project.c.project_id == image.project_id)
        )
    )
    return min(up.values(), key=lambda view: (not view.groups & given, view.name))


@operation("image.edit", roles=PROJECT_ADMIN, action=N_("Edit"), target="image")
def edit_(
    call: Call,
    *,
    image: str,
    name: str | None = None,
    file: str | None = None,
    format: str | None = None,  # noqa: A002
    architecture: str | None = None,
    shared: bool | None = None,
    read_only: bool | None = None,
    description: str | None = None,
    version: int | None = None,
) -> Answer:
    """Change what is said of an image of the project's groups, also another project's (manual 9.5.2).

    ``shared``: whether several VMs may use it at once; otherwise it is one VM's.

    Another file or format is looked at by a host first (``task`` in the answer), and goes back when it is wrong.
    """
    found = find(call, Image, image, field="image")
    check_version(call, found, version)
    check_values(name=name, file=file, format=format, architecture=architecture, description=description)
    if name is not None and name != found.name:
        _unused_name(call, found.group_id, name)
    if file is not None and file != found.file:
        _unused_file(call, found.group_id, file)
    if found.state == "uploading":
        raise Refused(
            N_("{name} is being uploaded."),
            remedy=N_("Change it when all of it is there."),
            field="image",
            name=found.name,
        )
    before = {
        "file": found.file,
        "format": found.format,
        "state": found.state,
        "digest": found.digest,
        "received": found.received,
    }
    # What is in the place of a file that was missing is looked at as it is now.
    missing = found.state == "missing" and (file, format) != (None, None)
    again = missing or file not in (None, found.file) or format not in (None, found.format)
    if again:
        idle(call, found, field="image")
    call.note(found.name)
    changed = edit(
        call,
        found,
        version,
        {
            "name": name,
            "file": file,
            "format": format,
            "architecture": architecture,
            "shared": shared,
            "read_only": read_only,
            "description": description,
            # Nothing starts from it until a host has looked at it.
            "state": "creating" if again else None,
        },
    )
    if changed.keys() & {"file", "format", "read_only"}:
        _refuse_used(call, found)
    if missing or "file" in changed:
        # The sum was of what was uploaded, and this is another file.
        found.digest, found.received = "", 0
    if "shared" in changed:
        _share(call, found)
    call.changed("image")
    if not again:
        return _show(call, found)
    host_id = host_of(call, found).id
    done = order(call, "image.check", found, host_id, project_id=call.actor.project_id, payload={"before": before})
    return {**_show(call, found), **done}


def _share(call: Call, image: Image) -> None:
    """Hold the instances that use an image to whether VMs share it by now.

    Raises:
        InUse: it shall be one VM's, and several use it.
    """
    using = call.session.scalars(
        select(Instance)
        .join(instance_image, instance_image.c.instance_id == Instance.id)
        .where(instance_image.c.image_id == image.id)
        .order_by(Instance.name)
    ).all()
    if not image.shared:
        ids = [instance.id for instance in using]
        vms = call.session.execute(
            select(Machine.name, Machine.project_id).where(Machine.instance_id.in_(ids)).order_by(Machine.name)
        ).all()
        if len(using) > 1 or len(vms) > 1:
            mine = call.actor.project_id
            own = [instance.name for instance in using if instance.project_id == mine]
            own += [name for name, project_id in vms if project_id == mine]
            raise InUse(
                N_("Image {name} is used by several instances or VMs already: {users}."),
                remedy=N_("Take it out of all but one first."),
                field="shared",
                name=image.name,
                users=some(own) or "-",
            )
    # The true value is what each of them has by its other disks too.
    for instance in using:
        call.session.execute(
            update(Instance)
            .where(Instance.id == instance.id)
            .values(unique=alone(call, stored_spec(instance.spec)))
            .execution_options(synchronize_session=False)
        )


def own(call: Call, reference: str) -> Image:
    """An image that the caller's project registered: others may not delete it.

    Raises:
        NotFound: there is none that the caller may see.
        Refused: it is another project's.
    """
    found = find(call, Image, reference, field="image")
    if found.project_id != call.actor.project_id:
        owner = call.session.scalar(select(Project.name).where(Project.id == found.project_id))
        raise Refused(
            N_("Image {name} belongs to project {project}."),
            remedy=N_("Only an administrator of that project may delete it."),
            field="image",
            name=found.name,
            project=owner,
        )
    return found


def end_upload(call: Call, image: Image) -> bool:
    """Give an upload up, if it is one that is not whole: its host removes what has arrived when the row is gone."""
    if image.state != "uploading" or not remove_upload(call.session, image.uuid):
        return False
    call.note(image.name, object=image.uuid, file=image.file)
    call.changed("image")
    return True


@operation("image.delete", roles=PROJECT_ADMIN, action=N_("Delete"), target="image")
def delete_(call: Call, *, image: str) -> Answer:
    """Delete an image of the own project that no instance uses, and its file."""
    found = own(call, image)
    if end_upload(call, found):
        return {"uuid": found.uuid, "name": found.name}
    before = _claim(call, found)
    idle(call, found, field="image")
    _refuse_used(call, found)
    call.note(found.name, object=found.uuid, file=found.file)
    call.changed("image")
    payload = image_deletion(call.session, found.uuid, before)
    return order(call, "image.delete", found, host_of(call, found).id, project_id=found.project_id, payload=payload)


def _claim(call: Call, image: Image) -> str:
    """Let an image be *deleting*, unless somebody works on it; who gives it to an instance just now waits for this.

    Returns:
        The state before. *creating* or *deleting* is what a task left whose end could not be written.

    Raises:
        Refused: something else is being done with it.
    """
    mine = update(Image).where(Image.id == image.id).execution_options(synchronize_session=False)
    call.session.execute(mine.values(version=Image.version + 1))
    call.session.refresh(image)
    before = image.state
    if before in ("creating", "deleting") and targets_with_tasks(call.session, [image.uuid]):
        raise Refused(
            N_("Something else is being done with {name}."),
            remedy=N_("Wait for its task to end."),
            field="image",
            name=image.name,
        )
    call.session.execute(mine.values(state="deleting"))
    return before


def _refuse_used(call: Call, image: Image, *which: Any) -> None:
    """Refuse what an instance uses, running or not (manual 9.5.4); names those the caller may see.

    Raises:
        InUse: one does.
    """
    using = (
        select(Instance.name, Instance.project_id)
        .join(instance_image, instance_image.c.instance_id == Instance.id)
        .where(instance_image.c.image_id == image.id, *which)
        .order_by(Instance.name)
        .limit(100)
    )
    users = call.session.execute(using).all()
    if not users:
        return
    own = [name for name, project_id in users if project_id == call.actor.project_id]
    if not own:
        raise InUse(
            N_("Image {name} is used by instances of other projects."),
            remedy=N_("Ask their administrators."),
            field="image",
            name=image.name,
        )
    raise InUse(
        N_("Image {name} is used by instances: {instances}."),
        remedy=N_("Take it out of them first."),
        field="image",
        name=image.name,
        instances=some(own),
    )
