"""The cloud as a whole: how it stands, and making a new one usable in one step (manual 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select

from core.coordination.tasks import OPEN
from core.errors import DosvmError
from core.i18n import N_
from core.model import (
    Host,
    Image,
    Instance,
    Machine,
    Power,
    Project,
    ProjectGroup,
    Role,
    Task,
    User,
    Volume,
)
from core.rules.sizes import GIB, MIB
from core.services import host_groups, images, orders, pools, project_groups, projects, users
from core.services.actor import Actor
from core.services.editing import touch
from core.services.lookup import visible
from core.services.operation import (
    EVERYBODY,
    OPERATIONS,
    SYSTEM_ADMIN,
    Answer,
    Call,
    NewPassword,
    operation,
)
from core.version import version

#: What is said of a host that has only begun to look around.
_UNKNOWN = {"host": "", "hypervisor_error": ""}
#: The name of the image and the instance that the first-run helper makes.
SAMPLE = "sample"


@operation("cloud.status", roles=EVERYBODY, idle_project=True)
def status(call: Call) -> Answer:
    """How the cloud stands, as far as the caller may see it.

    ``empty``: nothing was made in it yet, so that the first-run helper makes sense. ``sample_image``: there is
    an image named ``sample``. ``host``: the host that answers. ``counts``: numbers of things.
    """
    mine: list[ColumnElement[bool]] = [] if call.actor.is_sysadm else [Task.project_id == call.actor.project_id]
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
        "tasks": select(func.count()).select_from(Task).where(Task.state.in_(OPEN), *mine),
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
        "version": version(),
        "counts": counts,
    }


@operation("cloud.here", roles=EVERYBODY, idle_project=True)
def here(call: Call) -> Answer:
    """How the host is that answers, as it knows itself: asked by every console every few seconds.

    ``host``: its name. ``hypervisor_error``: why its libvirtd does not answer; empty when it does.
    """
    view = next((view for view in call.cloud.hosts() if view.uuid == call.cloud.me), None)
    return {"host": view.name, "hypervisor_error": view.hypervisor_error} if view else _UNKNOWN


@operation("cloud.prepare", roles=SYSTEM_ADMIN, action=N_("Prepare"), target="project", confirm="own_password")
def prepare(
    call: Call,
    *,
    group: str,
    directory: str,
    project: str,
    admin: str,
    new_password: NewPassword,
    host_group: str,
    pool: str,
    pool_path: str,
    capacity: int,
    sample: bool = True,
) -> Answer:
    """Make all that a first VM needs, on the host that answers (manual 5.3).

    A project group and in it a project with quotas, its admin, a host group of all hosts, a directory pool for
    the project; with ``sample`` an image to boot from, an instance with it and a VM, which is off.

    Returns:
        ``task``: the task to wait for, the last one; ``tasks``: all of them; and ``project``, ``admin``, ``vm``.

    Raises:
        DosvmError: as the single operations; the field is the one of this operation. Nothing was made.
    """
    here = orders.here(call)
    hosts = list(call.session.scalars(select(Host).order_by(Host.id)))
    with _said_of(name="group"):
        in_group = project_groups.create(call, name=group, directory=directory)
    with _said_of(name="project"):
        made = projects.create(call, name=project, group=in_group)
    touch(call, made, projects.set_quotas(made, _quotas(hosts, capacity)))
    with _said_of(account="admin"):
        user = users.create(call, account=admin, password_hash=new_password, project=made)
    with _said_of(name="host_group"):
        host_groups.create(call, name=host_group, hosts=hosts, projects=[made])
    with _said_of(name="pool", path="pool_path"):
        _pool, done = pools.create(call, name=pool, host=here, path=pool_path, capacity=capacity, projects=[made])
    tasks = [done["task"]]
    vm = ""
    if sample:
        _image, done = images.create_sample_image(call, in_group, made, name=SAMPLE)
        tasks.append(done["task"])
        vm = _sample_vm(call, user)
    # Each step noted its own; the log's row is of the whole.
    call.detail.clear()
    call.note(project, group=group, admin=admin, host_group=host_group, pool=pool, host=here.name, vm=vm)
    call.changed("cloud")
    return {"task": tasks[-1], "tasks": tasks, "project": project, "admin": admin, "vm": vm}


def _quotas(hosts: list[Host], disk: int) -> dict[str, int | None]:
    """What is sensible for the only project of a small cloud: all there is, and room for some tens of VMs."""
    return {
        "max_instances": 100,
        "max_vcpus": max(4, sum(host.max_vcpus for host in hosts)),
        "max_memory": -(-sum(host.max_memory for host in hosts) // GIB) * GIB or GIB,  # a round number
        "max_disk": disk,
        "max_images": 100,
        "max_image_bytes": max(10 * GIB, disk),
        "max_snapshots": 100,
    }


def _sample_vm(call: Call, admin: User) -> str:
    """An instance that boots the sample image, and a VM of it: made by the operations, as the admin would."""
    actor = Actor(
        user_id=admin.id,
        uuid=admin.uuid,
        account=admin.account,
        role=Role.PROJECT,
        address=call.actor.address,
        project_id=admin.project_id,
    )
    as_admin = replace(call, actor=actor)

    def do(operation_name: str, /, **arguments: Any) -> None:
        wanted = OPERATIONS[operation_name]
        wanted.function(as_admin, **wanted.check(arguments))

    do(
        "instance.add",
        name=SAMPLE,
        vcpus=1,
        memory=128 * MIB,
        boot=["cdrom"],
        disks=[{"device": "cdrom", "image": SAMPLE}],
        graphics=[{"type": "vnc"}],
    )
    do("vm.add", name=f"{SAMPLE}-1", instance=SAMPLE)
    return f"{SAMPLE}-1"


@contextmanager
def _said_of(**fields: str) -> Iterator[None]:
    """Name the field of this operation in errors of those it is made of."""
    try:
        yield
    except DosvmError as error:
        error.field = fields.get(error.field or "", error.field)
        raise
