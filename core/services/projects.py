"""Projects: what VMs belong to, what they may use, who manages them (manual 7.2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, update

from core.coordination import runs
from core.coordination.charges import charge
from core.errors import DosvmError, InUse, Refused
from core.i18n import N_
from core.model import (
    HostGroup,
    Image,
    Instance,
    Pool,
    Project,
    ProjectGroup,
    Role,
    User,
    Volume,
    host_group_of_project,
    instance_image,
    instance_volume,
    pool_of_project,
    project_in_group,
)
from core.rules import names
from core.rules.sizes import format_size
from core.services.contents import lines, of_project
from core.services.dismantling import stop_all
from core.services.editing import check_version, edit, touch, unused
from core.services.fields import COUNT_MAX, in_range, ruled, sized
from core.services.listing import Query, answer, flag, iso, listing
from core.services.lookup import find
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.paging import Summed
from core.services.project_groups import link
from core.services.relations import find_all, first_name, hold, names_by, relink, some, wanted
from core.services.trash import discard
from core.services.usage import QUOTAS, used

#: Quotas counted in bytes; the others are numbers of things.
_BYTES = ("memory", "disk", "image_bytes")


def _rows(call: Call, projects: Sequence[Project]) -> list[dict[str, Any]]:
    ids = [project.id for project in projects]
    groups = names_by(call, project_in_group, "project_id", "group_id", ProjectGroup, ids)
    pools = names_by(call, pool_of_project, "project_id", "pool_id", Pool, ids)
    host_groups = names_by(call, host_group_of_project, "project_id", "group_id", HostGroup, ids)
    admins: dict[int, list[str]] = {i: [] for i in ids}
    summed = call.session.execute(select(Project.id, runs.OF_PROJECT).where(Project.id.in_(ids)))
    ran = {project_id: int(total) for project_id, total in summed}
    users = select(User.project_id, User.account).where(User.project_id.in_(ids)).order_by(User.account)
    for project_id, account in call.session.execute(users):
        if project_id is not None:
            admins[project_id].append(account)
    return [
        {
            "uuid": project.uuid,
            "name": project.name,
            "description": project.description,
            "active": project.active,
            "state": "active" if project.active else "inactive",
            "groups": groups[project.id],
            "admins": admins[project.id],
            "pools": pools[project.id],
            "host_groups": host_groups[project.id],
            **{f"max_{quota}": getattr(project, f"max_{quota}") for quota in QUOTAS},
            "vcpu_seconds": ran.get(project.id, 0) // 1000,
            "created": iso(project.created),
            "version": project.version,
        }
        for project in projects
    ]


@operation("project.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """All projects."""
    columns: dict[str, Any] = {
        "name": Project.name,
        "description": Project.description,
        "active": Project.active,
        "state": ~Project.active,  # as its words sort: active before inactive
        "created": Project.created,
    }
    columns |= {f"max_{quota}": getattr(Project, f"max_{quota}") for quota in QUOTAS}
    managing = select(func.min(User.account)).where(User.project_id == Project.id)
    columns |= {
        "admins": managing.correlate(Project).scalar_subquery(),
        "groups": first_name(project_in_group, "project_id", "group_id", ProjectGroup, Project),
        "pools": first_name(pool_of_project, "project_id", "pool_id", Pool, Project),
        "host_groups": first_name(host_group_of_project, "project_id", "group_id", HostGroup, Project),
        "vcpu_seconds": Summed(runs.OF_PROJECT, runs.OPEN_OF_ALL, Project.id, Project.ran_ms),
    }
    rows, total = listing(
        call,
        select(Project),
        query,
        columns=columns,
        tie=Project.id,
        search=[Project.name, Project.description],
        filters={
            "active": lambda value: Project.active.is_(flag(value)),
            "state": lambda value: Project.active.is_(value == "active"),
            "group": lambda value: _linked(project_in_group, "group_id", ProjectGroup, value),
            "pool": lambda value: _linked(pool_of_project, "pool_id", Pool, value),
            "host_group": lambda value: _linked(host_group_of_project, "group_id", HostGroup, value),
        },
    )
    return answer(_rows(call, [found.Project for found in rows]), total)


def _linked(table: Any, other: str, model: Any, value: Any) -> Any:
    owners = select(table.c.project_id).join(model, model.id == table.c[other])
    return Project.id.in_(owners.where((model.name == value) | (model.uuid == value)))


@operation("project.show", roles=EVERYBODY)
def show(call: Call, *, project: str) -> Answer:
    """One project with what it uses (``used_``); for a project admin the own one."""
    found = find(call, Project, project, field="project")
    row = _rows(call, [found])[0]
    # The one that a project is made in, so that another one is made by what is shown here.
    return {**row, "group": next(iter(row["groups"]), ""), **used(call, found)}


@operation("project.add", roles=SYSTEM_ADMIN, action=N_("Add"), target="name")
def add(call: Call, *, name: str, group: str, description: str = "") -> Answer:
    """Make a project in a project group; it is active and may use nothing until it is configured."""
    found = find(call, ProjectGroup, group, field="group")
    return _rows(call, [create(call, name=name, group=found, description=description)])[0]


def create(call: Call, *, name: str, group: ProjectGroup, description: str = "") -> Project:
    """Enter a project.

    Raises:
        InvalidInput: a rule is broken.
        AlreadyExists: the name is taken.
    """
    ruled("name", names.name, name)
    ruled("description", names.prose, description)
    unused(call, Project.name == name, name)
    project = Project(name=name, description=description, created=call.clock.now())
    call.session.add(project)
    call.session.flush()
    link(call, group, project)
    call.note(name, object=project.uuid, group=group.name)
    return project


@operation("project.edit", roles=SYSTEM_ADMIN, action=N_("Edit"), target="project")
def edit_(
    call: Call, *, project: str, name: str | None = None, description: str | None = None, version: int | None = None
) -> Answer:
    """Change a project's name and description; its groups are changed on the groups' side."""
    found = find(call, Project, project, field="project")
    ruled("name", names.name, name)
    ruled("description", names.prose, description)
    if name is not None and name != found.name:
        unused(call, Project.name == name, name)
    call.note(found.name)
    edit(call, found, version, {"name": name, "description": description})
    call.changed("project")
    return _rows(call, [found])[0]


@operation("project.configure", roles=SYSTEM_ADMIN, action=N_("Configure"), target="project")
def configure(
    call: Call,
    *,
    project: str,
    max_instances: int | None = None,
    max_vcpus: int | None = None,
    max_memory: int | None = None,
    max_disk: int | None = None,
    max_images: int | None = None,
    max_image_bytes: int | None = None,
    max_snapshots: int | None = None,
    pools: list[str] | None = None,
    add_pools: list[str] | None = None,
    remove_pools: list[str] | None = None,
    host_groups: list[str] | None = None,
    add_host_groups: list[str] | None = None,
    remove_host_groups: list[str] | None = None,
    admins: list[str] | None = None,
    add_admins: list[str] | None = None,
    remove_admins: list[str] | None = None,
    version: int | None = None,
) -> Answer:
    """Set quotas (numbers, and bytes), and what a project may use and who manages it.

    ``pools`` and its like replace the whole set; ``add_`` and ``remove_`` change it.
    """
    found = find(call, Project, project, field="project")
    charge(call.session, Project, found.id)
    check_version(call, found, version)
    quotas = {
        "max_instances": max_instances,
        "max_vcpus": max_vcpus,
        "max_memory": max_memory,
        "max_disk": max_disk,
        "max_images": max_images,
        "max_image_bytes": max_image_bytes,
        "max_snapshots": max_snapshots,
    }
    call.note(found.name)
    changed = set_quotas(found, quotas)
    for setter, model, key, references in (
        (_set_pools, Pool, "pools", (pools, add_pools, remove_pools)),
        (_set_host_groups, HostGroup, "host_groups", (host_groups, add_host_groups, remove_host_groups)),
        (_set_admins, User, "admins", (admins, add_admins, remove_admins)),
    ):
        changed |= setter(call, found, *(find_all(call, model, r, field=key) for r in references))
    touch(call, found, changed)
    call.changed("project", "user", "pool", "host-group")
    row = _rows(call, [found])[0]
    return row | {"warnings": _overdrawn(row, used(call, found), changed)}


def _overdrawn(row: Answer, uses: Answer, changed: Mapping[str, Any]) -> list[Answer]:
    """What is to be thought of where a quota was set below what is used: nothing is taken away, nothing added."""
    return [
        DosvmError(
            N_("{used} are in use: nothing can be added until less is."),
            field=f"max_{quota}",
            used=format_size(uses[f"used_{quota}"]) if quota in _BYTES else uses[f"used_{quota}"],
        ).to_wire()
        for quota in QUOTAS
        if f"max_{quota}" in changed and uses[f"used_{quota}"] > row[f"max_{quota}"]
    ]


def set_quotas(project: Project, quotas: Mapping[str, int | None]) -> dict[str, list[Any]]:
    """Check quotas and say which of them change, as :func:`core.services.editing.touch` wants it.

    Raises:
        InvalidInput: one is negative or absurd.
    """
    for key, value in quotas.items():
        if key.removeprefix("max_") in _BYTES:
            sized(key, value, 0)
        else:
            in_range(key, value, 0, COUNT_MAX)
    return {
        key: [getattr(project, key), value]
        for key, value in quotas.items()
        if value is not None and value != getattr(project, key)
    }


Rows = Sequence[Any] | None


def _linked_now(call: Call, table: Any, other: str, model: Any, project: Project) -> dict[int, str]:
    found = call.session.execute(
        select(model.id, model.name).join(table, table.c[other] == model.id).where(table.c.project_id == project.id)
    )
    return {row.id: row.name for row in found}


def _set_pools(call: Call, project: Project, replace: Rows, add: Rows, remove: Rows) -> dict[str, list[Any]]:
    now = _linked_now(call, pool_of_project, "pool_id", Pool, project)
    ids = wanted(now, replace, add, remove, "pools")
    gone = set(now) - ids
    if gone:
        volumes = call.session.scalars(
            select(Volume.name)
            .where(Volume.pool_id.in_(gone), Volume.project_id == project.id)
            .order_by(Volume.name)
            .limit(6)
        ).all()
        if volumes:
            raise InUse(
                N_("Project {project} has volumes in the pool: {volumes}."),
                remedy=N_("Delete them first."),
                field="pools",
                project=project.name,
                volumes=some(volumes),
            )
        _refuse_disks(call, project, Volume.pool_id.in_(gone))
    return give_pools(call, project, now, ids)


def _refuse_disks(call: Call, project: Project, which: Any) -> None:
    """Refuse to take from a project what its instances have as disks, also where it belongs to no project.

    Raises:
        InUse: names the instances, and what they use.
    """
    using = call.session.execute(
        select(Instance.name, Pool.name.label("pool"), Volume.name.label("volume"))
        .join(instance_volume, instance_volume.c.instance_id == Instance.id)
        .join(Volume, Volume.id == instance_volume.c.volume_id)
        .join(Pool, Pool.id == Volume.pool_id)
        .where(Instance.project_id == project.id, which)
        .order_by(Instance.name, Pool.name, Volume.name)
        .limit(6)
    ).all()
    if using:
        raise InUse(
            N_("Instances of project {project} use volumes in the pool: {instances}."),
            remedy=N_("Take the volumes out of them first, or delete the instances."),
            field="pools",
            project=project.name,
            instances=some(f"{row.name} ({row.pool}/{row.volume})" for row in using),
        )


def give_pools(call: Call, project: Project, now: Mapping[int, str], ids: set[int]) -> dict[str, list[Any]]:
    """Let a project use these pools and no others."""
    relink(call, pool_of_project, "project_id", project.id, "pool_id", set(now), ids)
    return _difference(call, "pools", Pool, now, ids)


def _set_host_groups(call: Call, project: Project, replace: Rows, add: Rows, remove: Rows) -> dict[str, list[Any]]:
    now = _linked_now(call, host_group_of_project, "group_id", HostGroup, project)
    ids = wanted(now, replace, add, remove, "host_groups")
    gone = set(now) - ids
    if gone:
        refuse_bound(call, gone, {project.id}, field="host_groups")
    hold(call, HostGroup, ids - set(now))
    relink(call, host_group_of_project, "project_id", project.id, "group_id", set(now), ids)
    return _difference(call, "host_groups", HostGroup, now, ids)


def refuse_bound(call: Call, host_groups: set[int], projects: set[int], *, field: str) -> None:
    """Refuse to take host groups from projects whose instances are bound to them.

    Raises:
        InUse: names the instances.
    """
    instances = call.session.scalars(
        select(Instance.name)
        .where(Instance.host_group_id.in_(host_groups), Instance.project_id.in_(projects))
        .order_by(Instance.name)
        .limit(6)
    ).all()
    if instances:
        raise InUse(
            N_("Instances are bound to the host group: {instances}."),
            remedy=N_("Bind them to another one first."),
            field=field,
            instances=some(instances),
        )


def _set_admins(call: Call, project: Project, replace: Rows, add: Rows, remove: Rows) -> dict[str, list[Any]]:
    found = call.session.execute(select(User.id, User.account).where(User.project_id == project.id))
    now = {row.id: row.account for row in found}
    ids = wanted(now, replace, add, remove, "admins")
    for user in (*(replace or ()), *(add or ())):
        if user.role != Role.PROJECT.value:
            raise Refused(N_("{account} manages the system and no project."), field="admins", account=user.account)
        if user.project_id not in (None, project.id):
            other = call.session.scalar(select(Project.name).where(Project.id == user.project_id))
            raise InUse(
                N_("{account} manages project {other} already; everybody manages one."),
                remedy=N_("Remove the account from that project first."),
                field="admins",
                account=user.account,
                other=other,
            )
    for people, project_id in ((ids - set(now), project.id), (set(now) - ids, None)):
        if people:
            call.session.execute(
                update(User)
                .where(User.id.in_(people))
                .values(project_id=project_id)
                .execution_options(synchronize_session=False)
            )
    return _difference(call, "admins", User, now, ids, User.account)


def _difference(
    call: Call, key: str, model: Any, now: Mapping[int, str], ids: set[int], name: Any = None
) -> dict[str, list[Any]]:
    """What changed in a set of relations, by names, as :func:`core.services.editing.touch` wants it."""
    if set(now) == ids:
        return {}
    column = model.name if name is None else name
    after = call.session.scalars(select(column).where(model.id.in_(ids)).order_by(column)).all()
    return {key: [sorted(now.values()), list(after)]}


@operation("project.activate", roles=SYSTEM_ADMIN, action=N_("Activate"), target="project")
def activate(call: Call, *, project: str) -> Answer:
    """Let a project's admins work again."""
    return _set_active(call, project, active=True)


