"""The cloud as a whole: how it stands, and making a new one usable in one step (manual 5.3)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from sqlalchemy import ColumnElement, exists, func, select

from core.model import (
    Host,
    Image,
    Instance,
    Machine,
    Power,
    Project,
    ProjectGroup,
    Task,
    TaskState,
    Volume,
)
from core.services.lookup import visible
from core.services.operation import EVERYBODY, Answer, Call, operation

#: The name of the image and the instance that the first-run helper makes.
SAMPLE = "sample"


@cache
def _version() -> str:
    try:
        return version("dosvm")
    except PackageNotFoundError:
        return ""


@operation("cloud.status", roles=EVERYBODY, idle_project=True)
def status(call: Call) -> Answer:
    """How the cloud stands, as far as the caller may see it.

    ``empty``: nothing was made in it yet, so that the first-run helper makes sense. ``sample_image``: there is
    an image named ``sample``. ``host``: the host that answers. ``counts``: numbers of things.
    """
    mine: list[ColumnElement[bool]] = [] if call.actor.is_sysadm else [Task.project_id == call.actor.project_id]
    active = (TaskState.QUEUED.value, TaskState.RUNNING.value)
    numbers = {
        "hosts": select(func.count()).select_from(Host),
        "projects": select(func.count()).select_from(Project).where(*visible(call, Project)),
        "instances": select(func.count()).select_from(Instance).where(*visible(call, Instance)),
        "vms": select(func.count()).select_from(Machine).where(*visible(call, Machine)),
        "vms_on": select(func.count())
        .select_from(Machine)
        .where(Machine.power == Power.ON.value, *visible(call, Machine)),
        "volumes": select(func.count()).select_from(Volume).where(*visible(call, Volume)),
        "images": select(func.count()).select_from(Image).where(*visible(call, Image)),
        "tasks": select(func.count()).select_from(Task).where(Task.state.in_(active), *mine),
    }
    found = call.session.execute(
        select(
            *(query.scalar_subquery().label(name) for name, query in numbers.items()),
            (exists(select(Project.id)) | exists(select(ProjectGroup.id))).label("used"),
            exists(select(Image.id).where(Image.name == SAMPLE, *visible(call, Image))).label("sample"),
            select(Host.name).where(Host.uuid == call.cloud.me).scalar_subquery().label("host"),
        )
    ).one()
    counts = {name: int(getattr(found, name)) for name in numbers}
    counts["hosts_up"] = sum(1 for view in call.cloud.hosts() if view.state == "up")
    return {
        "empty": not found.used,
        "sample_image": bool(found.sample),
        "host": found.host or "",
        "version": _version(),
        "counts": counts,
    }
