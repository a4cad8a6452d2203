"""When a host dies, what it was doing with storage that others reach as well is done by one of these."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Row, or_, select

from core.coordination.tasks import OPEN, hand_over
from core.model import Pool, Task, Volume
from core.services.operation import Call
from core.services.orders import most_able


def stranded(call: Call) -> Sequence[Row[int, int, int]]:
    """The tasks of hosts that are down about pools that are not bound to one: id, host_id and pool_id of each."""
    down = {view.id for view in call.cloud.hosts() if view.state == "down"}
    if not down:
        return []
    return call.session.execute(
        select(Task.id, Task.host_id, Pool.id.label("pool_id"))
        .outerjoin(Volume, Volume.uuid == Task.target)
        .join(Pool, or_(Pool.id == Volume.pool_id, Pool.uuid == Task.target))
        .where(Task.state.in_(OPEN), Task.host_id.in_(down), Pool.host_id.is_(None))
        .order_by(Task.id)
    ).all()


def succeed(call: Call) -> None:
    """Give these tasks to hosts that are up."""
    for task in stranded(call):
        heir = most_able(call, task.pool_id)
        if heir is not None and hand_over(call.session, task.id, task.host_id, heir):
            call.ring(heir)
            call.changed("task")
