"""Volumes: virtual disks in a pool (manual 9.4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, delete, func, select
from sqlalchemy.orm import aliased

from core.coordination.charges import charge, fit_disk, fit_pool
from core.coordination.discovery import THERE
from core.coordination.storage import deletion, volume_path
from core.errors import InvalidInput, Refused
from core.i18n import N_
from core.model import (
    Instance,
    Machine,
    Pool,
    Project,
    Secret,
    Volume,
    instance_volume,
)
from core.rules import names
from core.rules.pools import KINDS
from core.rules.sizes import format_size
from core.rules.volumes import GROWING, volume_size
from core.services.editing import edit, unused
from core.services.fields import ruled, sized
from core.services.listing import Query, answer, called, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, Answer, Call, operation
from core.services.orders import host_for, idle, order
from core.services.paging import Named
from core.services.pools import REACHED, states_of
from core.services.relations import first_name
from core.services.volume_checks import (
    book,
    claim,
    encrypting,
    let_go,
    owned,
    pool_of,
    refuse_absent,
    refuse_broken,
    refuse_rested_on,
    refuse_running,
    refuse_units,
    refuse_unready,
    refuse_used,
)
from core.services.volume_formats import making
from core.services.volume_room import fit_storage
from core.services.volume_users import NAMED, instances_of, used_now, vms_of

#: Least that a volume grows by, in bytes (manual 9.4.4).
LEAST_GROWTH = 10 * 1000**2
#: Disks consist of whole sectors.
_SECTOR = 512


def statement() -> Any:
    """Volumes with what their rows show."""
    return (
        select(
            Volume,
            Pool.name.label("pool"),
            Pool.path.label("directory"),
            Pool.kind.label("pool_type"),
            Pool.measured.label("all_measured"),
            Project.name.label("project"),
            Secret.name.label("secret"),
            Secret.project_id.label("secret_of"),
        )
        .join(Pool, Pool.id == Volume.pool_id)
        .outerjoin(Project, Project.id == Volume.project_id)
        .outerjoin(Secret, Secret.id == Volume.secret_id)
    )


def _below(call: Call, found: Sequence[Row[Any]]) -> dict[int, str]:
    """The names of what snapshots rest on, as far as the caller may see it; all are in the same pool."""
    wanted = {row.Volume.backing_id: row.pool for row in found if row.Volume.backing_id is not None}
    if not wanted:
        return {}
    named = select(Volume.id, Volume.name).where(Volume.id.in_(wanted), *visible(call, Volume))
    return {row.id: f"{wanted[row.id]}/{row.name}" for row in call.session.execute(named)}


def _above(call: Call, found: Sequence[Row[Any]]) -> dict[int | None, int]:
    """How many snapshots rest on volumes, whosever they are."""
    counted = (
        select(Volume.backing_id, func.count())
        .where(Volume.backing_id.in_([row.Volume.id for row in found]))
        .group_by(Volume.backing_id)
    )
    return {row[0]: row[1] for row in call.session.execute(counted)} if found else {}


def rows(call: Call, found: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """A page of volumes as people read them; ``found`` are rows of :func:`statement`."""
    ids = [row.Volume.id for row in found]
    users, vms, on = instances_of(call, ids), vms_of(call, ids, most=NAMED), used_now(call, ids)
    backing, snapshots = _below(call, found), _above(call, found)
    states = states_of(call, {row.Volume.pool_id for row in found}) if call.actor.is_sysadm else {}
    whole, mine = call.actor.is_sysadm, call.actor.project_id
    return [
        {
            "uuid": row.Volume.uuid,
            "name": row.Volume.name,
            "reference": f"{row.pool}/{row.Volume.name}",
            "display_name": row.Volume.display_name,
            "pool": row.pool,
            "pool_type": row.pool_type,
            # Whether its record may be forgotten, its file being out of reach.
            "lost": row.Volume.state == "missing" or (whole and states[row.Volume.pool_id] not in REACHED),
            "project": row.project or "",
            # Whether the caller may change it.
            "own": whole or row.Volume.project_id is not None,
            "format": row.Volume.format,
            "capacity": row.Volume.capacity,
            "allocation": row.Volume.allocation,
            "measured": iso(_measured(row)),
            "path": volume_path(row.directory, row.Volume.name, row.Volume.path),
            "description": row.Volume.description,
            # Of what the caller may not see it is known that there is something.
            "backing": backing.get(row.Volume.backing_id, "?") if row.Volume.backing_id is not None else "",
            "snapshots": snapshots.get(row.Volume.id, 0),
            # Of what nobody has accepted, what it looks like.
            "encrypted": row.Volume.secret_id is not None or row.Volume.looks_encrypted,
            # Whose name the caller may see; that the volume is encrypted may be known.
            "secret": (row.secret or "") if whole or row.secret_of == mine else "",
            "state": row.Volume.state,
            "instances": users[row.Volume.id],
            "vms": vms[row.Volume.id],
            # Whether one that is on uses it, also one that the caller may not see.
            "vm_on": row.Volume.id in on,
            "created": iso(row.Volume.created),
            "version": row.Volume.version,
        }
        for row in found
    ]


def _measured(row: Row[Any]) -> datetime | None:
    """When it was looked at last what a volume takes: this one, or all that are in its pool."""
    of_all = row.all_measured if row.Volume.state in THERE else None
    return max((at for at in (row.Volume.measured, of_all) if at is not None), default=None)


def columns(call: Call) -> dict[str, Any]:
    """What lists of volumes sort by, for whoever looks."""
    users = first_name(instance_volume, "volume_id", "instance_id", Instance, Volume, *visible(call, Instance))
    machines = (
        select(func.min(Machine.name))
        .join(instance_volume, instance_volume.c.instance_id == Machine.instance_id)
        .where(instance_volume.c.volume_id == Volume.id, *visible(call, Machine))
    )
    secret = select(Secret.name).where(Secret.id == Volume.secret_id, *visible(call, Secret))
    above = aliased(Volume)
    rest = select(func.count()).select_from(above).where(above.backing_id == Volume.id)
    worked_out = {"vms": machines, "secret": secret, "snapshots": rest}
    return {
        **_COLUMNS,
        "instances": users,
        "encrypted": case((Volume.secret_id.is_(None) & Volume.looks_encrypted.is_(False), 0), else_=1),
        **{key: each.correlate(Volume).scalar_subquery() for key, each in worked_out.items()},
    }


_COLUMNS: dict[str, Any] = {
    "name": Volume.name,
    "display_name": Volume.display_name,
    "pool": Named(Volume.pool_id, Pool.name),
    "project": Named(Volume.project_id, Project.name),
    "format": Volume.format,
    "capacity": Volume.capacity,
    "allocation": Volume.allocation,
    "state": Volume.state,
    "created": Volume.created,
}


def filters(call: Call) -> dict[str, Any]:
    """What lists of volumes are filtered by."""
    return {
        "pool": lambda value: Volume.pool_id.in_(called(Pool, value)),
        "state": lambda value: Volume.state == value,
        "format": lambda value: Volume.format == value,
        "project": lambda value: Volume.project_id.in_(called(Project, value)),
        "secret": lambda value: Volume.secret_id.in_(called(Secret, value).where(*visible(call, Secret))),
        "instance": lambda value: Volume.id.in_(
            select(instance_volume.c.volume_id).where(
                instance_volume.c.instance_id.in_(called(Instance, value).where(*visible(call, Instance)))
            )
        ),
        "vm": lambda value: Volume.id.in_(
            select(instance_volume.c.volume_id)
            .join(Machine, Machine.instance_id == instance_volume.c.instance_id)
            .where(Machine.id.in_(called(Machine, value).where(*visible(call, Machine))))
        ),
    }


@operation("volume.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All volumes; for a project admin the project's own and those of no project, in pools it may use."""
    page, total = listing(
        call,
        select(Volume.id).where(*visible(call, Volume)),
        query,
        columns=columns(call),
        tie=Volume.id,
        search=[Volume.name, Volume.display_name],
        filters=filters(call),
        rows=statement(),
    )
    return answer(rows(call, page), total)


