"""What volumes forbid: by their owner, their state, who uses them, and what rests on them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from core.coordination.charges import charge, fit_disk, fit_pool
from core.coordination.machines import stored_spec
from core.coordination.tasks import OPEN
from core.errors import InUse, InvalidInput, PermissionDenied, Refused
from core.i18n import N_
from core.model import Instance, Machine, Pool, Project, Secret, Task, Volume, instance_volume
from core.rules.pools import KINDS
from core.rules.secrets import ENCRYPTED_FORMATS, VOLUME
from core.services.lookup import find, visible
from core.services.operation import Call
from core.services.relations import some
from core.services.secrets import usable
from core.services.volume_users import powered

#: States in which nobody else may begin anything with a volume.
BUSY = ("creating", "deleting", "merging")


def owned(call: Call, reference: str) -> Volume:
    """A volume that the caller may change. One of no project is nobody's quota: only the system administrator may.

    Raises:
        NotFound: there is none that the caller may see.
        PermissionDenied: it belongs to no project.
    """
    found = find(call, Volume, reference, field="volume")
    if not call.actor.is_sysadm and found.project_id is None:
        raise PermissionDenied(
            N_("Volume {name} belongs to no project."),
            remedy=N_("The system administrator may change it."),
            field="volume",
            name=found.name,
        )
    return found


def pool_of(call: Call, volume: Volume) -> Pool:
    """The pool that a volume is in."""
    return call.session.scalars(select(Pool).where(Pool.id == volume.pool_id)).one()


def encrypting(call: Call, secret: str, volume_format: str) -> Secret | None:
    """The secret that a volume of a format is, or shall be, encrypted by, if any.

    Raises:
        NotFound: there is none that the caller may use.
        InvalidInput: it is for something else, or such volumes cannot be encrypted.
    """
    if not secret:
        return None
    key = usable(call, secret, VOLUME, field="secret")
    if volume_format not in ENCRYPTED_FORMATS:
        raise InvalidInput(
            N_("Volumes of the format {format} cannot be encrypted."),
            remedy=N_("Formats that can: {formats}."),
            field="secret",
            format=volume_format,
            formats=", ".join(ENCRYPTED_FORMATS),
        )
    return key


def refuse_secret_of_others(key: Secret | None, owner: Project | None, *, field: str) -> None:
    """Hold a volume to the secrets of its project: what opens it is that project's or nobody's, never another one's.

    A volume of no project is used by every project that has its pool, so it opens with a secret of none.

    Raises:
        Refused: it is another project's.
    """
    if key is None or key.project_id in (None, owner.id if owner is not None else None):
        return
    raise Refused(
        N_("It opens with the secret {name}, which is another project's."),
        remedy=N_("Give the secret to project {project} first.")
        if owner is not None
        else N_("Give the secret to no project first, or the volume to the project of the secret."),
        field=field,
        name=key.name,
        project=owner.name if owner is not None else "",
    )


def refuse_units(pool: Pool) -> None:
    """Refuse to make or change what others make: units of a storage system are only found (manual 9.4.3).

    Raises:
        Refused: the pool's volumes are no files.
    """
    if not KINDS[pool.kind].files:
        raise Refused(
            N_("The volumes of storage pool {name} are made and changed by its storage system; here they are found."),
            remedy=N_("Do it there, then refresh the storage pool."),
            field="pool",
            name=pool.name,
        )


def book(
    call: Call, pool_id: int, project_id: int | None, more: int, remedy: str = "", *, field: str = "capacity"
) -> None:
    """Charge a pool and a project with bytes that come in addition; ``remedy`` and ``field`` as of :func:`fit_pool`.

    Raises:
        QuotaExceeded: they do not fit into one of the two.
    """
    charge(call.session, Pool, pool_id)
    if project_id is not None:
        charge(call.session, Project, project_id)
        fit_disk(call.session, project_id, more, remedy, field=field)
    fit_pool(call.session, pool_id, more, remedy, field=field)


def refuse_unready(call: Call, pool: Pool) -> None:
    """Refuse a pool that its host still makes or already releases: either may end with the pool gone."""
    kind = call.session.scalar(
        select(Task.kind)
        .where(
            Task.target == pool.uuid,
            Task.kind.in_(("pool.activate", "pool.release")),
            Task.state.in_(OPEN),
        )
        .limit(1)
    )
    if kind == "pool.activate":
        raise Refused(
            N_("Storage pool {name} is still being made."),
            remedy=N_("Wait for its task to end."),
            field="pool",
            name=pool.name,
        )
    if kind is not None:
        raise Refused(
            N_("Storage pool {name} is being deleted."),
            remedy=N_("Choose another one."),
            field="pool",
            name=pool.name,
        )


def refuse_absent(volume: Volume) -> None:
    """Refuse what is not there, or is worked on."""
    if volume.state == "merging":
        raise Refused(
            N_("Volume {name} is being merged."),
            remedy=N_("Wait for its task to end, or cancel that."),
            field="volume",
            name=volume.name,
        )
    if volume.state == "foreign":
        raise Refused(
            N_("Nobody has said the format of volume {name}."),
            remedy=N_("The system administrator accepts it first (`dosvm volume accept`)."),
            field="volume",
            name=volume.name,
        )
    if volume.state != "present":
        raise Refused(
            N_("Volume {name} is not there: its state is {state}."),
            field="volume",
            name=volume.name,
            state=volume.state,
        )


def refuse_broken(call: Call, volume: Volume) -> None:
    """Refuse a snapshot of whose chain something is not there.

    Raises:
        Refused: names it, as far as the caller may see it.
    """
    if volume.root_id is None:
        return
    tree = select(Volume.id, Volume.backing_id, Volume.name, Volume.state).where(
        or_(Volume.id == volume.root_id, Volume.root_id == volume.root_id)
    )
    below = {row.id: row for row in call.session.execute(tree)}
    step = volume.backing_id
    while step is not None:
        row = below.pop(step, None)
        if row is None:
            return
        if row.state not in ("present", "merging"):
            seen = call.session.scalar(select(Volume.id).where(Volume.id == row.id, *visible(call, Volume)))
            raise Refused(
                N_("Volume {name} rests on volume {below}, which is not there: its state is {state}."),
                remedy=N_("Bring its file back and refresh the storage pool."),
                field="volume",
                name=volume.name,
                below=row.name if seen is not None else "?",
                state=row.state,
            )
        step = row.backing_id


def claim(call: Call, volume: Volume, state: str) -> str:
    """Give a volume another state, unless somebody was faster; who ties it to an instance just now waits for this.

    Returns:
        The state before. One of :data:`BUSY` is what a task left whose end could not be written.

    Raises:
        Refused: something else is being done with it.
    """
    mine = update(Volume).where(Volume.id == volume.id).execution_options(synchronize_session=False)
    call.session.execute(mine.values(version=Volume.version + 1))
    call.session.refresh(volume)
    before = volume.state
    if before in BUSY and _worked_on(call, volume):
        raise Refused(
            N_("Something else is being done with {name}."),
            remedy=N_("Wait for its task to end."),
            field="volume",
            name=volume.name,
        )
    call.session.execute(mine.values(state=state))
    return before


def _worked_on(call: Call, volume: Volume) -> bool:
    """Whether a task for a volume has not ended; the merge of one is a task for what is made of it."""
    made = select(Volume.uuid).where(Volume.backing_id == volume.id)
    merge = (Task.kind == "volume.merge") & Task.target.in_(made)
    found = select(Task.id).where(Task.state.in_(OPEN), (Task.target == volume.uuid) | merge)
    return call.session.scalar(found.limit(1)) is not None


def only_found() -> ColumnElement[bool]:
    """For statements: a volume is a file that a refresh found, nobody's, that nothing uses, rests on or works on."""
    above = aliased(Volume)
    return and_(
        Volume.state == "foreign",
        Volume.project_id.is_(None),
        Volume.secret_id.is_(None),
        Volume.backing_id.is_(None),
        ~exists().where(instance_volume.c.volume_id == Volume.id).correlate(Volume),
        ~exists().where(above.backing_id == Volume.id).correlate(Volume),
        ~exists().where(Task.target == Volume.uuid, Task.state.in_(OPEN)).correlate(Volume),
    )


