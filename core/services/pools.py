"""Storage pools: places for volumes, on one host or for all of them, given to projects (manual 9.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Row, Select, case, delete, func, select

from core.coordination.charges import COUNTED, charge
from core.coordination.storage import pool_order
from core.coordination.tasks import worked_on
from core.errors import InUse, InvalidInput, Refused, from_wire
from core.i18n import N_
from core.libvirt_xml import pool_xml
from core.model import (
    Host,
    Pool,
    PoolOnHost,
    Project,
    Secret,
    Volume,
    pool_of_project,
)
from core.rules import names, pools
from core.services.editing import edit, unused
from core.services.fields import ruled, sized
from core.services.listing import Query, answer, called, flag, iso, listing, moment
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.orders import host_for, idle, order
from core.services.paging import Named, Summed
from core.services.pool_origins import NOWHERE, Origin, apart, asked_for, own_source, ruled_origin
from core.services.relations import find_all, first_name, names_by, relink, some
from core.services.trash import refuse_trashed
from core.services.volume_checks import only_found

_USED = select(func.coalesce(func.sum(COUNTED), 0)).where(Volume.pool_id == Pool.id).correlate(Pool).scalar_subquery()
#: What volumes may still come to take beyond what they take now.
_TO_COME = (
    select(
        func.coalesce(func.sum(case((Volume.capacity > Volume.allocation, COUNTED - Volume.allocation), else_=0)), 0)
    )
    .where(Volume.pool_id == Pool.id)
    .correlate(Pool)
    .scalar_subquery()
)
_VOLUMES = select(func.count()).select_from(Volume).where(Volume.pool_id == Pool.id).correlate(Pool).scalar_subquery()
#: Files that were found, and that nobody has accepted: they do not hold a pool.
_FOREIGN = (
    select(func.count())
    .select_from(Volume)
    .where(Volume.pool_id == Pool.id, only_found())
    .correlate(Pool)
    .scalar_subquery()
)


def _of_each(value: Any) -> Select[Any]:
    return select(Volume.pool_id.label("key"), value.label("sum")).group_by(Volume.pool_id)


_ACTIVATING = worked_on(Pool, "pool.activate")
_RELEASING = worked_on(Pool, "pool.release")


def _statement() -> Select[Any]:
    return (
        select(
            Pool,
            Host.name.label("host"),
            Secret.name.label("secret"),
            _USED.label("used"),
            _TO_COME.label("to_come"),
            _VOLUMES.label("volumes"),
            _FOREIGN.label("foreign"),
            _ACTIVATING.label("activating"),
            _RELEASING.label("releasing"),
        )
        .outerjoin(Host, Host.id == Pool.host_id)
        .outerjoin(Secret, Secret.id == Pool.secret_id)
    )


#: States of pools whose volumes can be deleted, or will be able to be before long.
REACHED = ("active", "creating", "deleting")
#: A host that has a pool: ``state`` is active, failed or down.
_OnHost = dict[str, Any]


def _on_hosts(call: Call, ids: Iterable[int]) -> dict[int, list[_OnHost]]:
    """The hosts that have pools, or could not have them when they needed them, by pool."""
    wanted = list(ids)
    found: dict[int, list[_OnHost]] = {i: [] for i in wanted}
    if wanted:
        rows = call.session.execute(
            select(PoolOnHost, Host.name)
            .join(Host, Host.id == PoolOnHost.host_id)
            .where(PoolOnHost.pool_id.in_(wanted))
            .order_by(Host.name)
        )
        for row, name in rows:
            view = call.cloud.host(row.host_id)
            gone = view is not None and view.state == "down"
            found[row.pool_id].append(
                {
                    "name": name,
                    "state": "down" if gone else "failed" if row.error else "active",
                    "error": json.loads(row.error) if row.error else None,
                    "size": row.size,
                    "free": row.free,
                    "seen": iso(row.seen),
                }
            )
    return found


def _state(call: Call, pool: Pool, activating: bool, releasing: bool, hosts: Sequence[_OnHost]) -> str:
    """How a pool is: what is being done with it, then how its host is, then what hosts said of it last."""
    if releasing:
        return "deleting"
    if activating:
        return "creating"
    states = {host["state"] for host in hosts}
    if pool.host_id is None:
        # One host that has it is enough: others will need it or not.
        return next((state for state in ("active", "failed") if state in states), "unknown")
    view = call.cloud.host(pool.host_id)
    if view is not None and view.state == "down":
        return "down"
    if "failed" in states:
        return "failed"
    return "active" if view is not None and view.state == "up" else "unknown"


def states_of(call: Call, ids: Iterable[int]) -> dict[int, str]:
    """How pools (ids) are: *active*, *failed*, *down*, *unknown*, *creating* or *deleting*."""
    wanted = set(ids)
    hosts = _on_hosts(call, wanted)
    return {
        row.Pool.id: _state(call, row.Pool, row.activating, row.releasing, hosts[row.Pool.id])
        for row in call.session.execute(_statement().where(Pool.id.in_(wanted)))
    }


def _errors(hosts: Sequence[_OnHost]) -> list[dict[str, Any]]:
    """What is wrong with a pool on the hosts that are not down, a sentence for each."""
    wrong = []
    for host in hosts:
        if host["state"] == "failed":
            error = from_wire(host["error"])
            said = [{"message": text, "parameters": error.parameters} for text in (error.message, error.remedy) if text]
            wrong.append(Refused(N_("{host}: {reasons}"), host=host["name"], reasons=said).to_wire())
    return wrong


def _space(hosts: Sequence[_OnHost], to_come: int) -> dict[str, Any]:
    """What the storage itself has, as the host said that looked last, and by how much volumes may outgrow it."""
    known = [host for host in hosts if host["size"]]
    latest = max(known, key=lambda host: host["seen"], default=None)
    if latest is None:
        return {"size": None, "free": None, "overcommitted": None}
    return {"size": latest["size"], "free": latest["free"], "overcommitted": max(0, to_come - latest["free"])}


def _rows(call: Call, found: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    page = list(found)
    projects = names_by(call, pool_of_project, "pool_id", "project_id", Project, [row.Pool.id for row in page])
    if not call.actor.is_sysadm:
        own = call.session.scalar(select(Project.name).where(Project.id == call.actor.project_id))
        projects = {pool: [name for name in given if name == own] for pool, given in projects.items()}
    hosts = _on_hosts(call, [row.Pool.id for row in page])
    return [
        {
            "uuid": row.Pool.uuid,
            "name": row.Pool.name,
            "type": row.Pool.kind,
            "state": _state(call, row.Pool, row.activating, row.releasing, hosts[row.Pool.id]),
            "capacity": row.Pool.capacity,
            "used": int(row.used),
            "volumes": row.volumes,
            "foreign": row.foreign,
            **_space(hosts[row.Pool.id], int(row.to_come) if pools.KINDS[row.Pool.kind].files else 0),
            "host": row.host or "",
            "hosts": [{"name": one["name"], "state": one["state"]} for one in hosts[row.Pool.id]],
            "path": row.Pool.path,
            "format": row.Pool.format,
            "server": row.Pool.server,
            "port": row.Pool.port or None,
            "source": row.Pool.source,
            "devices": row.Pool.devices.splitlines(),
            "account": row.Pool.account,
            "secret": (row.secret or "") if call.actor.is_sysadm else "",
            "projects": projects[row.Pool.id],
            "description": row.Pool.description,
            "vendor": row.Pool.vendor,
            "product": row.Pool.product,
            "error": _errors(hosts[row.Pool.id]),
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
        select(Pool.id).where(*visible(call, Pool)),
        query,
        columns={
            "name": Pool.name,
            "type": Pool.kind,
            "capacity": Pool.capacity,
            "used": Summed(_USED, _of_each(func.sum(COUNTED)), Pool.id),
            "volumes": Summed(_VOLUMES, _of_each(func.count()), Pool.id),
            "host": Named(Pool.host_id, Host.name),
            "path": Pool.path,
            "projects": first_name(pool_of_project, "pool_id", "project_id", Project, Pool, *visible(call, Project)),
            **{key: getattr(Pool, key) for key in ("format", "server", "port", "source", "devices", "account")},
            "vendor": Pool.vendor,
            "product": Pool.product,
            "created": Pool.created,
        },
        tie=Pool.id,
        search=[Pool.name, Pool.description],
        filters={
            "kind": lambda value: Pool.kind == value,
            "files": lambda value: Pool.kind.in_(
                [kind for kind, one in pools.KINDS.items() if one.files is flag(value)]
            ),
            "bound": lambda value: Pool.host_id.is_not(None) if value else Pool.host_id.is_(None),
            "capacity_from": lambda value: Pool.capacity >= value,
            "capacity_to": lambda value: Pool.capacity <= value,
            "since": lambda value: Pool.created >= moment(value),
            "until": lambda value: Pool.created < moment(value),
            "host": lambda value: Pool.host_id.in_(called(Host, value)),
            "project": lambda value: Pool.id.in_(
                select(pool_of_project.c.pool_id)
                .join(Project, Project.id == pool_of_project.c.project_id)
                .where((Project.name == value) | (Project.uuid == value), *visible(call, Project))
            ),
        },
        rows=_statement(),
    )
    return answer(_rows(call, rows), total)


def _show(call: Call, pool: Pool) -> dict[str, Any]:
    return _rows(call, call.session.execute(_statement().where(Pool.id == pool.id)))[0]


@operation("pool.show", roles=EVERYBODY)
def show(call: Call, *, pool: str) -> Answer:
    """One pool, with the XML that libvirt knows it by under ``xml``."""
    found = find(call, Pool, pool, field="pool")
    key = call.session.get(Secret, found.secret_id) if found.secret_id is not None else None
    return {**_show(call, found), "xml": pool_xml(pool_order(found, key))}


@operation("pool.add", roles=SYSTEM_ADMIN, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    type: str,  # noqa: A002 (what people call it)
    capacity: int,
    host: str = "",
    path: str = "",
    format: str = "",  # noqa: A002
    server: str = "",
    port: int | None = None,
    source: str = "",
    devices: list[str] | None = None,
    account: str = "",
    secret: str = "",
    description: str = "",
    vendor: str = "",
    product: str = "",
    projects: list[str] | None = None,
) -> Answer:
    """Make a pool, on a host or for all hosts; which of the arguments it has, its type says.

    A directory is made on its hosts when it is not there yet; what a server or a device offers must be there.
    """
    where = find(call, Host, host, field="host") if host else None
    users = find_all(call, Project, projects, field="projects") or []
    key = find(call, Secret, secret, field="secret") if secret else None
    origin = Origin(format, server, port or 0, source, tuple(devices or ()), account, key)
    _pool, done = create(
        call,
        name=name,
        kind=type,
        host=where,
        path=path,
        origin=origin,
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
    host: Host | None,
    path: str,
    capacity: int,
    kind: str = pools.DIR,
    origin: Origin = NOWHERE,
    description: str = "",
    vendor: str = "",
    product: str = "",
    projects: Iterable[Project] = (),
) -> tuple[Pool, Answer]:
    """Enter a pool, and the task that makes it active: on its host, or on one that shows that it can be had.

    Returns:
        The pool; ``task``, ``uuid`` and ``name`` as the operation answers them.

    Raises:
        InvalidInput: a rule is broken, or the path overlaps with what is there.
        AlreadyExists: the name is taken.
        Refused: the host is down.
    """
    ruled("name", names.pool_name, name)
    if kind not in pools.OFFERED:
        raise InvalidInput(N_("A storage pool is one of: {kinds}."), field="type", kinds=", ".join(pools.OFFERED))
    asked_for(kind, {"host": host, "path": path, **origin.given()})
    path = path or pools.KINDS[kind].path
    ruled("path", partial(pools.target_path, kind), path)
    origin = ruled_origin(kind, name, path, origin)
    sized("capacity", capacity, 1)
    ruled("description", names.prose, description)
    ruled("vendor", names.display_name, vendor)
    ruled("product", names.display_name, product)
    unused(call, Pool.name == name, name)
    clean = path if pools.KINDS[kind].path else apart(call, path, host)
    own_source(call, kind, host, origin)
    pool = Pool(
        name=name,
        kind=kind,
        host_id=host.id if host is not None else None,
        path=clean,
        format=origin.format,
        server=origin.server,
        port=origin.port,
        source=origin.source,
        devices="\n".join(origin.devices),
        account=origin.account,
        secret_id=origin.secret.id if origin.secret is not None else None,
        capacity=capacity,
        description=description,
        vendor=vendor,
        product=product,
        created=call.clock.now(),
    )
    chosen = host_for(call, pool, field="host" if host is not None else "type")
    call.session.add(pool)
    call.session.flush()
    users = list(projects)
    relink(call, pool_of_project, "pool_id", pool.id, "project_id", set(), {project.id for project in users})
    if origin.secret is not None:
        # From here on nobody deletes it; it may have been deleted while this waited for who did.
        find(call, Secret, origin.secret.uuid, field="secret")
        call.changed("secret")
    done = order(call, "pool.activate", pool, chosen)
    where = {"host": host.name if host is not None else "", "server": origin.server, "source": origin.source}
    call.note(
        name,
        object=pool.uuid,
        type=kind,
        **{key: value for key, value in where.items() if value},
        path=clean,
        capacity=capacity,
        projects=[project.name for project in users],
    )
    call.changed("pool", "project")
    return pool, done


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
    """Forget a pool without volumes; what it is made of stays. Hosts that have it and are away let go of it later.

    Files that a refresh found and nobody has accepted do not hold it: their records go with it, and they stay.
    """
    found = find(call, Pool, pool, field="pool")
    charge(call.session, Pool, found.id)
    owners = select(Volume.project_id).where(Volume.pool_id == found.id)
    refuse_trashed(call, "pool", found.name, Project.__table__.c.id.in_(owners))
    volumes = call.session.scalars(
        select(Volume.name).where(Volume.pool_id == found.id, ~only_found()).order_by(Volume.name).limit(6)
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
    chosen = host_for(call, found, field="pool")
    call.session.execute(delete(Volume).where(Volume.pool_id == found.id))
    call.note(found.name, object=found.uuid)
    call.changed("pool", "volume")
    return order(call, "pool.release", found, chosen)
