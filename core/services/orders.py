"""Handing work to hosts: what every operation does that leaves a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from core.coordination.tasks import Order, enqueue, enter_begun, targets_with_tasks
from core.errors import Refused
from core.i18n import N_
from core.model import Host, Image, Machine, Pool, PoolOnHost, Purge, Volume
from core.services.cloud import HostView
from core.services.operation import Answer, Call


def order(
    call: Call,
    kind: str,
    row: Pool | Volume | Image | Machine | Purge,
    host_id: int,
    *,
    project_id: int | None = None,
    payload: dict[str, Any] | None = None,
    name: str = "",
) -> Answer:
    """Enter a task for a host, whose doorbell rings once the transaction is committed.

    Args:
        call: the operation's call.
        kind: of the task, such as ``volume.create``.
        row: what it is about; already in the database.
        host_id: who does it.
        project_id: whose admins see the task; None: the system administrator only.
        payload: what the host must know beyond the row.
        name: what people call it, when the row has no name.

    Returns:
        The answer of the operation: ``task``, ``uuid`` and ``name``.
    """
    called = name or row.name  # type: ignore[union-attr]
    return order_all(call, [Order(kind, row.uuid, called, project_id, host_id, payload or {})])[0]


def order_all(call: Call, orders: Sequence[Order]) -> list[Answer]:
    """As :func:`order`, of many objects by one statement; ``task``, ``uuid`` and ``name`` of each."""
    account, origin, now = call.actor.account, call.cloud.me, call.clock.now()
    tasks = []
    if len(orders) == 1 and (claim := call.promise(orders[0].host_id, orders[0].target)):
        begun = enter_begun(call.session, orders[0], claim, account=account, origin=origin, now=now)
        tasks = [begun] if begun is not None else []
        call.begun += tasks
    if not tasks:
        tasks = enqueue(call.session, orders, account=account, origin=origin, now=now)
        for one, task in zip(orders, tasks, strict=True):
            call.ring(one.host_id, task if task.id else None)
    call.changed("task")
    return [{"task": task.uuid, "uuid": task.target, "name": task.target_name} for task in tasks]


def here(call: Call) -> Host:
    """The host whose hostd answers.

    Raises:
        Refused: it is not registered yet.
    """
    host = call.session.scalar(select(Host).where(Host.uuid == call.cloud.me))
    if host is None:
        raise Refused(
            N_("This host is not registered yet."), remedy=N_("Wait until its hostd has reached libvirt and try again.")
        )
    return host


def reachable(call: Call, host_id: int, name: str, *, field: str) -> None:
    """Refuse to order what a host that is down cannot do now; one that was not watched long enough gets its chance.

    Raises:
        Refused: it is down.
    """
    view = call.cloud.host(host_id)
    if view is not None and view.state == "down":
        raise Refused(
            N_("Host {host} is down."),
            remedy=N_("Repeat it when the host is back."),
            field=field,
            host=name,
        )


def host_for(call: Call, pool: Pool, *, field: str) -> int:
    """Who does what is to be done with a pool or a volume in it: its host, or any that can reach it and is up.

    Of several, one where the pool is active rather than one that never needed it, and last one where it failed.

    Raises:
        Refused: its host is down, or none is up.
    """
    if pool.host_id is not None:
        view = call.cloud.host(pool.host_id)
        if view is not None:
            reachable(call, pool.host_id, view.name, field=field)
        return pool.host_id
    chosen = most_able(call, pool.id)
    if chosen is None:
        raise Refused(
            N_("No host is up that could reach storage pool {name}."),
            remedy=N_("Start hostd on one of them."),
            field=field,
            name=pool.name,
        )
    return chosen


def most_able(call: Call, pool_id: int) -> int | None:
    """Of the hosts that are up, the one that comes nearest to having an unbound pool; None when none is up."""
    up = [view for view in call.cloud.hosts() if view.state == "up"]
    if not up:
        return None
    had = select(PoolOnHost.host_id, PoolOnHost.error).where(PoolOnHost.pool_id == pool_id)
    errors = {row.host_id: row.error for row in call.session.execute(had)}

    def rank(view: HostView) -> tuple[Any, ...]:
        found = errors.get(view.id)
        return bool(view.hypervisor_error), bool(found), found is None, view.cpu_percent // 25, view.name, view.id

    return min(up, key=rank).id


def idle(call: Call, row: Pool | Volume | Image | Machine, *, field: str) -> None:
    """Refuse to order anything for what a host is working on.

    Raises:
        Refused: a task for it has not ended.
    """
    if targets_with_tasks(call.session, [row.uuid]):
        raise Refused(
            N_("Something else is being done with {name}."),
            remedy=N_("Wait for its task to end."),
            field=field,
            name=row.name,
        )