def let_go(call: Call, volume: Volume) -> None:
    """Let a snapshot be used again that is *merging* for a volume of which no task is left."""
    source = call.session.get(Volume, volume.backing_id) if volume.backing_id is not None else None
    if source is not None and source.state == "merging" and not _worked_on(call, source):
        claim(call, source, "present")


def refuse_running(call: Call, volume: Volume) -> None:
    """Refuse to touch the file of a volume under a VM that has power, or has not lost it for certain."""
    running = (
        select(Machine.name)
        .join(instance_volume, instance_volume.c.instance_id == Machine.instance_id)
        .where(
            instance_volume.c.volume_id == volume.id,
            powered(),
        )
        .order_by(Machine.name)
        .limit(6)
    )
    # Those of other projects, and of projects in the trash, write as well; but their names are nobody's business.
    if call.session.scalars(running.limit(1)).first() is not None:
        named = call.session.scalars(running.where(*visible(call, Machine))).all()
        raise InUse(
            N_("Volume {name} is used by VMs that are on: {vms}."),
            remedy=N_("Stop them first."),
            field="volume",
            name=volume.name,
            vms=some(named) or "-",
        )


def refuse_used(call: Call, volume: Volume) -> None:
    """Refuse what an instance uses, running or not (manual 9.4.6).

    Raises:
        InUse: names the instances.
    """
    users = call.session.scalars(
        select(Instance.name)
        .join(instance_volume, instance_volume.c.instance_id == Instance.id)
        .where(instance_volume.c.volume_id == volume.id)
        .order_by(Instance.name)
        .limit(6)
    ).all()
    if users:
        raise InUse(
            N_("Volume {name} is used by instances: {instances}."),
            remedy=N_("Take it out of them first."),
            field="volume",
            name=volume.name,
            instances=some(users),
        )


