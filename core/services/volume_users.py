"""Who uses which volumes, seen from both sides (manual 9.4.2): from volumes, and from instances and their VMs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select

from core.model import Instance, Machine, Pool, Power, State, Volume, instance_volume
from core.services.lookup import visible
from core.services.operation import Call
from core.services.relations import names_by

#: So many VMs are named for each volume of a list; of more it is only said that there are.
NAMED = 5


def instances_of(call: Call, ids: Iterable[int]) -> dict[int, list[str]]:
    """The names of the instances that use volumes, as far as the caller may see them."""
    return names_by(call, instance_volume, "volume_id", "instance_id", Instance, ids, *visible(call, Instance))


def vms_of(call: Call, ids: Iterable[int], *, most: int = 0) -> dict[int, list[str]]:
    """The names of the VMs that have volumes as disks, on or off, as far as the caller may see them.

    Args:
        call: the operation's call.
        ids: of the volumes.
        most: so many of each volume at most, and "…" where there are more; 0 for all.
    """
    wanted = list(ids)
    users: dict[int, list[str]] = {i: [] for i in wanted}
    if not wanted:
        return users
    number = func.row_number().over(partition_by=instance_volume.c.volume_id, order_by=(Machine.name, Machine.id))
    numbered = (
        select(instance_volume.c.volume_id, Machine.name, number.label("number"))
        .join(Machine, Machine.instance_id == instance_volume.c.instance_id)
        .where(instance_volume.c.volume_id.in_(wanted), *visible(call, Machine))
        .subquery()
    )
    statement: Any = select(numbered).order_by(numbered.c.number)
    if most:
        statement = statement.where(numbered.c.number <= most + 1)
    for row in call.session.execute(statement):
        users[row.volume_id].append("…" if most and row.number > most else row.name)
    return users


def powered() -> ColumnElement[bool]:
    """For statements: a VM has power, or has not lost it for certain: its disks are written to."""
    return or_(Machine.power == Power.ON.value, Machine.state.not_in((State.OFF.value, State.FAILED.value)))


def used_now(call: Call, ids: Iterable[int]) -> set[int]:
    """Which volumes a VM uses that is on, whosever it is; one statement."""
    wanted = list(ids)
    if not wanted:
        return set()
    user = (
        exists()
        .where(instance_volume.c.volume_id == Volume.id, instance_volume.c.instance_id == Machine.instance_id)
        .where(powered())
        .correlate(Volume)
    )
    return set(call.session.scalars(select(Volume.id).where(Volume.id.in_(wanted), user)))


def volumes_of(call: Call, instance_id: int) -> list[str]:
    """The volumes that an instance's VMs have as disks, as ``pool/name``."""
    found = (
        select(Pool.name.label("pool"), Volume.name)
        .join(Pool, Pool.id == Volume.pool_id)
        .join(instance_volume, instance_volume.c.volume_id == Volume.id)
        .where(instance_volume.c.instance_id == instance_id)
        .order_by(Pool.name, Volume.name)
    )
    return [f"{row.pool}/{row.name}" for row in call.session.execute(found)]
