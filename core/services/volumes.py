"""Volumes: virtual disks in a pool (manual 9.4)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, or_, select, update

from core.coordination.charges import charge, fit_disk, fit_pool
from core.coordination.storage import volume_path
from core.coordination.tasks import OPEN
from core.errors import InUse, InvalidInput, PermissionDenied, Refused
from core.i18n import N_
from core.model import (
    Instance,
    Machine,
    Pool,
    Power,
    Project,
    Secret,
    State,
    Task,
    Volume,
    instance_volume,
)
from core.rules import names
from core.rules.secrets import ENCRYPTED_FORMATS, VOLUME
from core.rules.sizes import format_size
from core.services.editing import edit, unused
from core.services.fields import SIZE_MAX, in_range, ruled
from core.services.listing import Query, answer, called, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, Answer, Call, operation
from core.services.orders import host_for, idle, order
from core.services.paging import Named
from core.services.relations import some
from core.services.secrets import usable
from core.services.volume_formats import GROWING, making

#: Least that a volume grows by, in bytes (manual 9.4.4).
LEAST_GROWTH = 10 * 1000**2
#: Disks consist of whole sectors.
_SECTOR = 512


def _statement() -> Any:
    return (
        select(
            Volume,
            Pool.name.label("pool"),
            Pool.path.label("directory"),
            Project.name.label("project"),
            Secret.name.label("secret"),
            Secret.project_id.label("secret_of"),
        )
        .join(Pool, Pool.id == Volume.pool_id)
        .outerjoin(Project, Project.id == Volume.project_id)
        .outerjoin(Secret, Secret.id == Volume.secret_id)
    )


def _users(call: Call, ids: Iterable[int]) -> dict[int, list[str]]:
    """The names of the instances that use volumes, as far as the caller may see them."""
    wanted = list(ids)
    users: dict[int, list[str]] = {i: [] for i in wanted}
    if wanted:
        found = call.session.execute(
            select(instance_volume.c.volume_id, Instance.name)
            .join(Instance, Instance.id == instance_volume.c.instance_id)
            .where(instance_volume.c.volume_id.in_(wanted), *visible(call, Instance))
            .order_by(Instance.name, Instance.id)
        )
        for volume_id, name in found:
            users[volume_id].append(name)
    return users


def _rows(call: Call, found: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    users = _users(call, [row.Volume.id for row in found])
    whole, mine = call.actor.is_sysadm, call.actor.project_id
    return [
        {
            "uuid": row.Volume.uuid,
            "name": row.Volume.name,
            "reference": f"{row.pool}/{row.Volume.name}",
            "display_name": row.Volume.display_name,
            "pool": row.pool,
            "project": row.project or "",
            "format": row.Volume.format,
            "capacity": row.Volume.capacity,
            "allocation": row.Volume.allocation,
            "path": volume_path(row.directory, row.Volume.name),
            "encrypted": row.Volume.secret_id is not None,
            # Whose name the caller may see; that the volume is encrypted may be known.
            "secret": (row.secret or "") if whole or row.secret_of == mine else "",
            "state": row.Volume.state,
            "instances": users[row.Volume.id],
            "created": iso(row.Volume.created),
            "version": row.Volume.version,
        }
        for row in found
    ]


@operation("volume.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All volumes; for a project admin the project's own and those of no project, in pools it may use."""
    rows, total = listing(
        call,
        select(Volume.id).where(*visible(call, Volume)),
        query,
        columns={
            "name": Volume.name,
            "display_name": Volume.display_name,
            "pool": Named(Volume.pool_id, Pool.name),
            "project": Named(Volume.project_id, Project.name),
            "format": Volume.format,
            "capacity": Volume.capacity,
            "allocation": Volume.allocation,
            "state": Volume.state,
            "created": Volume.created,
        },
        tie=Volume.id,
        search=[Volume.name, Volume.display_name],
        filters={
            "pool": lambda value: Volume.pool_id.in_(called(Pool, value)),
            "state": lambda value: Volume.state == value,
            "format": lambda value: Volume.format == value,
            "project": lambda value: Volume.project_id.in_(called(Project, value)),
            "secret": lambda value: Volume.secret_id.in_(called(Secret, value).where(*visible(call, Secret))),
        },
        rows=_statement(),
    )
    return answer(_rows(call, rows), total)


