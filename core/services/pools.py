"""Storage pools: places for volumes, each on its host, given to projects (manual 9.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, Select, func, select

from core.coordination.charges import charge
from core.coordination.tasks import worked_on
from core.errors import InUse, InvalidInput
from core.i18n import N_
from core.libvirt_xml import pool_xml
from core.model import (
    Host,
    Pool,
    Project,
    ProjectGroup,
    Volume,
    pool_of_project,
)
from core.rules import names
from core.services.editing import edit, unused
from core.services.fields import SIZE_MAX, in_range, ruled
from core.services.listing import Query, answer, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.orders import idle, order, reachable
from core.services.relations import find_all, names_by, relink, some
from core.services.trash import refuse_trashed

#: Kinds of pools that can be made. The other ones of the manual come with their own needs.
KINDS = ("dir",)

_USED = (
    select(func.coalesce(func.sum(Volume.capacity), 0))
    .where(Volume.pool_id == Pool.id)
    .correlate(Pool)
    .scalar_subquery()
)
_VOLUMES = select(func.count()).select_from(Volume).where(Volume.pool_id == Pool.id).correlate(Pool).scalar_subquery()


_ACTIVATING = worked_on(Pool, "pool.activate")
_RELEASING = worked_on(Pool, "pool.release")


def _statement() -> Select[Any]:
    return select(
        Pool,
        Host.name.label("host"),
        _USED.label("used"),
        _VOLUMES.label("volumes"),
        _ACTIVATING.label("activating"),
        _RELEASING.label("releasing"),
    ).outerjoin(Host, Host.id == Pool.host_id)


def _state(call: Call, pool: Pool, activating: bool, releasing: bool) -> str:
    """How a pool is: what is being done with it, then how its host is, then what the host said of it last."""
    if releasing:
        return "deleting"
    if activating:
        return "creating"
    view = call.cloud.host(pool.host_id) if pool.host_id is not None else None
    if view is not None and view.state == "down":
        return "down"
    if pool.error:
        return "failed"
    return "active" if view is not None and view.state == "up" else "unknown"


def _rows(call: Call, found: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    page = list(found)
    projects = names_by(call, pool_of_project, "pool_id", "project_id", Project, [row.Pool.id for row in page])
    if not call.actor.is_sysadm:
        own = call.session.scalar(select(Project.name).where(Project.id == call.actor.project_id))
        projects = {pool: [name for name in given if name == own] for pool, given in projects.items()}
    return [
        {
            "uuid": row.Pool.uuid,
            "name": row.Pool.name,
            "type": row.Pool.kind,
            "state": _state(call, row.Pool, row.activating, row.releasing),
            "capacity": row.Pool.capacity,
            "used": int(row.used),
            "volumes": row.volumes,
            "host": row.host or "",
            "path": row.Pool.path,
            "projects": projects[row.Pool.id],
            "description": row.Pool.description,
            "vendor": row.Pool.vendor,
            "product": row.Pool.product,
            "error": row.Pool.error,
            "created": iso(row.Pool.created),
            "version": row.Pool.version,
        }
        for row in page
    ]


@operation("pool.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All pools; for a project admin those the project may use."""
    rows, total = listing(
        call,
        _statement().where(*visible(call, Pool)),
        query,
        columns={
            "name": Pool.name,
            "type": Pool.kind,
            "capacity": Pool.capacity,
            "used": _USED,
            "volumes": _VOLUMES,
            "host": Host.name,
            "path": Pool.path,
            "created": Pool.created,
        },
        tie=Pool.id,
        search=[Pool.name, Pool.description],
        filters={
            "kind": lambda value: Pool.kind == value,
            "host": lambda value: (Host.name == value) | (Host.uuid == value),
            "project": lambda value: Pool.id.in_(
                select(pool_of_project.c.pool_id)
                .join(Project, Project.id == pool_of_project.c.project_id)
                .where((Project.name == value) | (Project.uuid == value), *visible(call, Project))
            ),
        },
    )
    return answer(_rows(call, rows), total)


def _show(call: Call, pool: Pool) -> dict[str, Any]:
    return _rows(call, call.session.execute(_statement().where(Pool.id == pool.id)))[0]


@operation("pool.show", roles=EVERYBODY)
def show(call: Call, *, pool: str) -> Answer:
    """One pool, with the XML that libvirt knows it by under ``xml``."""
    found = find(call, Pool, pool, field="pool")
    xml = pool_xml(name=found.name, uuid=found.uuid, path=found.path, vendor=found.vendor, product=found.product)
    return {**_show(call, found), "xml": xml}


@operation("pool.add", roles=SYSTEM_ADMIN, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    type: str,  # noqa: A002 (what people call it)
    host: str,
    path: str,
    capacity: int,
    description: str = "",
    vendor: str = "",
    product: str = "",
    projects: list[str] | None = None,
) -> Answer:
    """Make a pool on a host; its directory is made there when it is not there yet."""
    where = find(call, Host, host, field="host")
    users = find_all(call, Project, projects, field="projects") or []
    _pool, done = create(
        call,
        name=name,
        kind=type,
        host=where,
        path=path,
        capacity=capacity,
        description=description,
        vendor=vendor,
        product=product,
        projects=users,
    )
    return done


