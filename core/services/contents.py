"""What hangs on a project: said before it is deleted, and while it is in the trash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from core.coordination.states import NOWHERE
from core.i18n import N_
from core.model import Image, Instance, Machine, Pool, Power, Project, Secret, User, Volume
from core.rules.sizes import format_size
from core.services.lookup import find
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.relations import some


@dataclass(frozen=True)
class Contents:
    """What a project owns. Sizes are bytes; a VM is a name and whether it runs, or may."""

    instances: Sequence[str]
    vms: Sequence[tuple[str, bool]]
    volumes: Sequence[tuple[str, int]]
    images: Sequence[tuple[str, int]]
    admins: Sequence[str]
    secrets: Sequence[str]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return any((self.instances, self.vms, self.volumes, self.images, self.admins, self.secrets))


def of_project(call: Call, project_id: int) -> Contents:
    """All that hangs on a project, whether it is in the trash or not."""

    def rows(statement: Any) -> list[Any]:
        return list(call.session.execute(statement).all())

    on = or_(Machine.power == Power.ON.value, Machine.state.not_in(NOWHERE) & Machine.host_id.is_not(None))
    return Contents(
        instances=[r.name for r in rows(select(Instance.name).where(Instance.project_id == project_id))],
        vms=[(r.name, bool(r.on)) for r in rows(_of(Machine, project_id, Machine.name, on.label("on")))],
        volumes=[
            (f"{r.pool}/{r.name}", r.capacity)
            for r in rows(
                _of(Volume, project_id, Volume.name, Volume.capacity, Pool.name.label("pool")).join(
                    Pool, Pool.id == Volume.pool_id
                )
            )
        ],
        images=[(r.name, r.size) for r in rows(_of(Image, project_id, Image.name, Image.size))],
        admins=[r.account for r in rows(select(User.account).where(User.project_id == project_id))],
        secrets=[r.name for r in rows(select(Secret.name).where(Secret.project_id == project_id))],
    )


def _of(table: Any, project_id: int, *columns: Any) -> Any:
    return select(*columns).where(table.project_id == project_id).order_by(table.name)


def lines(contents: Contents) -> list[dict[str, Any]]:
    """What is there in sentences ``{"message": template, "parameters": {...}}``, one for each kind of things."""

    def line(message: str, names: Sequence[str], **more: Any) -> list[dict[str, Any]]:
        if not names:
            return []
        return [{"message": message, "parameters": {"count": len(names), "names": some(sorted(names)), **more}}]

    running = sum(on for _name, on in contents.vms)
    disk = format_size(sum(size for _name, size in contents.volumes))
    space = format_size(sum(size for _name, size in contents.images))
    return [
        *line(N_("VMs ({count}, of which {running} run): {names}."), [n for n, _on in contents.vms], running=running),
        *line(N_("Instances ({count}): {names}."), contents.instances),
        *line(N_("Volumes ({count}, {size}): {names}."), [n for n, _size in contents.volumes], size=disk),
        *line(N_("Images ({count}, {size}): {names}."), [n for n, _size in contents.images], size=space),
        *line(N_("Administrators, who will be without a project ({count}): {names}."), contents.admins),
        *line(
            N_("Secrets, which will be of no project once it is gone for good ({count}): {names}."), contents.secrets
        ),
    ]


@operation("project.contents", roles=SYSTEM_ADMIN)
def project_contents(call: Call, *, project: str) -> Answer:
    """All that hangs on a project: names, and ``lines`` for people to read before they delete it."""
    found = find(call, Project, project, field="project")
    holds = of_project(call, found.id)
    return {
        "uuid": found.uuid,
        "name": found.name,
        "instances": list(holds.instances),
        "vms": [{"name": name, "on": on} for name, on in holds.vms],
        "volumes": [{"reference": name, "capacity": size} for name, size in holds.volumes],
        "images": [{"name": name, "size": size} for name, size in holds.images],
        "admins": list(holds.admins),
        "secrets": list(holds.secrets),
        "lines": lines(holds),
    }