def refuse_rested_on(call: Call, volume: Volume, *, field: str = "volume") -> None:
    """Refuse, at a field, what would break snapshots: a volume that others rest on never changes (manual 9.4.8.2).

    Raises:
        InUse: names those that the caller may see, and says how many there are.
    """
    count = call.session.scalar(select(func.count()).select_from(Volume).where(Volume.backing_id == volume.id)) or 0
    if not count:
        return
    names = call.session.scalars(
        select(Volume.name).where(Volume.backing_id == volume.id, *visible(call, Volume)).order_by(Volume.name).limit(6)
    ).all()
    raise InUse(
        N_("Snapshots rest on volume {name} ({count}): {snapshots}."),
        remedy=N_("Merge those that are still needed into volumes of their own; then delete the snapshots."),
        field=field,
        name=volume.name,
        count=count,
        snapshots=some(names) or "-",
    )


def writers(call: Call, volume: Volume) -> list[Instance]:
    """The instances that write to a volume: one at most, but for what was written past the rules."""
    users = call.session.scalars(
        select(Instance)
        .join(instance_volume, instance_volume.c.instance_id == Instance.id)
        .where(instance_volume.c.volume_id == volume.id)
        .order_by(Instance.name)
    )
    return [instance for instance in users if writes(instance.spec, volume.uuid)]


def writes(spec: Any, volume: str) -> bool:
    """Whether a configuration, as it is stored, writes to a volume."""
    return any(disk.volume == volume and not disk.read_only for disk in stored_spec(spec).disks)
