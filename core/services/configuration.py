"""The configuration of an instance between what people write and what the database keeps (manual 11.3).

People name volumes ``pool/name``, images, hosts and host groups by name, and give passwords in the clear; the
database keeps UUIDs, and passwords sealed. What is shown is what may be given again, without the passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from core.coordination.machines import secret_purpose, stored_spec
from core.errors import InvalidInput, Refused, overtaken
from core.i18n import N_
from core.model import (
    Host,
    HostGroup,
    Image,
    Instance,
    Pool,
    Volume,
    host_group_of_project,
    host_in_group,
    instance_image,
    instance_volume,
)
from core.security.vault import is_sealed
from core.services.lookup import find
from core.services.operation import Call
from core.services.relations import relink
from core.services.sharing import settle_shared
from core.services.volume_checks import refuse_rested_on
from core.specs.instance import DiskSpec, GraphicsSpec, InstanceSpec, parse_instance

#: States in which a volume or image may be named; a VM starts when all are there.
_USABLE = ("present", "creating")
#: What to do about an image whose file is gone.
_FILE_GONE = N_("Bring its file back, or use another one.")
#: What to do about those in which it may not, where that is more than to wait.
_REMEDIES = {
    "foreign": N_("The system administrator says first what it is (`dosvm volume accept`)."),
    "missing": N_("Bring its file back and refresh the storage pool, or use another one."),
    "failed": N_("Delete it and make it again, or use another one."),
    "uploading": N_("Wait until all of it has arrived."),
}


@dataclass(frozen=True)
class Resolved:
    """A configuration whose references were found: the spec as it is stored, and the ids it names."""

    spec: InstanceSpec
    volumes: dict[int, bool]
    """Ids of volumes -> whether they are written to."""
    images: dict[int, bool]
    """Ids of images -> whether one VM alone may use them: they are written to, or VMs do not share them."""
    host_id: int | None
    host_group_id: int | None

    @property
    def unique(self) -> bool:
        """Whether something is for one VM alone: written to (manual 11.4.4), or not shared by VMs (9.5.2)."""
        return any((*self.volumes.values(), *self.images.values()))


def resolve(
    call: Call, values: Mapping[str, Any], *, instance: str, project_id: int, before: InstanceSpec | None = None
) -> Resolved:
    """Understand a configuration as a person gave it.

    Args:
        call: the operation's call.
        values: the fields of :class:`InstanceSpec`.
        instance: UUID of the instance; passwords are sealed for it.
        project_id: the project it belongs to.
        before: what was stored, whose passwords stay where none is given.

    Raises:
        InvalidInput: a value breaks a rule.
        NotFound: something it names is not there.
    """
    spec = parse_instance(values)
    volumes: dict[int, bool] = {}
    images: dict[int, bool] = {}
    disks = tuple(_disk(call, disk, f"disks.{index}", volumes, images) for index, disk in enumerate(spec.disks))
    host = find(call, Host, spec.host, field="host") if spec.host else None
    group = find(call, HostGroup, spec.host_group, field="host_group") if spec.host_group else None
    _check_bound(call, project_id, host, group)
    # Named in two ways, one volume may still be there twice: the rules are held once more against what was found.
    stored = parse_instance(
        {
            **spec.plain(),
            "disks": [disk.plain() for disk in disks],
            "graphics": [],
            "host": host.uuid if host else "",
            "host_group": group.uuid if group else "",
        }
    )
    secrets: dict[str, str] = {screen.type: screen.password for screen in before.graphics} if before is not None else {}
    screens = tuple(
        _sealed(call, screen, f"graphics.{index}", instance, secrets) for index, screen in enumerate(spec.graphics)
    )
    return Resolved(
        spec=stored.but(graphics=screens),
        volumes=volumes,
        images=images,
        host_id=host.id if host else None,
        host_group_id=group.id if group else None,
    )


def _disk(call: Call, disk: DiskSpec, where: str, volumes: dict[int, bool], images: dict[int, bool]) -> DiskSpec:
    """The disk by UUIDs; notes what it uses, and whether for itself alone."""
    if disk.volume:
        volume = find(call, Volume, disk.volume, field=f"{where}.volume")
        volumes[volume.id] = volumes.get(volume.id, False) or not disk.read_only
        return disk.but(volume=volume.uuid)
    if disk.image:
        image = find(call, Image, disk.image, field=f"{where}.image")
        # A read-only image is written to through a temporary overlay, which is the VM's own (manual 9.5).
        writes = disk.device == "disk" and not disk.read_only and not image.read_only
        images[image.id] = images.get(image.id, False) or writes or not image.shared
        return disk.but(image=image.uuid)
    return disk


def _check_bound(call: Call, project_id: int, host: Host | None, group: HostGroup | None) -> None:
    given = select(host_group_of_project.c.group_id).where(host_group_of_project.c.project_id == project_id)
    if group is not None and not call.session.scalar(
        select(HostGroup.id).where(HostGroup.id == group.id, HostGroup.id.in_(given))
    ):
        raise InvalidInput(N_("The project may not use host group {name}."), field="host_group", name=group.name)
    if host is not None and not call.session.scalar(
        select(host_in_group.c.host_id)
        .where(host_in_group.c.host_id == host.id, host_in_group.c.group_id.in_(given))
        .limit(1)
    ):
        raise InvalidInput(
            N_("Host {name} is in no host group that the project may use."), field="host", name=host.name
        )


def _sealed(call: Call, screen: GraphicsSpec, where: str, instance: str, before: Mapping[str, str]) -> GraphicsSpec:
    if screen.clear_password:
        return screen.but(clear_password=False)
    if not screen.password:
        return screen.but(password=before.get(screen.type, ""))
    if is_sealed(screen.password) or screen.password.startswith("sealed:"):
        raise InvalidInput(N_("A password does not begin with these characters."), field=f"{where}.password")
    return screen.but(password=call.vault.seal(screen.password, secret_purpose(instance, screen.type)))


def book(call: Call, instance: Instance, resolved: Resolved, *, move: Any = False) -> None:
    """Tie an instance to the volumes and images it uses, and refuse what others forbid.

    With ``move`` volumes leave the other instances of the project that have them.

    The ties are written first: from then on nobody deletes them, and their states are read after it.

    Raises:
        Refused: a volume or image is not usable now.
        NeedsConsent: another instance uses what one of the two writes to.
        InUse: it is another project's, or cannot be moved now.
    """
    for link, column, wanted in (
        (instance_volume, "volume_id", set(resolved.volumes)),
        (instance_image, "image_id", set(resolved.images)),
    ):
        now = set(call.session.scalars(select(link.c[column]).where(link.c.instance_id == instance.id)))
        relink(call, link, "instance_id", instance.id, column, now, wanted)
    _fence(call, resolved)
    for model, ids in ((Volume, resolved.volumes), (Image, resolved.images)):
        if not ids:
            continue
        found: Any = model
        for name, state in call.session.execute(select(found.name, found.state).where(found.id.in_(ids))):
            if state not in _USABLE:
                raise Refused(
                    N_("{name} cannot be used now: it is {state}."),
                    remedy=_FILE_GONE
                    if model is Image and state == "missing"
                    else _REMEDIES.get(state, N_("Wait for its task to end.")),
                    field="disks",
                    name=name,
                    state=state,
                )
    usable_by_many = select(Image.id).where(Image.id.in_([i for i, single in resolved.images.items() if not single]))
    if resolved.images and call.session.scalar(usable_by_many.where(Image.shared.is_(False)).limit(1)) is not None:
        raise overtaken()  # somebody has just said that VMs do not share it
    settle_shared(call, instance, resolved.volumes, resolved.images, move=move)
    for volume in call.session.scalars(
        select(Volume)
        .where(Volume.id.in_([i for i, written in resolved.volumes.items() if written]))
        .order_by(Volume.id)
    ):
        refuse_rested_on(call, volume, field="disks")


def _fence(call: Call, resolved: Resolved) -> None:
    """Make those wait for each other who tie the same volume or image at once, from whatever project.

    A true change, so that it also counts between the nodes of a cluster; only where something is written to.
    """
    for model, ids in ((Volume, resolved.volumes), (Image, resolved.images)):
        written = sorted(i for i, writes in ids.items() if writes)
        found: Any = model
        if written:
            call.session.execute(
                update(found)
                .where(found.id.in_(written))
                .values(version=found.version + 1)
                .execution_options(synchronize_session=False)
            )


def release(call: Call, instance: Instance) -> None:
    """Untie an instance from its volumes and images."""
    for link in (instance_volume, instance_image):
        call.session.execute(delete(link).where(link.c.instance_id == instance.id))


def shown(call: Call, instance: Instance) -> dict[str, Any]:
    """The configuration as people read and may give it again: by names, and without passwords.

    ``passwords`` says which screens have one.
    """
    spec = stored_spec(instance.spec)
    volumes, images = _names(call, spec.disks)
    values = spec.plain()
    for disk in values["disks"]:
        disk["volume"] = volumes.get(disk["volume"], disk["volume"])
        disk["image"] = images.get(disk["image"], disk["image"])
    values["passwords"] = [screen.type for screen in spec.graphics if screen.password]
    for screen in values["graphics"]:
        screen["password"] = ""
    values["host"] = _name(call, Host, instance.host_id)
    values["host_group"] = _name(call, HostGroup, instance.host_group_id)
    return values


def _names(call: Call, disks: Iterable[DiskSpec]) -> tuple[dict[str, str], dict[str, str]]:
    used = list(disks)
    volumes: dict[str, str] = {}
    images: dict[str, str] = {}
    wanted = {disk.volume for disk in used if disk.volume}
    if wanted:
        statement = select(Volume.uuid, Pool.name, Volume.name).join(Pool, Pool.id == Volume.pool_id)
        for uuid, pool, name in call.session.execute(statement.where(Volume.uuid.in_(wanted))):
            volumes[uuid] = f"{pool}/{name}"
    wanted = {disk.image for disk in used if disk.image}
    if wanted:
        statement_of_images = select(Image.uuid, Image.name).where(Image.uuid.in_(wanted))
        images = dict(call.session.execute(statement_of_images).all())
    return volumes, images


def _name(call: Call, model: Any, row_id: int | None) -> str:
    if row_id is None:
        return ""
    return call.session.scalar(select(model.name).where(model.id == row_id)) or ""
