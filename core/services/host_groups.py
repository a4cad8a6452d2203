"""Host groups: hosts alike enough to run the same VMs, given to projects (manual 6.2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select

from core.errors import InUse
from core.i18n import N_
from core.model import Host, HostGroup, Instance, Project, host_group_of_project, host_in_group
from core.rules import names
from core.services.editing import check_version, touch, unused
from core.services.fields import ruled
from core.services.listing import Query, answer, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.projects import refuse_bound
from core.services.relations import find_all, first_name, hold, names_by, relink, some
from core.services.trash import discard, refuse_trashed


def _rows(call: Call, groups: Sequence[HostGroup]) -> list[dict[str, Any]]:
    ids = [group.id for group in groups]
    hosts = names_by(call, host_in_group, "group_id", "host_id", Host, ids)
    projects = names_by(call, host_group_of_project, "group_id", "project_id", Project, ids)
    if not call.actor.is_sysadm:
        own = call.session.scalar(select(Project.name).where(Project.id == call.actor.project_id))
        projects = {group: [name for name in found if name == own] for group, found in projects.items()}
    return [
        {
            "uuid": group.uuid,
            "name": group.name,
            "description": group.description,
            "hosts": hosts[group.id],
            "projects": projects[group.id],
            "created": iso(group.created),
            "version": group.version,
        }
        for group in groups
    ]


@operation("host-group.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All host groups; for a project admin those the project may use."""
    rows, total = listing(
        call,
        select(HostGroup).where(*visible(call, HostGroup)),
        query,
        columns={
            "name": HostGroup.name,
            "description": HostGroup.description,
            "hosts": first_name(host_in_group, "group_id", "host_id", Host, HostGroup),
            "projects": first_name(
                host_group_of_project, "group_id", "project_id", Project, HostGroup, *visible(call, Project)
            ),
            "created": HostGroup.created,
        },
        tie=HostGroup.id,
        search=[HostGroup.name, HostGroup.description],
        filters={
            "host": lambda value: HostGroup.id.in_(
                select(host_in_group.c.group_id)
                .join(Host, Host.id == host_in_group.c.host_id)
                .where((Host.name == value) | (Host.uuid == value))
            ),
            "project": lambda value: HostGroup.id.in_(
                select(host_group_of_project.c.group_id)
                .join(Project, Project.id == host_group_of_project.c.project_id)
                .where((Project.name == value) | (Project.uuid == value), *visible(call, Project))
            ),
        },
    )
    return answer(_rows(call, [found.HostGroup for found in rows]), total)


@operation("host-group.show", roles=EVERYBODY)
def show(call: Call, *, host_group: str) -> Answer:
    """One host group; its hosts with their state now under ``members``."""
    group = find(call, HostGroup, host_group, field="host_group")
    inside = call.session.execute(
        select(Host.id, Host.name)
        .join(host_in_group, host_in_group.c.host_id == Host.id)
        .where(host_in_group.c.group_id == group.id)
        .order_by(Host.name, Host.id)
    )
    members = []
    for host in inside:
        view = call.cloud.host(host.id)
        members.append({"name": host.name, "state": view.state if view else "unknown"})
    return {**_rows(call, [group])[0], "members": members}


@operation("host-group.add", roles=SYSTEM_ADMIN, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    description: str = "",
    hosts: list[str] | None = None,
    projects: list[str] | None = None,
) -> Answer:
    """Make a host group of these hosts for these projects."""
    members = find_all(call, Host, hosts, field="hosts") or []
    users = find_all(call, Project, projects, field="projects") or []
    return _rows(call, [create(call, name=name, description=description, hosts=members, projects=users)])[0]


