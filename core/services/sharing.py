"""A disk that is written to belongs to one instance: refused to a second one, or moved there when that is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, or_, select, true, update

from core.coordination.machines import stored_spec, stored_text
from core.coordination.states import NOWHERE
from core.errors import InUse, InvalidInput, NeedsConsent, overtaken
from core.i18n import N_
from core.model import Image, Instance, Machine, Pool, Power, Volume, instance_image, instance_volume
from core.services.operation import Call
from core.services.relations import some
from core.services.volume_checks import writes
from core.specs.instance import InstanceSpec

#: VMs that use their disks, or may still do.
ALIVE = or_(Machine.power == Power.ON.value, Machine.state.not_in(NOWHERE))


def settle_shared(
    call: Call, instance: Instance, volumes: Mapping[int, bool], images: Mapping[int, bool], *, move: Any
) -> None:
    """See that no disk has two users of whom one writes to it; the caller holds the project.

    Args:
        call: the operation's call.
        instance: who uses them now.
        volumes: ids of its volumes -> whether it writes to them.
        images: ids of its images -> whether they are for one VM alone.
        move: volumes that other instances of the project have may be taken out of those: all, or the losses that
            somebody was asked about, as :class:`NeedsConsent` names them by ``agreed``.

    Raises:
        NeedsConsent: other instances of the project would lose volumes; names them.
        InUse: another project uses one, or an image is, or a VM that would lose a volume is on.
    """
    for image in _others(call, instance, Image, instance_image, "image_id", images):
        if images[image.id] or (not image.read_only and _writes(image.spec, image.uuid)):
            raise _taken(image, instance, why=_ALONE if not image.shared else _WRITTEN)
    shared = [
        volume
        for volume in _others(call, instance, Volume, instance_volume, "volume_id", volumes)
        if volumes[volume.id] or writes(volume.spec, volume.uuid)
    ]
    for volume in shared:
        if volume.project_id != instance.project_id:
            raise _taken(volume, instance)
    losses = [f"{volume.uuid} {volume.instance_uuid}" for volume in shared]
    if not isinstance(move, bool) and not (isinstance(move, list) and all(isinstance(loss, str) for loss in move)):
        raise InvalidInput(N_("{field} has the wrong type."), field="move")
    # What nobody was asked about is not lost: he is asked again, about all of it.
    if shared and move is not True and not (move and set(losses) <= set(move)):
        raise NeedsConsent(
            N_("{losses} A disk that is written to belongs to one instance."),
            remedy=N_(
                "Use other disks, make them read-only in both, or say that they are to move here (--move in a command)."
            ),
            field="disks",
            argument="move",
            agreed=losses,
            answer=N_("Move here"),
            question=N_("{losses} Move it here? Whatever used it until now starts without it."),
            losses=[
                {
                    "message": N_("{name} is used by instance {instance}."),
                    "parameters": {"name": volume.name, "instance": volume.instance},
                }
                for volume in shared
            ],
        )
    for instance_id in dict.fromkeys(volume.instance_id for volume in shared):
        _take_out(call, instance_id, [volume for volume in shared if volume.instance_id == instance_id])


def _others(
    call: Call, instance: Instance, model: Any, link: Any, column: str, ids: Mapping[int, bool]
) -> list[Row[Any]]:
    """The other instances that use some of these disks, a row for each and its disk."""
    if not ids:
        return []
    name = Pool.name + "/" + Volume.name if model is Volume else model.name
    statement = (
        select(
            model.id,
            model.uuid,
            name.label("name"),
            Instance.id.label("instance_id"),
            Instance.name.label("instance"),
            Instance.uuid.label("instance_uuid"),
            Instance.spec,
            Instance.project_id,
            (Image.shared if model is Image else true()).label("shared"),
            (Image.read_only if model is Image else true()).label("read_only"),
        )
        .join(link, link.c[column] == model.id)
        .join(Instance, Instance.id == link.c.instance_id)
        .where(model.id.in_(ids), Instance.id != instance.id)
        .order_by(Instance.name, model.name)
    )
    if model is Volume:
        statement = statement.join(Pool, Pool.id == Volume.pool_id)
    return list(call.session.execute(statement))


def _writes(spec: str, image: str) -> bool:
    """Whether a configuration, as it is stored, has an image (its UUID) as a disk that is not read-only."""
    return any(disk.image == image and disk.device == "disk" and not disk.read_only for disk in stored_spec(spec).disks)


#: Why a disk has one instance: what is said of one of the own project, of another project's, and what to do.
_WRITTEN = (
    N_("{name} is used by instance {instance}; a disk that is written to belongs to one instance."),
    N_("{name} is used by another project; a disk that is written to belongs to one instance."),
    N_("Use another disk, or make it read-only in both."),
)
_ALONE = (
    N_("{name} is used by instance {instance}; an image that VMs do not share belongs to one instance."),
    N_("{name} is used by another project; an image that VMs do not share belongs to one instance."),
    N_("Use another image, or let VMs share it."),
)


def _taken(disk: Row[Any], instance: Instance, why: tuple[str, str, str] = _WRITTEN) -> InUse:
    of_own, of_other, remedy = why
    own = disk.project_id == instance.project_id
    return InUse(
        of_own if own else of_other,
        remedy=remedy,
        field="disks",
        name=disk.name,
        instance=disk.instance if own else "",
    )


def _take_out(call: Call, instance_id: int, lost: list[Row[Any]]) -> None:
    """Take volumes out of an instance whose VMs are off."""
    other = call.session.get_one(Instance, instance_id)
    alive = call.session.scalars(
        select(Machine.name)
        # What maintenance switched off is started again, by nobody who would be asked.
        .where(Machine.instance_id == instance_id, or_(ALIVE, Machine.drained_id.is_not(None)))
        .order_by(Machine.name)
        .limit(6)
    ).all()
    if alive:
        raise InUse(
            N_("VMs of instance {name}, which uses volume {volume}, are on or come back after maintenance: {vms}."),
            remedy=N_("Power them off first."),
            field="disks",
            name=other.name,
            volume=lost[0].name,
            vms=some(alive),
        )
    uuids = {volume.uuid for volume in lost}
    spec = stored_spec(other.spec)
    left = spec.but(disks=tuple(disk for disk in spec.disks if disk.volume not in uuids))
    done = call.session.execute(
        update(Instance)
        .where(Instance.id == instance_id, Instance.version == other.version)
        .values(spec=stored_text(left), unique=alone(call, left), version=Instance.version + 1)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise overtaken()  # its configuration was changed since it was read
    call.session.execute(
        delete(instance_volume).where(
            instance_volume.c.instance_id == instance_id, instance_volume.c.volume_id.in_([v.id for v in lost])
        )
    )
    call.session.expire(other)
    call.detail.setdefault("moved", []).extend(f"{volume.name} ({volume.instance})" for volume in lost)
    call.changed("volume", "vm")


def alone(call: Call, spec: InstanceSpec) -> bool:
    """Whether something is for one VM alone, as :attr:`core.services.configuration.Resolved.unique` says."""
    writing = [disk for disk in spec.disks if disk.device == "disk" and not disk.read_only]
    if any(disk.volume for disk in writing):
        return True
    written = [disk.image for disk in writing if disk.image]
    named = [disk.image for disk in spec.disks if disk.image]
    single = select(Image.id).where(
        (Image.uuid.in_(written) & Image.read_only.is_(False)) | (Image.uuid.in_(named) & Image.shared.is_(False))
    )
    return bool(named) and call.session.scalar(single.limit(1)) is not None
