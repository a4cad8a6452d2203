"""A host that never returns is given up, with what was on it and nowhere else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, func, or_, select, update

from core.coordination import runs
from core.coordination.states import NO_RUN
from core.coordination.tasks import OPEN
from core.errors import Refused
from core.i18n import N_
from core.model import (
    Host,
    Image,
    Instance,
    Machine,
    Pool,
    Power,
    State,
    Task,
    TaskState,
    Volume,
    instance_volume,
)
from core.rules.hosts import GIVEN_UP_AFTER
from core.rules.sizes import format_size
from core.services.lookup import find
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.relations import some


@operation("host.losses", roles=SYSTEM_ADMIN)
def losses(call: Call, *, host: str) -> Answer:
    """What would be given up with a host: names, the first few of each kind, and their number."""
    found = find(call, Host, host, field="host")
    size = select(func.coalesce(func.sum(Volume.capacity), 0)).where(Volume.pool_id.in_(_pools(found)))
    return {
        "name": found.name,
        "pools": _named(call, select(Pool.name).where(Pool.host_id == found.id)),
        "volumes": _named(call, select(Volume.name).where(Volume.pool_id.in_(_pools(found)))),
        "size": format_size(int(call.session.scalar(size) or 0)),
        "vms": _named(call, select(Machine.name).where(*_left_on(found))),
        "instances": _named(call, select(Instance.name).where(_touched(found))),
    }


@operation("host.abandon", roles=SYSTEM_ADMIN, action=N_("Give up"), target="host")
def abandon(call: Call, *, host: str) -> Answer:
    """Give up a host that is down for long: its pools and volumes go, its VMs are off, its bindings end."""
    found = find(call, Host, host, field="host")
    view = call.cloud.host(found.id)
    if view is None or view.state != "down" or view.age < GIVEN_UP_AFTER:
        raise Refused(
            N_("Host {name} is not known to be down for {minutes} minutes."),
            remedy=N_("Only a host that does not return is given up. Wait, or bring it back."),
            field="host",
            name=found.name,
            minutes=int(GIVEN_UP_AFTER / 60),
        )
    volumes = select(Volume.id).where(Volume.pool_id.in_(_pools(found)))
    pools = _names(call, Pool, Pool.host_id == found.id)
    count = call.session.scalar(select(func.count()).select_from(volumes.subquery())) or 0
    vms = _names(call, Machine, *_left_on(found))
    instances = list(call.session.scalars(select(Instance.id).where(_touched(found))))
    for statement in (
        # Under a later placement: should the host return after all, it ends what it runs.
        update(Machine)
        .where(*_left_on(found))
        .values(
            power=Power.OFF.value,
            state=State.OFF.value,
            host_id=None,
            moving_id=None,
            # Nor does what was being migrated from it run elsewhere: its copy there is of the next placement.
            epoch=Machine.epoch + 2,
            start_error="",
            **NO_RUN,
        ),
        update(Instance).where(Instance.id.in_(instances)).values(version=Instance.version + 1),
        update(Instance).where(Instance.host_id == found.id).values(host_id=None),
        delete(instance_volume).where(instance_volume.c.volume_id.in_(volumes)),
        # What rests on each other goes together.
        update(Volume).where(Volume.pool_id.in_(_pools(found))).values(backing_id=None),
        delete(Volume).where(Volume.pool_id.in_(_pools(found))),
        delete(Pool).where(Pool.host_id == found.id),
    ):
        call.session.execute(statement.execution_options(synchronize_session=False))
    strike(call, found)
    call.note(found.name, object=found.uuid, pools=some(pools), volumes=count, vms=some(vms))
    call.changed("pool", "volume", "instance", "vm", "project", "usage")
    return {}


def strike(call: Call, host: Host) -> None:
    """Take a host's row away, and what only remembers it; nothing else may be bound to it any more."""
    # VMs that are off only remember where they ran last; tasks of a host that is gone will never run.
    call.session.execute(
        update(Machine)
        .where(Machine.host_id == host.id)
        .values(host_id=None)
        .execution_options(synchronize_session=False)
    )
    for column in (Machine.drained_id, Machine.moving_id):
        call.session.execute(
            update(Machine)
            .where(column == host.id)
            .values({column.key: None})
            .execution_options(synchronize_session=False)
        )
    runs.close_all(call.session, host.uuid, call.clock.now())
    unfinished = select(Task.target).where(Task.host_id == host.id, Task.state.in_(OPEN))
    # What was being uploaded there is given up by any host, as all that nobody goes on with.
    # An image whose task goes with the host would wait for it for ever, and could not be deleted either.
    call.session.execute(
        update(Image)
        .where(Image.uuid.in_(unfinished), Image.state.in_(("creating", "deleting")))
        .values(state="failed")
        .execution_options(synchronize_session=False)
    )
    # Clearing goes on from its record, on any host.
    heir = call.session.scalar(select(Host.id).where(Host.uuid == call.cloud.me, Host.id != host.id))
    if heir is not None:
        call.session.execute(
            update(Task)
            .where(Task.host_id == host.id, Task.kind == "purge", Task.state.in_(OPEN))
            .values(host_id=heir, state=TaskState.QUEUED.value, claim="")
            .execution_options(synchronize_session=False)
        )
        call.ring(heir)
    call.session.execute(delete(Task).where(Task.host_id == host.id))
    call.session.execute(delete(Host).where(Host.id == host.id))
    call.changed("host", "host-group", "image", "task")


def _pools(host: Host) -> Select[Any]:
    return select(Pool.id).where(Pool.host_id == host.id)


def _left_on(host: Host) -> tuple[Any, ...]:
    """VMs that are on there, or are not known to be off."""
    return Machine.host_id == host.id, or_(Machine.power == Power.ON.value, Machine.state != State.OFF.value)


def _touched(host: Host) -> Any:
    """Instances that are bound to the host, or have a disk on it."""
    tied = (
        select(instance_volume.c.instance_id)
        .join(Volume, Volume.id == instance_volume.c.volume_id)
        .join(Pool, Pool.id == Volume.pool_id)
        .where(Pool.host_id == host.id)
    )
    return or_(Instance.host_id == host.id, Instance.id.in_(tied))


def _names(call: Call, model: Any, *which: Any) -> list[str]:
    return sorted(call.session.scalars(select(model.name).where(*which).limit(6)))


def _named(call: Call, names: Select[Any]) -> str:
    count = call.session.scalar(select(func.count()).select_from(names.subquery())) or 0
    if not count:
        return "-"
    column = names.selected_columns[0]
    return f"{count} ({some(call.session.scalars(names.order_by(column).limit(6)))})"