@operation("project.deactivate", roles=SYSTEM_ADMIN, action=N_("Deactivate"), target="project")
def deactivate(call: Call, *, project: str) -> Answer:
    """Keep a project's admins from managing it; what runs goes on running (manual 7.2.1.5)."""
    return _set_active(call, project, active=False)


def _set_active(call: Call, project: str, *, active: bool) -> Answer:
    found = find(call, Project, project, field="project")
    call.note(found.name)
    edit(call, found, None, {"active": active})
    call.changed("project")
    return _rows(call, [found])[0]


@operation("project.delete", roles=SYSTEM_ADMIN, action=N_("Delete"), target="project")
def delete_(call: Call, *, project: str, everything: bool = False) -> Answer:
    """Put a project into the trash; one that is not empty only with ``everything``, which stops its VMs first.

    What it owns keeps its place on the disks until the project is restored, or deleted for good.
    """
    found = find(call, Project, project, field="project")
    charge(call.session, Project, found.id)
    holds = of_project(call, found.id)
    if holds and not everything:
        raise InUse(
            N_("Project {name} is not empty. {contents}"),
            remedy=N_("Delete them first, or confirm that everything is to be deleted (`--everything`)."),
            field="everything",
            name=found.name,
            contents=lines(holds),
        )
    _refuse_shared(call, found)
    tasks = stop_all(call, found.id, force=False)
    # By their UUIDs: the number of a user who is deleted for good may become another's.
    admins = list(call.session.scalars(select(User.uuid).where(User.project_id == found.id)))
    if admins:
        call.session.execute(
            update(User)
            .where(User.uuid.in_(admins))
            .values(project_id=None)
            .execution_options(synchronize_session=False)
        )
    discard(call, found, admins=admins)
    call.note(found.name, object=found.uuid, everything=everything)
    call.changed("project", "project-group", "host-group", "pool", "user", "vm", "instance", "volume", "image")
    return {"uuid": found.uuid, "name": found.name, "tasks": tasks}


def _refuse_shared(call: Call, project: Project) -> None:
    """Refuse to take away images that instances of other projects use."""
    users = call.session.execute(
        select(Image.name, Instance.name.label("instance"))
        .join(instance_image, instance_image.c.image_id == Image.id)
        .join(Instance, Instance.id == instance_image.c.instance_id)
        .where(Image.project_id == project.id, Instance.project_id != project.id)
        .order_by(Image.name)
        .limit(6)
    ).all()
    if users:
        raise InUse(
            N_("Images of project {name} are used by instances of other projects: {images}."),
            remedy=N_("Take them out of those instances first."),
            field="project",
            name=project.name,
            images=some(f"{row.name} ({row.instance})" for row in users),
        )