def _show(call: Call, volume: Volume) -> dict[str, Any]:
    return rows(call, call.session.execute(statement().where(Volume.id == volume.id)).all())[0]


@operation("volume.show", roles=EVERYBODY)
def show(call: Call, *, volume: str) -> Answer:
    """One volume, how it was made (as ``volume.add`` takes it), and all VMs of the instances that use it."""
    found = find(call, Volume, volume, field="volume")
    options = json.loads(found.options) if found.options else {}
    return {
        **_show(call, found),
        "mode": options.get("mode", ""),
        **{key: int(options[key]) if key in options else None for key in ("owner", "group")},
        "compat": options.get("compat", ""),
        "lazy_refcounts": options.get("lazy_refcounts", False),
        "vms": vms_of(call, [found.id])[found.id],
    }


@operation("volume.add", roles=EVERYBODY, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    pool: str,
    capacity: int,
    format: str = "qcow2",  # noqa: A002 (what people call it)
    display_name: str = "",
    description: str = "",
    mode: str = "0600",
    owner: int | None = None,
    group: int | None = None,
    compat: str = "",
    lazy_refcounts: bool = False,
    secret: str = "",
    thin: bool = False,
) -> Answer:
    """Make a volume of ``capacity`` bytes, encrypted when there is a secret.

    The system administrator's volumes belong to no project. With ``thin`` it may be larger than what is free.
    """
    found = find(call, Pool, pool, field="pool")
    refuse_units(found)
    ruled("name", names.identifier, name)
    ruled("display_name", names.display_name, display_name)
    ruled("description", names.prose, description)
    ruled("capacity", volume_size, capacity)
    sized("capacity", capacity, 1)
    options = making(format, mode=mode, owner=owner, group=group, compat=compat, lazy_refcounts=lazy_refcounts)
    key = encrypting(call, secret, format)
    whole = -(-capacity // _SECTOR) * _SECTOR
    host_id = host_for(call, found, field="pool")
    book(call, found.id, call.actor.project_id, whole)
    # Whoever takes pools from a project books too: what holds now still holds at the commit.
    find(call, Pool, found.uuid, field="pool")
    refuse_unready(call, found)
    unused(call, (Volume.pool_id == found.id) & (Volume.name == name), name)
    fit_storage(call, found, whole, whole, thin=thin)
    volume = Volume(
        pool_id=found.id,
        project_id=call.actor.project_id,
        secret_id=key.id if key else None,
        name=name,
        display_name=display_name,
        description=description,
        format=format,
        capacity=whole,
        options=json.dumps(options),
        state="creating",
        created=call.clock.now(),
    )
    call.session.add(volume)
    call.session.flush()
    if key is not None:
        # From here on nobody deletes it; it may have been deleted while this waited for who did.
        find(call, Secret, key.uuid, field="secret")
        call.changed("secret")
    encrypted = {"secret": key.name} if key is not None else {}
    call.note(f"{found.name}/{name}", object=volume.uuid, capacity=whole, format=format, **encrypted)
    call.changed("volume", "pool")
    payload = {"thin": thin}
    return order(call, "volume.create", volume, host_id, project_id=volume.project_id, payload=payload)


@operation("volume.grow", roles=EVERYBODY, action=N_("Grow"), target="volume")
def grow(call: Call, *, volume: str, capacity: int, thin: bool = False, version: int | None = None) -> Answer:
    """Make a volume larger, to ``capacity`` bytes, while no VM uses it (manual 9.4.4); ``thin`` as for :func:`add`."""
    found = owned(call, volume)
    sized("capacity", capacity, 1)
    whole = -(-capacity // _SECTOR) * _SECTOR
    pool = pool_of(call, found)
    refuse_units(pool)
    if found.format not in GROWING:
        raise Refused(
            N_("QEMU cannot grow volumes of the format {format}."),
            remedy=N_("Formats that can grow: {formats}."),
            field="volume",
            format=found.format,
            formats=", ".join(GROWING),
        )
    refuse_absent(found)
    host_id = host_for(call, pool, field="pool")
    # From here on nobody else books: what is read below is what holds when it is written.
    charge(call.session, Pool, pool.id)
    idle(call, found, field="volume")
    call.session.refresh(found)
    before = found.capacity
    if whole < before + LEAST_GROWTH:
        raise InvalidInput(
            N_("A volume grows by at least 10 MB: from {before} to at least {least}."),
            field="capacity",
            before=format_size(before),
            least=format_size(before + LEAST_GROWTH),
        )
    refuse_broken(call, found)
    refuse_rested_on(call, found)
    refuse_running(call, found)
    if found.project_id is not None:
        charge(call.session, Project, found.project_id)
        fit_disk(call.session, found.project_id, whole - before)
    fit_pool(call.session, pool.id, whole - before)
    fit_storage(call, pool, whole, whole - min(before, found.allocation), thin=thin)
    call.note(f"{pool.name}/{found.name}")
    edit(call, found, version, {"capacity": whole})
    call.changed("volume", "pool")
    return order(
        call,
        "volume.grow",
        found,
        host_id,
        project_id=found.project_id,
        payload={"capacity": whole, "before": before, "thin": thin},
    )


@operation("volume.edit", roles=EVERYBODY, action=N_("Edit"), target="volume")
def edit_(
    call: Call,
    *,
    volume: str,
    display_name: str | None = None,
    description: str | None = None,
    version: int | None = None,
) -> Answer:
    """Change a volume's title and description; its name is that of its file.

    Units and volumes of no project too, by every project that has their pool (manual 9.2, 9.4.5).
    """
    found = find(call, Volume, volume, field="volume")
    if display_name != found.display_name:
        ruled("display_name", names.display_name, display_name)
    ruled("description", names.prose, description)
    call.note(found.name)
    edit(call, found, version, {"display_name": display_name, "description": description})
    call.changed("volume")
    return _show(call, found)


@operation("volume.delete", roles=EVERYBODY, action=N_("Delete"), target="volume")
def delete_(call: Call, *, volume: str) -> Answer:
    """Delete a volume that no instance uses, and its file. Of what others make only the record is deleted, at once."""
    found = find(call, Volume, volume, field="volume")
    pool = pool_of(call, found)
    host_id = None
    if KINDS[pool.kind].files:
        owned(call, volume)
        host_id = host_for(call, pool, field="pool")
    # A record needs no host; every project that has the pool tidies up, for a refresh finds again what is there.
    # The state is written before the instances are read: one that takes the volume up just now waits for this.
    before = claim(call, found, "deleting")
    if before == "creating":
        let_go(call, found)
    idle(call, found, field="volume")
    refuse_used(call, found)
    refuse_rested_on(call, found)
    call.note(f"{pool.name}/{found.name}", object=found.uuid)
    call.changed("volume", "pool")
    if host_id is None:
        call.session.execute(delete(Volume).where(Volume.id == found.id))
        return {"uuid": found.uuid, "name": found.name}
    payload = deletion(call.session, found.uuid, before)
    return order(call, "volume.delete", found, host_id, project_id=found.project_id, payload=payload)
