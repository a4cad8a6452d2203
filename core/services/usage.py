"""What projects may use and what they use (manual 7.3).

VCPUs and memory are counted for VMs whose power is on, everything else for what exists. Quotas are
enforced against these very expressions.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, ScalarSelect, Select, case, func, select

from core.coordination import runs
from core.errors import NotFound
from core.i18n import N_
from core.model import Image, Instance, Machine, Power, Project, Volume
from core.services.listing import Query, answer, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, Answer, Call, operation
from core.services.paging import Summed

#: The quotas of a project, as the columns ``max_*`` and the keys ``used_*`` name them.
QUOTAS = ("instances", "vcpus", "memory", "disk", "images", "image_bytes", "snapshots")


#: Each VM has one; as an outer join MariaDB does not begin with the instances, which takes three times as long.
_OF_INSTANCE = Instance.id == Machine.instance_id


def _booked(column: Any) -> Any:
    # What is off counts nothing, rather than being left out: with a condition on power SQLite would walk all
    # VMs that are on, once for each project.
    return case((Machine.power == Power.ON.value, column), else_=0)


def running(column: Any, project: Any = Project.id) -> ScalarSelect[Any]:
    """What VMs that are on have of an instance's column: those of each project, or of the one that is named."""
    return (
        select(func.coalesce(func.sum(_booked(column)), 0))
        .select_from(Machine)
        .join(Instance, Instance.id == Machine.instance_id)
        .where(Machine.project_id == project)
        .correlate(Project)
        .scalar_subquery()
    )


def _of(value: Any, table: Any) -> ScalarSelect[Any]:
    return select(value).select_from(table).where(table.project_id == Project.id).correlate(Project).scalar_subquery()


def _uploading(value: Any) -> ScalarSelect[Any]:
    return (
        select(value)
        .select_from(Image)
        .where(Image.project_id == Project.id, Image.state == "uploading")
        .correlate(Project)
        .scalar_subquery()
    )


def _all(value: Any, table: Any) -> Select[Any]:
    """The sums of all projects that have anything."""
    return select(table.project_id.label("key"), value.label("sum")).select_from(table).group_by(table.project_id)


def _all_running(column: Any) -> Select[Any]:
    # Made in one go, it costs half when what is off is left out.
    return _all(func.sum(column), Machine).outerjoin(Instance, _OF_INSTANCE).where(Machine.power == Power.ON.value)


#: What a project uses, as subqueries correlated to :class:`core.model.Project`.
USED: dict[str, Any] = {
    "instances": _of(func.count(), Instance),
    "vcpus": running(Instance.vcpus),
    "memory": running(Instance.memory),
    "disk": _of(func.coalesce(func.sum(Volume.capacity), 0), Volume),
    "images": _of(func.count(), Image),
    "image_bytes": _of(func.coalesce(func.sum(Image.size), 0), Image),
    "snapshots": _of(func.count(Volume.backing_id), Volume),  # checkpoints count here once there are any
}
#: What of that is still being uploaded.
UPLOADING: dict[str, Any] = {
    "images": _uploading(func.count()),
    "image_bytes": _uploading(func.coalesce(func.sum(Image.size), 0)),
}
#: The same for orders: the sums of all projects at once.
_ORDERS: dict[str, Any] = {
    "instances": _all(func.count(), Instance),
    "vcpus": _all_running(Instance.vcpus),
    "memory": _all_running(Instance.memory),
    "disk": _all(func.sum(Volume.capacity), Volume),
    "images": _all(func.count(), Image),
    "image_bytes": _all(func.sum(Image.size), Image),
    "snapshots": _all(func.count(Volume.backing_id), Volume),
}


def _statement() -> Any:
    used = (USED[quota].label(f"used_{quota}") for quota in QUOTAS)
    uploading = (UPLOADING[quota].label(f"uploading_{quota}") for quota in UPLOADING)
    return select(Project, *used, *uploading, runs.OF_PROJECT.label("vcpu_ms"))


def _row(found: Row[Any]) -> dict[str, Any]:
    project: Project = found.Project
    row: dict[str, Any] = {"uuid": project.uuid, "name": project.name}
    for quota in QUOTAS:
        row[f"max_{quota}"] = getattr(project, f"max_{quota}")
        row[f"used_{quota}"] = int(getattr(found, f"used_{quota}"))
    for quota in UPLOADING:
        row[f"uploading_{quota}"] = int(getattr(found, f"uploading_{quota}"))
    row["vcpu_seconds"] = int(found.vcpu_ms) // 1000
    return row


def used(call: Call, project: Project) -> dict[str, int]:
    """What a project uses of each quota, as ``used_*``."""
    row = call.session.execute(
        select(*(USED[quota].label(f"used_{quota}") for quota in QUOTAS)).where(Project.id == project.id)
    ).one()
    return {key: int(value) for key, value in row._mapping.items()}


@operation("usage.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """What each project may use and uses; for a project admin just the own one."""
    columns: dict[str, Any] = {"name": Project.name}
    for quota in QUOTAS:
        columns[f"max_{quota}"] = getattr(Project, f"max_{quota}")
        columns[f"used_{quota}"] = Summed(USED[quota], _ORDERS[quota], Project.id)
    columns["vcpu_seconds"] = Summed(runs.OF_PROJECT, runs.OPEN_OF_ALL, Project.id, Project.ran_ms)
    rows, total = listing(
        call,
        select(Project.id).where(*visible(call, Project)),
        query,
        columns=columns,
        tie=Project.id,
        search=[Project.name],
        rows=_statement(),
    )
    return answer([_row(found) for found in rows], total)


@operation("usage.show", roles=EVERYBODY)
def show(call: Call, *, usage: str = "") -> Answer:
    """What one project (``usage`` names it) may use and uses; a project admin's own when none is named."""
    if usage:
        project_id: int | None = find(call, Project, usage, field="usage").id
    else:
        project_id = call.actor.project_id
    found = call.session.execute(_statement().where(Project.id == project_id)).one_or_none()
    if found is None:
        raise NotFound(N_("Which project?"), remedy=N_("Name one."), field="usage")
    return _row(found)
