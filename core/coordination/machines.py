"""The order to run a VM, as its host reads it: everything that libvirt has to be told, in one statement."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, Select, bindparam, literal, select, union_all
from sqlalchemy.orm import Session

from core.coordination.discovery import unit_key
from core.coordination.storage import chains, image_path, volume_path
from core.errors import Refused
from core.i18n import N_
from core.model import (
    Image,
    Instance,
    Machine,
    Pool,
    Project,
    ProjectGroup,
    Secret,
    Volume,
    instance_image,
    instance_volume,
)
from core.rules.secrets import VOLUME
from core.security.sealed import SealedSecret
from core.security.vault import Vault, is_sealed
from core.specs.instance import DiskSpec, InstanceSpec
from core.specs.order import BackingFile, DiskOrder, MachineOrder


def secret_purpose(instance: str, screen: str) -> str:
    """What a screen's password is sealed for: the instance's UUID and the screen's type."""
    return f"instance {instance} {screen}"


def stored_spec(text: str) -> InstanceSpec:
    """The configuration as the database keeps it; it was checked as a whole when it was written."""
    return InstanceSpec.read(text)


def stored_text(spec: InstanceSpec) -> str:
    """The configuration as the database keeps it."""
    return json.dumps(spec.plain(), ensure_ascii=False)


def load(session: Session, uuid: str, vault: Vault) -> MachineOrder | None:
    """The order of one VM, or None when it was deleted.

    Args:
        session: a transaction.
        uuid: the VM.
        vault: opens the passwords of its screens.

    Raises:
        Refused: a volume or image is not there, or a password cannot be opened.
    """
    rows = session.execute(_order_of(), {"vm": uuid}).all()
    if not rows:
        return None
    row = rows[0]
    spec = stored_spec(row.spec)
    files = {found.file_uuid: found for found in rows if found.file_uuid}
    roots = {found.root_id for found in rows if found.root_id is not None}
    backing = chains(session, roots) if roots else {}
    return MachineOrder(
        id=row.id,
        uuid=row.uuid,
        name=row.name,
        project=row.project,
        instance=row.instance,
        epoch=row.epoch,
        power=row.power,
        state=row.state,
        host_id=row.host_id,
        enabled=bool(row.enabled),
        spec=spec,
        disks=tuple(_order(disk, files, backing) for disk in spec.disks if disk.volume or disk.image),
        passwords=tuple(
            vault.open(screen.password, secret_purpose(row.instance_uuid, screen.type))
            if is_sealed(screen.password)
            else ""
            for screen in spec.graphics
        ),
    )


_MACHINE: tuple[Any, ...] = (
    Machine.id,
    Machine.uuid,
    Machine.name,
    Machine.epoch,
    Machine.power,
    Machine.state,
    Machine.host_id,
    Instance.uuid.label("instance_uuid"),
    Instance.name.label("instance"),
    Instance.enabled,
    Instance.spec,
    Project.name.label("project"),
)


@cache
def _order_of() -> CompoundSelect[Any]:
    """A row for each file of the VM ``vm``, at least one. Made once: making it costs more than its answer."""
    return union_all(_with_volumes(), _with_images())


def _machine(*file: Any) -> Select[Any]:
    return (
        select(*_MACHINE, *file)
        .join(Instance, Instance.id == Machine.instance_id)
        .join(Project, Project.id == Machine.project_id)
        .where(Machine.uuid == bindparam("vm"))
    )


def _with_volumes() -> Select[Any]:
    """A row per volume, or one row when there is none."""
    return (
        _machine(
            Volume.uuid.label("file_uuid"),
            Volume.name.label("file"),
            Volume.format.label("format"),
            Volume.capacity.label("capacity"),
            Volume.id.label("file_id"),
            Volume.root_id.label("root_id"),
            Volume.path.label("own_path"),
            Volume.options.label("options"),
            Pool.path.label("root"),
            Pool.uuid.label("pool"),
            Pool.kind.label("pool_kind"),
            Pool.name.label("place"),
            literal(0).label("read_only"),
            Volume.state.label("file_state"),
            Secret.uuid.label("secret_uuid"),
            Secret.name.label("secret_name"),
            Secret.value.label("secret_value"),
        )
        .outerjoin(instance_volume, instance_volume.c.instance_id == Instance.id)
        .outerjoin(Volume, Volume.id == instance_volume.c.volume_id)
        .outerjoin(Pool, Pool.id == Volume.pool_id)
        .outerjoin(Secret, Secret.id == Volume.secret_id)
    )


def _with_images() -> Select[Any]:
    """A row per image."""
    return (
        _machine(
            Image.uuid.label("file_uuid"),
            Image.file.label("file"),
            Image.format.label("format"),
            literal(0).label("capacity"),
            Image.id.label("file_id"),
            literal(None).label("root_id"),
            literal("").label("own_path"),
            literal("").label("options"),
            ProjectGroup.directory.label("root"),
            literal("").label("pool"),
            literal("").label("pool_kind"),
            Image.name.label("place"),
            Image.read_only.label("read_only"),
            Image.state.label("file_state"),
            *(literal(None).label(f"secret_{part}") for part in ("uuid", "name", "value")),
        )
        .join(instance_image, instance_image.c.instance_id == Instance.id)
        .join(Image, Image.id == instance_image.c.image_id)
        .join(ProjectGroup, ProjectGroup.id == Image.group_id)
    )


def _order(disk: DiskSpec, files: dict[str, Any], backing: dict[int, tuple[BackingFile, ...]]) -> DiskOrder:
    """The file behind a disk."""
    row = files.get(disk.volume or disk.image)
    if row is None:
        raise Refused(
            N_("A volume or image of the VM is gone from the database."),
            remedy=N_("Edit its instance and choose another one."),
        )
    name = f"{row.place}/{row.file}" if disk.volume else row.place
    if row.file_state == "creating":
        raise Refused(N_("{name} is still being made."), remedy=N_("Wait for its task to end."), name=name)
    # Of an image's file its start says whether it is there: it may be back, or another host's to miss.
    if row.file_state != "present" and not (disk.image and row.file_state == "missing"):
        raise Refused(
            N_("{name} cannot be used: it is {state}."),
            remedy=N_("Bring its file back and refresh the storage pool, or edit the instance and choose another one.")
            if disk.volume and row.file_state == "missing"
            else N_("Edit the instance and choose another one."),
            name=name,
            state=row.file_state,
        )
    if disk.volume:
        return DiskOrder(
            kind="volume",
            uuid=row.file_uuid,
            name=name,
            path=volume_path(row.root, row.file, row.own_path),
            format=row.format,
            overlay=False,
            root=row.root,
            pool=row.pool,
            pool_kind=row.pool_kind,
            secret=SealedSecret(row.secret_uuid, row.secret_name, VOLUME, row.secret_value)
            if row.secret_uuid
            else None,
            backing=backing.get(row.file_id, ()) if row.root_id is not None else (),
            key=unit_key(row.options) if row.own_path else "",
            capacity=row.capacity,
        )
    return DiskOrder(
        kind="image",
        uuid=row.file_uuid,
        name=row.place,
        path=image_path(row.root, row.file),
        # An ISO file is plain bytes to QEMU.
        format="raw" if row.format == "iso" else row.format,
        # Many may use an image: what one writes to it is kept aside and lost with its run, unless the image was
        # registered as one that may be written.
        overlay=disk.device == "disk" and not disk.read_only and bool(row.read_only),
        root=row.root,
    )