def create(
    call: Call, *, name: str, description: str = "", hosts: Iterable[Host] = (), projects: Iterable[Project] = ()
) -> HostGroup:
    """Enter a host group.

    Raises:
        InvalidInput: a rule is broken.
        AlreadyExists: the name is taken.
    """
    ruled("name", names.name, name)
    ruled("description", names.prose, description)
    unused(call, HostGroup.name == name, name)
    group = HostGroup(name=name, description=description, created=call.clock.now())
    call.session.add(group)
    call.session.flush()
    members, users = list(hosts), list(projects)
    relink(call, host_in_group, "group_id", group.id, "host_id", set(), {host.id for host in members})
    relink(call, host_group_of_project, "group_id", group.id, "project_id", set(), {p.id for p in users})
    call.note(
        name, object=group.uuid, hosts=[host.name for host in members], projects=[project.name for project in users]
    )
    call.changed("host-group", "project")
    return group


@operation("host-group.edit", roles=SYSTEM_ADMIN, action=N_("Edit"), target="host_group")
def edit_(
    call: Call,
    *,
    host_group: str,
    name: str | None = None,
    description: str | None = None,
    hosts: list[str] | None = None,
    projects: list[str] | None = None,
    version: int | None = None,
) -> Answer:
    """Change a host group; ``hosts`` and ``projects`` replace what it had."""
    group = find(call, HostGroup, host_group, field="host_group")
    check_version(call, group, version)
    ruled("name", names.name, name)
    ruled("description", names.prose, description)
    if name is not None and name != group.name:
        unused(call, HostGroup.name == name, name)
    call.note(group.name)
    changed: dict[str, list[Any]] = {
        key: [getattr(group, key), value]
        for key, value in {"name": name, "description": description}.items()
        if value is not None and value != getattr(group, key)
    }
    changed |= _set(call, group, host_in_group, "host_id", Host, find_all(call, Host, hosts, field="hosts"), "hosts")
    changed |= _set(
        call,
        group,
        host_group_of_project,
        "project_id",
        Project,
        find_all(call, Project, projects, field="projects"),
        "projects",
    )
    touch(call, group, changed)
    call.changed("host-group", "project")
    return _rows(call, [group])[0]


def _set(
    call: Call, group: HostGroup, table: Any, other: str, model: Any, rows: Sequence[Any] | None, key: str
) -> dict[str, list[Any]]:
    if rows is None:
        return {}
    found = call.session.execute(
        select(model.id, model.name).join(table, table.c[other] == model.id).where(table.c.group_id == group.id)
    )
    now = {row.id: row.name for row in found}
    ids = {row.id for row in rows}
    if model is Project and set(now) - ids:
        refuse_bound(call, {group.id}, set(now) - ids, field="projects")
    if set(now) == ids:
        return {}
    relink(call, table, "group_id", group.id, other, set(now), ids)
    return {key: [sorted(now.values()), sorted(row.name for row in rows)]}


@operation("host-group.delete", roles=SYSTEM_ADMIN, action=N_("Delete"), target="host_group")
def delete_(call: Call, *, host_group: str) -> Answer:
    """Put a host group into the trash that no project uses and no instance is bound to (manual 6.2.1.4)."""
    group = find(call, HostGroup, host_group, field="host_group")
    # Who gives the group to a project at this moment is seen here, or sees it gone.
    hold(call, HostGroup, {group.id})
    projects = names_by(call, host_group_of_project, "group_id", "project_id", Project, [group.id])[group.id]
    if projects:
        raise InUse(
            N_("Host group {name} is given to projects: {projects}."),
            remedy=N_("Take it from them first."),
            field="host_group",
            name=group.name,
            projects=some(projects),
        )
    bound = call.session.scalars(
        select(Instance.name).where(Instance.host_group_id == group.id).order_by(Instance.name).limit(6)
    ).all()
    if bound:
        raise InUse(
            N_("Instances are bound to host group {name}: {instances}."),
            remedy=N_("Bind them to another one first."),
            field="host_group",
            name=group.name,
            instances=some(bound),
        )
    given = select(host_group_of_project.c.project_id).where(host_group_of_project.c.group_id == group.id)
    refuse_trashed(call, "host_group", group.name, Project.__table__.c.id.in_(given))
    discard(call, group)
    call.note(group.name, object=group.uuid)
    call.changed("host-group")
    return {}
