"""What decides about starts of VMs, asked of the database: the VMs, what they need, and the hosts they may use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, Row, ScalarSelect, bindparam, func, null, select, union_all
from sqlalchemy.orm import aliased

from core.coordination.tasks import worked_on
from core.errors import DosvmError, Refused
from core.i18n import N_
from core.model import (
    Host,
    Image,
    Instance,
    Machine,
    Pool,
    PoolOnHost,
    Power,
    Project,
    Volume,
    host_group_of_project,
    host_in_group,
    instance_image,
    instance_volume,
    pool_of_project,
    project_in_group,
)
from core.planning.placement import HostState
from core.rules.names import is_uuid
from core.services.lookup import find
from core.services.operation import Call
from core.services.usage import running


def look(
    call: Call, references: Iterable[str], project_id: int
) -> tuple[dict[str, Row[Any] | DosvmError], Sequence[Row[Any]]]:
    """The VMs that are meant, by reference, and a row per host and group that their project may use."""
    vms: dict[str, Row[Any] | DosvmError] = {}
    places: list[Row[Any]] = []
    keys: dict[bool, set[str]] = {True: set(), False: set()}
    paths: dict[str, str] = {}
    for reference in references:
        if "/" not in reference:
            keys[is_uuid(reference)].add(key_of(reference))
            continue
        try:
            paths[reference] = find(call, Machine, reference, field="vm").uuid
            keys[True].add(paths[reference])
        except DosvmError as error:
            vms[reference] = error
    for by_uuid, wanted in keys.items():
        if not wanted:
            continue
        rows = call.session.execute(_surroundings(by_uuid=by_uuid), {"own_project": project_id, "vms": list(wanted)})
        places = []
        for row in rows:
            if row.id is None:
                places.append(row)
            else:
                vms[row.uuid if by_uuid else row.name] = row
    vms |= {reference: vms[uuid] for reference, uuid in paths.items() if uuid in vms}
    return vms, places


def key_of(reference: str) -> str:
    """What :func:`look` answers a reference under: a UUID in lower case, a name as it is."""
    return reference.lower() if is_uuid(reference) else reference


@cache
def _surroundings(*, by_uuid: bool) -> CompoundSelect[Any]:
    """VMs, what they need, what their project may use and uses; and a row per host and group it may use.

    Made once: putting it together costs many times what the database needs to answer it.
    """
    vm, place = _vm_columns(), _place_columns()
    which = Machine.uuid if by_uuid else Machine.name
    vms = (
        select(*(column.label(name) for name, column in vm.items()), *(null().label(name) for name in place))
        .join(Instance, Instance.id == Machine.instance_id)
        .join(Project, Project.id == Machine.project_id)
        .where(
            Machine.project_id == bindparam("own_project"),
            which.in_(bindparam("vms", expanding=True)),
        )
    )
    promised = _promises()
    groups = host_group_of_project.alias("groups")
    places = (
        select(
            *(null().label(name) for name in vm),
            *(column.label(name) for name, column in _place_columns(groups, promised).items()),
        )
        .select_from(groups)
        .outerjoin(host_in_group, host_in_group.c.group_id == groups.c.group_id)
        .outerjoin(Host, Host.id == host_in_group.c.host_id)
        .outerjoin(promised, promised.c.host_id == Host.id)
        .where(groups.c.project_id == bindparam("own_project"))
    )
    return union_all(vms, places)


def _vm_columns() -> dict[str, Any]:
    own: Any = bindparam("own_project")
    return {
        "id": Machine.id,
        "uuid": Machine.uuid,
        "name": Machine.name,
        "project_id": Machine.project_id,
        "epoch": Machine.epoch,
        "power": Machine.power,
        "state": Machine.state,
        "placed": Machine.host_id,
        "drained": Machine.drained_id,
        "instance_id": Instance.id,
        "instance_version": Instance.version,
        "instance": Instance.name,
        "enabled": Instance.enabled,
        "vcpus": Instance.vcpus,
        "memory": Instance.memory,
        "bound_host": Instance.host_id,
        "bound_group": Instance.host_group_id,
        "accelerator": func.json_extract(Instance.spec, "$.accelerator"),
        "project": Project.name,
        "max_vcpus": Project.max_vcpus,
        "max_memory": Project.max_memory,
        "used_vcpus": running(Instance.vcpus, own),
        "used_memory": running(Instance.memory, own),
        "busy": worked_on(Machine),
        "first_disk_host": _disk_host(func.min),
        "last_disk_host": _disk_host(func.max),
        "unreached_from": _unreached_from(),
        "lost_pool": lost_pool(own),
        "lost_image": lost_image(own),
    }


def _place_columns(groups: Any = None, promised: Any = None) -> dict[str, Any]:
    return {
        "group_id": groups.c.group_id if groups is not None else None,
        "host_id": Host.id,
        "host": Host.name,
        "drain": Host.drain,
        "host_accelerator": Host.accelerator,
        "host_vcpus": Host.max_vcpus,
        "host_memory": Host.max_memory,
        "promised_vcpus": promised.c.vcpus if promised is not None else None,
        "promised_memory": promised.c.memory if promised is not None else None,
    }


def _promises() -> Any:
    """What each host has promised: to VMs that are on there, and to those that are being migrated to it."""

    def to(column: str) -> Any:
        on, shape = aliased(Machine), aliased(Instance)
        host = getattr(on, column)
        return (
            select(host.label("host_id"), shape.vcpus, shape.memory)
            .join(shape, shape.id == on.instance_id)
            .where(on.power == Power.ON.value, host.is_not(None))
        )

    every = union_all(to("host_id"), to("moving_id")).subquery()
    return (
        select(every.c.host_id, func.sum(every.c.vcpus).label("vcpus"), func.sum(every.c.memory).label("memory"))
        .group_by(every.c.host_id)
        .subquery()
    )


def _unreached_from() -> ScalarSelect[Any]:
    """The ids of the hosts that could not reach a disk of the instance, with commas; NULL when there is none."""
    return (
        select(func.group_concat(PoolOnHost.host_id))
        .select_from(instance_volume)
        .join(Volume, Volume.id == instance_volume.c.volume_id)
        .join(PoolOnHost, PoolOnHost.pool_id == Volume.pool_id)
        .where(instance_volume.c.instance_id == Instance.id, PoolOnHost.error != "")
        .correlate(Instance)
        .scalar_subquery()
    )


def lost_pool(project_id: Any) -> ScalarSelect[Any]:
    """The name of a pool that an instance has disks in and its project has no more; NULL when it has all of them."""
    given = select(pool_of_project.c.pool_id).where(pool_of_project.c.project_id == project_id)
    return (
        select(func.min(Pool.name))
        .select_from(instance_volume)
        .join(Volume, Volume.id == instance_volume.c.volume_id)
        .join(Pool, Pool.id == Volume.pool_id)
        .where(instance_volume.c.instance_id == Instance.id, Pool.id.not_in(given))
        .correlate(Instance)
        .scalar_subquery()
    )


def lost_image(project_id: Any) -> ScalarSelect[Any]:
    """The name of an image of an instance in whose group its project is no more; NULL when there is none."""
    given = select(project_in_group.c.group_id).where(project_in_group.c.project_id == project_id)
    return (
        select(func.min(Image.name))
        .select_from(instance_image)
        .join(Image, Image.id == instance_image.c.image_id)
        .where(instance_image.c.instance_id == Instance.id, Image.group_id.not_in(given))
        .correlate(Instance)
        .scalar_subquery()
    )


def refuse_lost(instance: str, project: str, pool: str | None, image: str | None, *, field: str) -> None:
    """Refuse to start or make a VM on what its project may use no more, see :func:`lost_pool`, :func:`lost_image`.

    Taking it away is refused while an instance uses it: this holds also for what was written past that rule.

    Raises:
        Refused: there is something; ``field`` is where to say so.
    """
    if pool:
        raise Refused(
            N_("Instance {instance} has a disk in storage pool {pool}, which project {project} has no more."),
            remedy=N_("Take the disk out of the instance, or ask the system administrator for the storage pool."),
            field=field,
            instance=instance,
            pool=pool,
            project=project,
        )
    if image:
        raise Refused(
            N_("Instance {instance} uses image {image} of a project group that project {project} is not in any more."),
            remedy=N_("Take the image out of the instance, or ask the system administrator for the project group."),
            field=field,
            instance=instance,
            image=image,
            project=project,
        )


def _disk_host(which: Any) -> ScalarSelect[Any]:
    return (
        select(which(Pool.host_id))
        .select_from(instance_volume)
        .join(Volume, Volume.id == instance_volume.c.volume_id)
        .join(Pool, Pool.id == Volume.pool_id)
        .where(instance_volume.c.instance_id == Instance.id)
        .correlate(Instance)
        .scalar_subquery()
    )


def groups_of(places: Sequence[Row[Any]]) -> frozenset[int]:
    """The host groups that the project may use."""
    return frozenset(place.group_id for place in places if place.group_id is not None)


def hosts_of(call: Call, places: Sequence[Row[Any]]) -> dict[int, HostState]:
    """The hosts that the project may use: limits and promises from the database, life from the living cloud."""
    groups: dict[int, set[int]] = {}
    for row in places:
        if row.host_id is not None:
            groups.setdefault(row.host_id, set()).add(row.group_id)
    found = {}
    for row in {row.host_id: row for row in places if row.host_id is not None}.values():
        view = call.cloud.host(row.host_id)
        found[row.host_id] = HostState(
            id=row.host_id,
            name=row.host,
            up=view is not None and view.state == "up",
            hypervisor_error=view.hypervisor_error if view is not None else "",
            accelerator=row.host_accelerator,
            max_vcpus=row.host_vcpus,
            max_memory=row.host_memory,
            used_vcpus=int(row.promised_vcpus or 0),
            used_memory=int(row.promised_memory or 0),
            load=view.cpu_percent if view is not None else 0.0,
            groups=frozenset(groups[row.host_id]),
            drained=bool(row.drain),
        )
    return found