def create(
    call: Call,
    *,
    name: str,
    host: Host,
    path: str,
    capacity: int,
    kind: str = "dir",
    description: str = "",
    vendor: str = "",
    product: str = "",
    projects: Iterable[Project] = (),
) -> tuple[Pool, Answer]:
    """Enter a pool, and the task that makes it active on its host.

    Returns:
        The pool; ``task``, ``uuid`` and ``name`` as the operation answers them.

    Raises:
        InvalidInput: a rule is broken, or the path overlaps with what is there.
        AlreadyExists: the name is taken.
        Refused: the host is down.
    """
    ruled("name", names.identifier, name)
    if kind not in KINDS:
        raise InvalidInput(N_("A storage pool is one of: {kinds}."), field="type", kinds=", ".join(KINDS))
    ruled("path", names.directory, path)
    in_range("capacity", capacity, 1, SIZE_MAX)
    ruled("description", names.prose, description)
    ruled("vendor", names.display_name, vendor)
    ruled("product", names.display_name, product)
    unused(call, Pool.name == name, name)
    clean = _apart(call, path, host)
    reachable(call, host.id, host.name, field="host")
    pool = Pool(
        name=name,
        kind=kind,
        host_id=host.id,
        path=clean,
        capacity=capacity,
        description=description,
        vendor=vendor,
        product=product,
        created=call.clock.now(),
    )
    call.session.add(pool)
    call.session.flush()
    users = list(projects)
    relink(call, pool_of_project, "pool_id", pool.id, "project_id", set(), {project.id for project in users})
    done = order(call, "pool.activate", pool, host.id)
    call.note(
        name,
        object=pool.uuid,
        host=host.name,
        path=clean,
        capacity=capacity,
        projects=[project.name for project in users],
    )
    call.changed("pool", "project")
    return pool, done


def _apart(call: Call, path: str, host: Host) -> str:
    """The path without needless slashes; refused where volumes could be taken for something else's files."""
    clean = "/" + "/".join(part for part in path.split("/") if part)
    pools = select(Pool.name, Pool.path).where(Pool.host_id == host.id).order_by(Pool.name)
    for other in call.session.execute(pools):
        if _overlap(clean, other.path):
            raise InvalidInput(
                N_("{path} overlaps with the directory of storage pool {name} ({other})."),
                remedy=N_("Choose another directory."),
                field="path",
                path=clean,
                name=other.name,
                other=other.path,
            )
    for group in call.session.execute(select(ProjectGroup.name, ProjectGroup.directory).order_by(ProjectGroup.name)):
        if _overlap(clean, group.directory):
            raise InvalidInput(
                N_("{path} overlaps with the directory of project group {name} ({other})."),
                remedy=N_("Choose another directory."),
                field="path",
                path=clean,
                name=group.name,
                other=group.directory,
            )
    return clean


def _overlap(one: str, other: str) -> bool:
    return (one + "/").startswith(other + "/") or (other + "/").startswith(one + "/")


@operation("pool.edit", roles=SYSTEM_ADMIN, action=N_("Edit description"), target="pool")
def edit_(call: Call, *, pool: str, description: str | None = None, version: int | None = None) -> Answer:
    """Change a pool's description; the rest of it is where its volumes are."""
    found = find(call, Pool, pool, field="pool")
    ruled("description", names.prose, description)
    call.note(found.name)
    edit(call, found, version, {"description": description})
    call.changed("pool")
    return _show(call, found)


@operation("pool.delete", roles=SYSTEM_ADMIN, action=N_("Delete"), target="pool")
def delete_(call: Call, *, pool: str) -> Answer:
    """Forget a pool without volumes; its directory stays on the host."""
    found = find(call, Pool, pool, field="pool")
    charge(call.session, Pool, found.id)
    owners = select(Volume.project_id).where(Volume.pool_id == found.id)
    refuse_trashed(call, "pool", found.name, Project.__table__.c.id.in_(owners))
    volumes = call.session.scalars(
        select(Volume.name).where(Volume.pool_id == found.id).order_by(Volume.name).limit(6)
    ).all()
    if volumes:
        raise InUse(
            N_("There are volumes in storage pool {name}: {volumes}."),
            remedy=N_("Delete them first."),
            field="pool",
            name=found.name,
            volumes=some(volumes),
        )
    idle(call, found, field="pool")
    assert found.host_id is not None  # all kinds there are now are bound to a host
    host = call.session.scalar(select(Host.name).where(Host.id == found.host_id)) or ""
    reachable(call, found.host_id, host, field="pool")
    call.note(found.name, object=found.uuid)
    call.changed("pool")
    return order(call, "pool.release", found, found.host_id)