def _show(call: Call, volume: Volume) -> dict[str, Any]:
    return _rows(call, call.session.execute(_statement().where(Volume.id == volume.id)).all())[0]


@operation("volume.show", roles=EVERYBODY)
def show(call: Call, *, volume: str) -> Answer:
    """One volume; how it was made under ``options``."""
    found = find(call, Volume, volume, field="volume")
    return {**_show(call, found), "options": json.loads(found.options) if found.options else {}}


@operation("volume.add", roles=EVERYBODY, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    pool: str,
    capacity: int,
    format: str = "qcow2",  # noqa: A002 (what people call it)
    display_name: str = "",
    mode: str = "0600",
    owner: int | None = None,
    group: int | None = None,
    compat: str = "",
    lazy_refcounts: bool = False,
    secret: str = "",
) -> Answer:
    """Make a volume of ``capacity`` bytes, encrypted when there is a secret.

    The system administrator's volumes belong to no project.
    """
    found = find(call, Pool, pool, field="pool")
    ruled("name", names.identifier, name)
    ruled("display_name", names.display_name, display_name)
    in_range("capacity", capacity, 1, SIZE_MAX)
    options = making(format, mode=mode, owner=owner, group=group, compat=compat, lazy_refcounts=lazy_refcounts)
    key = _key(call, secret, format)
    whole = -(-capacity // _SECTOR) * _SECTOR
    host_id = host_for(call, found, field="pool")
    _book(call, found.id, call.actor.project_id, whole)
    # Whoever takes pools from a project books too: what holds now still holds at the commit.
    find(call, Pool, found.uuid, field="pool")
    _refuse_unready(call, found)
    unused(call, (Volume.pool_id == found.id) & (Volume.name == name), name)
    volume = Volume(
        pool_id=found.id,
        project_id=call.actor.project_id,
        secret_id=key.id if key else None,
        name=name,
        display_name=display_name,
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
    return order(call, "volume.create", volume, host_id, project_id=volume.project_id)


def _key(call: Call, secret: str, volume_format: str) -> Secret | None:
    """The secret that a new volume shall be encrypted by, if any."""
    if not secret:
        return None
    key = usable(call, secret, VOLUME, field="secret")
    if volume_format not in ENCRYPTED_FORMATS:
        raise InvalidInput(
            N_("Volumes of the format {format} cannot be encrypted."),
            remedy=N_("Formats that can: {formats}."),
            field="secret",
            format=volume_format,
            formats=", ".join(ENCRYPTED_FORMATS),
        )
    return key


def _book(call: Call, pool_id: int, project_id: int | None, more: int) -> None:
    charge(call.session, Pool, pool_id)
    if project_id is not None:
        charge(call.session, Project, project_id)
        fit_disk(call.session, project_id, more)
    fit_pool(call.session, pool_id, more)


def _refuse_unready(call: Call, pool: Pool) -> None:
    """Refuse a pool that its host still makes or already releases: either may end with the pool gone."""
    kind = call.session.scalar(
        select(Task.kind)
        .where(
            Task.target == pool.uuid,
            Task.kind.in_(("pool.activate", "pool.release")),
            Task.state.in_(OPEN),
        )
        .limit(1)
    )
    if kind == "pool.activate":
        raise Refused(
            N_("Storage pool {name} is still being made."),
            remedy=N_("Wait for its task to end."),
            field="pool",
            name=pool.name,
        )
    if kind is not None:
        raise Refused(
            N_("Storage pool {name} is being deleted."),
            remedy=N_("Choose another one."),
            field="pool",
            name=pool.name,
        )


def _owned(call: Call, reference: str) -> Volume:
    """A volume that the caller may change. One of no project is nobody's quota: only the system administrator may."""
    found = find(call, Volume, reference, field="volume")
    if not call.actor.is_sysadm and found.project_id is None:
        raise PermissionDenied(
            N_("Volume {name} belongs to no project."),
            remedy=N_("The system administrator may change it."),
            field="volume",
            name=found.name,
        )
    return found


def _pool_of(call: Call, volume: Volume) -> Pool:
    return call.session.scalars(select(Pool).where(Pool.id == volume.pool_id)).one()


@operation("volume.grow", roles=EVERYBODY, action=N_("Grow"), target="volume")
def grow(call: Call, *, volume: str, capacity: int, version: int | None = None) -> Answer:
    """Make a volume larger, to ``capacity`` bytes, while no VM uses it (manual 9.4.4)."""
    found = _owned(call, volume)
    in_range("capacity", capacity, 1, SIZE_MAX)
    whole = -(-capacity // _SECTOR) * _SECTOR
    if found.format not in GROWING:
        raise Refused(
            N_("QEMU cannot grow volumes of the format {format}."),
            remedy=N_("Formats that can grow: {formats}."),
            field="volume",
            format=found.format,
            formats=", ".join(GROWING),
        )
    if found.state != "present":
        raise Refused(
            N_("Volume {name} is not there: its state is {state}."),
            field="volume",
            name=found.name,
            state=found.state,
        )
    pool = _pool_of(call, found)
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
    _refuse_running(call, found)
    if found.project_id is not None:
        charge(call.session, Project, found.project_id)
        fit_disk(call.session, found.project_id, whole - before)
    fit_pool(call.session, pool.id, whole - before)
    call.note(f"{pool.name}/{found.name}")
    edit(call, found, version, {"capacity": whole})
    call.changed("volume", "pool")
    return order(
        call,
        "volume.grow",
        found,
        host_id,
        project_id=found.project_id,
        payload={"capacity": whole, "before": before},
    )


def _refuse_running(call: Call, volume: Volume) -> None:
    """Refuse to touch the file of a volume under a VM that has power, or has not lost it for certain."""
    running = call.session.scalars(
        select(Machine.name)
        .join(instance_volume, instance_volume.c.instance_id == Machine.instance_id)
        .where(
            instance_volume.c.volume_id == volume.id,
            or_(Machine.power == Power.ON.value, Machine.state.not_in((State.OFF.value, State.FAILED.value))),
            *visible(call, Machine),
        )
        .order_by(Machine.name)
        .limit(6)
    ).all()
    if running:
        raise InUse(
            N_("Volume {name} is used by VMs that are on: {vms}."),
            remedy=N_("Stop them first."),
            field="volume",
            name=volume.name,
            vms=some(running),
        )


@operation("volume.edit", roles=EVERYBODY, action=N_("Edit"), target="volume")
def edit_(call: Call, *, volume: str, display_name: str | None = None, version: int | None = None) -> Answer:
    """Change a volume's title."""
    found = _owned(call, volume)
    ruled("display_name", names.display_name, display_name)
    call.note(found.name)
    edit(call, found, version, {"display_name": display_name})
    call.changed("volume")
    return _show(call, found)


@operation("volume.delete", roles=EVERYBODY, action=N_("Delete"), target="volume")
def delete_(call: Call, *, volume: str) -> Answer:
    """Delete a volume that no instance uses, and its file."""
    found = _owned(call, volume)
    pool = _pool_of(call, found)
    host_id = host_for(call, pool, field="pool")
    # The state is written before the instances are read: one that takes the volume up just now waits for this.
    done = call.session.execute(
        update(Volume)
        .where(Volume.id == found.id, Volume.state.not_in(("creating", "deleting")))
        .values(state="deleting", version=Volume.version + 1)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Refused(
            N_("Something else is being done with {name}."),
            remedy=N_("Wait for its task to end."),
            field="volume",
            name=found.name,
        )
    idle(call, found, field="volume")
    _refuse_used(call, found)
    call.note(f"{pool.name}/{found.name}", object=found.uuid)
    call.changed("volume", "pool")
    return order(call, "volume.delete", found, host_id, project_id=found.project_id)


def _refuse_used(call: Call, volume: Volume) -> None:
    """Refuse what an instance uses, running or not (manual 9.4.6).

    Raises:
        InUse: names the instances.
    """
    users = call.session.scalars(
        select(Instance.name)
        .join(instance_volume, instance_volume.c.instance_id == Instance.id)
        .where(instance_volume.c.volume_id == volume.id)
        .order_by(Instance.name)
        .limit(6)
    ).all()
    if users:
        raise InUse(
            N_("Volume {name} is used by instances: {instances}."),
            remedy=N_("Take it out of them first."),
            field="volume",
            name=volume.name,
            instances=some(users),
        )
