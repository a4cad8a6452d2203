"""Whose a volume is: what was found in a pool, or made by the system administrator, is given to a project later."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select, update

from core.coordination.charges import fit_given, fit_snapshots
from core.errors import InUse, InvalidInput, Refused
from core.i18n import N_
from core.model import Instance, Pool, Project, Secret, Volume, instance_volume
from core.services import volumes
from core.services.editing import check_version, touch
from core.services.lookup import find
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.orders import idle
from core.services.relations import some
from core.services.volume_checks import claim, pool_of, refuse_absent, refuse_secret_of_others


@operation("volume.give", roles=SYSTEM_ADMIN, action=N_("Give to project"), target="volume")
def give(call: Call, *, volume: str, project: str | None = None, version: int | None = None) -> Answer:
    """Give a volume to a project, which then has it in its quota and changes it; to none when ``project`` is empty.

    A volume of no project is used by every project that has its pool, and changed by the system administrator only.
    """
    if project is None:
        raise InvalidInput(
            N_("Name the project that it is given to; nothing for all that have the storage pool."), field="project"
        )
    found = find(call, Volume, volume, field="volume")
    check_version(call, found, version)
    owner = find(call, Project, project, field="project") if project else None
    if found.state == "foreign":
        raise Refused(
            N_("Nobody has said what format {name} has."),
            remedy=N_("Accept it, for the project: `dosvm volume accept --project`."),
            field="volume",
            name=found.name,
        )
    refuse_absent(found)
    pool = pool_of(call, found)
    call.note(f"{pool.name}/{found.name}")
    before = call.session.get(Project, found.project_id) if found.project_id is not None else None
    if owner is before:
        touch(call, found, {})
        return volumes.show(call, volume=found.uuid)
    # Pool before project, as everybody books.
    find(call, Pool, pool.uuid, field="pool")
    if owner is not None:
        fit_given(call.session, owner.id, pool.id, found.capacity)
        if found.backing_id is not None:
            fit_snapshots(call.session, owner.id)
    idle(call, found, field="volume")
    # Who takes it into an instance, or makes a snapshot of it, at this moment waits for this, or is waited for.
    claim(call, found, found.state)
    refuse_absent(found)
    _refuse_others(call, found, owner)
    call.session.execute(
        update(Volume)
        .where(Volume.id == found.id)
        .values(project_id=owner.id if owner else None)
        .execution_options(synchronize_session=False)
    )
    touch(call, found, {"project": [before.name if before else "", owner.name if owner else ""]})
    call.session.expire(found)
    call.changed("volume", "project")
    return volumes.show(call, volume=found.uuid)


def _not_of(column: ColumnElement[int | None], owner: Project) -> ColumnElement[bool]:
    return or_(column.is_(None), column != owner.id)


def _refuse_others(call: Call, volume: Volume, owner: Project | None) -> None:
    """Refuse to take from others what they use, and to give somebody what opens or rests on what is not theirs.

    Raises:
        InUse: instances or snapshots of others need it.
        Refused: it needs something of others.
    """
    if owner is not None:
        users = (
            select(Instance.name)
            .join(instance_volume, instance_volume.c.instance_id == Instance.id)
            .where(instance_volume.c.volume_id == volume.id, Instance.project_id != owner.id)
        )
        if names := call.session.scalars(users.order_by(Instance.name).limit(6)).all():
            raise InUse(
                N_("Instances of other projects use volume {name}: {instances}."),
                remedy=N_("Take it out of them first."),
                field="project",
                name=volume.name,
                instances=some(names),
            )
        above = select(Volume.name).where(Volume.backing_id == volume.id, _not_of(Volume.project_id, owner))  # type: ignore[arg-type]
        if names := call.session.scalars(above.order_by(Volume.name).limit(6)).all():
            raise InUse(
                N_("Snapshots that are not that project's rest on volume {name}: {snapshots}."),
                remedy=N_("Merge each into a volume of its own, or give it to the project, first."),
                field="project",
                name=volume.name,
                snapshots=some(names),
            )
    mine = owner.id if owner is not None else None
    below = call.session.get(Volume, volume.backing_id) if volume.backing_id is not None else None
    if below is not None and below.project_id not in (None, mine):
        raise Refused(
            N_("It rests on volume {name}, which is another project's."),
            remedy=N_("Merge it into a volume of its own, and give that one."),
            field="project",
            name=below.name,
        )
    key = call.session.get(Secret, volume.secret_id) if volume.secret_id is not None else None
    refuse_secret_of_others(key, owner, field="project")
