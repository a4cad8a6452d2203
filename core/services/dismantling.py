"""Taking a project apart for good: its VMs, then what they were made from, then its files, and at last itself.

Each call does what can be done now, in one transaction, and may be repeated by any hostd at any time: what is
ordered already is not ordered twice, and a host that is down is waited for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from core.coordination.charges import charge
from core.coordination.states import NOWHERE
from core.coordination.storage import deletion, image_deletion
from core.coordination.tasks import targets_with_tasks, worked_on
from core.errors import Unavailable
from core.model import Image, Instance, Machine, Pool, Project, Secret, Task, User, Volume, instance_image
from core.services.images import host_of
from core.services.operation import Call
from core.services.orders import most_able, order
from core.services.power import order_stop, switch_off

#: What failed is tried again after so long.
AGAIN = timedelta(minutes=10)
#: So many of a kind are ordered by one transaction; the next when some of these are done.
_AT_ONCE = 100


def stop_all(call: Call, project_id: int, *, force: bool, most: int | None = None) -> list[str]:
    """Switch a project's VMs off: ask their guests, or with ``force`` do it at once; ``most`` of them, or all.

    Returns:
        The tasks; none for VMs that are off, or are being stopped.
    """
    switch_off(call, Machine.project_id == project_id)
    awake = list(
        call.session.scalars(
            select(Machine)
            .where(Machine.project_id == project_id, Machine.state.not_in(NOWHERE), Machine.host_id.is_not(None))
            .limit(most)
        )
    )
    busy = targets_with_tasks(call.session, [machine.uuid for machine in awake], kind="machine.stop")
    return [str(order_stop(call, machine, force=force)["task"]) for machine in awake if machine.uuid not in busy]


def dismantle(call: Call, project_id: int) -> list[str]:
    """Do what can be done now to make a project vanish; it is in the trash and does not come back.

    Args:
        call: a write transaction.
        project_id: the project.

    Returns:
        The tasks that were ordered.
    """
    charge(call.session, Project, project_id)
    columns = Project.__table__.c
    going = select(columns.id).where(columns.id == project_id, columns.purging, columns.deleted.is_not(None))
    if call.session.scalar(going) is None:
        return []
    tasks = stop_all(call, project_id, force=True, most=_AT_ONCE)
    _forget_vms(call, project_id)
    if _left(call, Machine, project_id):
        return tasks
    call.session.execute(delete(Instance).where(Instance.project_id == project_id))
    tasks += [*_delete_volumes(call, project_id), *_delete_images(call, project_id)]
    if not any(_left(call, table, project_id) for table in (Volume, Image)):
        # Users who are in the trash themselves remember the project that they managed; secrets are not the project's.
        for table in (User, Secret):
            call.session.execute(
                update(table)
                .where(table.project_id == project_id)
                .values(project_id=None)
                .execution_options(synchronize_session=False)
            )
        call.session.execute(delete(Project).where(Project.id == project_id))
        call.changed("project", "trash")
    if tasks:
        call.changed("vm", "instance", "volume", "image")
    return tasks


def _left(call: Call, table: Any, project_id: int) -> int:
    return call.session.scalar(select(func.count()).select_from(table).where(table.project_id == project_id)) or 0


def _forget_vms(call: Call, project_id: int) -> None:
    """Delete the VMs that are known to run nowhere and that nobody works on."""
    call.session.execute(
        delete(Machine)
        .where(
            Machine.project_id == project_id,
            or_(Machine.state.in_(NOWHERE), Machine.host_id.is_(None)),
            ~worked_on(Machine),
        )
        .execution_options(synchronize_session=False)
    )


def _resting(call: Call, table: Any, project_id: int, *conditions: Any) -> list[Any]:
    """The project's rows of a table that nobody works on, and whose deletion did not fail just now."""
    failed = exists().where(
        Task.target == table.uuid, Task.kind.like("%.delete"), Task.finished > call.clock.now() - AGAIN
    )
    resting = select(table).where(table.project_id == project_id, ~worked_on(table), ~failed, *conditions)
    return list(call.session.scalars(resting.limit(_AT_ONCE)))


def _mark(call: Call, table: Any, row: Any) -> None:
    call.session.execute(
        update(table)
        .where(table.id == row.id)
        .values(state="deleting", version=table.version + 1)
        .execution_options(synchronize_session=False)
    )


def _delete_volumes(call: Call, project_id: int) -> list[str]:
    tasks = []
    hosts = dict(call.session.execute(select(Pool.id, Pool.host_id)).all())
    # What rests on another one goes first; what another project's snapshots rest on waits for these.
    above = aliased(Volume)
    held = exists().where(above.backing_id == Volume.id)
    for volume in _resting(call, Volume, project_id, ~held):
        host_id = hosts[volume.pool_id] or most_able(call, volume.pool_id)
        if host_id is None:
            continue  # no host is up
        payload = deletion(call.session, volume.uuid, volume.state)
        _mark(call, Volume, volume)
        answer = order(call, "volume.delete", volume, host_id, project_id=project_id, payload=payload)
        tasks.append(str(answer["task"]))
    return tasks


def _delete_images(call: Call, project_id: int) -> list[str]:
    tasks = []
    # What is not whole has no file yet: its host removes the parts when the row is gone.
    call.session.execute(
        delete(Image)
        .where(Image.project_id == project_id, Image.state == "uploading")
        .execution_options(synchronize_session=False)
    )
    used = exists().where(instance_image.c.image_id == Image.id)
    for image in _resting(call, Image, project_id, ~used):
        try:
            host = host_of(call, image)
        except Unavailable:
            continue
        payload = image_deletion(call.session, image.uuid, image.state)
        _mark(call, Image, image)
        answer = order(call, "image.delete", image, host.id, project_id=project_id, payload=payload)
        tasks.append(str(answer["task"]))
    return tasks
