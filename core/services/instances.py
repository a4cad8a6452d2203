"""Instances: complete descriptions of machines, from which VMs are made (manual 11.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete, func, select, update

from core.coordination.charges import charge, fit_instances
from core.coordination.machines import stored_spec, stored_text
from core.errors import DosvmError, InUse
from core.i18n import N_
from core.model import Host, HostGroup, Instance, Machine, Project, new_uuid
from core.rules import names
from core.rules.instances import first_screens
from core.services.configuration import Resolved, book, release, resolve, shown
from core.services.editing import CONFIGURATION, check_version, edit, touch, unused
from core.services.fields import ruled
from core.services.listing import Query, answer, called, flag, iso, listing
from core.services.lookup import find, visible
from core.services.operation import EVERYBODY, PROJECT_ADMIN, Answer, Call, operation
from core.services.paging import Named, Summed
from core.services.power import order_stop, switch_off
from core.services.relations import some
from core.services.sharing import ALIVE
from core.services.volume_users import volumes_of
from core.specs.instance import InstanceSpec

_VMS = (
    select(func.count())
    .select_from(Machine)
    .where(Machine.instance_id == Instance.id)
    .correlate(Instance)
    .scalar_subquery()
)
_VMS_OF_EACH: Any = select(Machine.instance_id.label("key"), func.count().label("sum")).group_by(Machine.instance_id)


def _statement() -> Any:
    return (
        select(
            Instance,
            Project.name.label("project"),
            Host.name.label("host"),
            HostGroup.name.label("host_group"),
            _VMS.label("vms"),
        )
        .join(Project, Project.id == Instance.project_id)
        .outerjoin(Host, Host.id == Instance.host_id)
        .outerjoin(HostGroup, HostGroup.id == Instance.host_group_id)
    )


def _row(found: Any) -> dict[str, Any]:
    instance: Instance = found.Instance
    return {
        "uuid": instance.uuid,
        "name": instance.name,
        "display_name": instance.display_name,
        "project": found.project,
        "vcpus": instance.vcpus,
        "memory": instance.memory,
        "vms": found.vms,
        "unique": instance.unique,
        "enabled": instance.enabled,
        "host": found.host or "",
        "host_group": found.host_group or "",
        "created": iso(instance.created),
        "version": instance.version,
    }


@operation("instance.list", roles=EVERYBODY)
def list_(call: Call, *, query: Query) -> Answer:
    """All instances, or the project's."""
    rows, total = listing(
        call,
        select(Instance.id).where(*visible(call, Instance)),
        query,
        columns={
            "name": Instance.name,
            "display_name": Instance.display_name,
            "vcpus": Instance.vcpus,
            "memory": Instance.memory,
            "vms": Summed(_VMS, _VMS_OF_EACH, Instance.id),
            "unique": Instance.unique,
            "enabled": Instance.enabled,
            "host": Named(Instance.host_id, Host.name),
            "host_group": Named(Instance.host_group_id, HostGroup.name),
            "project": Named(Instance.project_id, Project.name),
            "created": Instance.created,
        },
        tie=Instance.id,
        search=[Instance.name, Instance.display_name],
        filters={
            "project": lambda value: Instance.project_id.in_(called(Project, value)),
            "enabled": lambda value: Instance.enabled.is_(flag(value)),
            "host": lambda value: Instance.host_id.in_(called(Host, value)),
        },
        rows=_statement(),
    )
    return answer([_row(found) for found in rows], total)


def _with_moves(call: Call, answer: Answer) -> Answer:
    """What was done, and which volumes left which instances for it, under ``warnings``."""
    moved = call.detail.get("moved")
    if not moved:
        return answer
    told = DosvmError(
        N_("These volumes left other instances (named in brackets): {volumes}."), volumes=", ".join(moved)
    )
    return {**answer, "warnings": [told.to_wire()]}


def _show(call: Call, instance: Instance) -> dict[str, Any]:
    found = call.session.execute(_statement().where(Instance.id == instance.id)).one()
    return {**_row(found), **shown(call, found.Instance), "volumes": volumes_of(call, instance.id)}


@operation("instance.show", roles=EVERYBODY)
def show(call: Call, *, instance: str) -> Answer:
    """One instance with its whole configuration, in the form in which it may be given; never a password."""
    return _show(call, find(call, Instance, instance, field="instance"))


@operation("instance.add", roles=PROJECT_ADMIN, action=N_("Add"), target="name")
def add(
    call: Call,
    *,
    name: str,
    display_name: str = "",
    vcpus: int | None = None,
    memory: Any = None,
    architecture: str | None = None,
    accelerator: str | None = None,
    machine: str | None = None,
    boot: list[str] | None = None,
    boot_menu: bool | None = None,
    boot_menu_timeout: int | None = None,
    bios_serial: bool | None = None,
    reboot_timeout: int | None = None,
    tablet: bool | None = None,
    disks: list[dict[str, Any]] | None = None,
    graphics: list[dict[str, Any]] | None = None,
    host: str | None = None,
    host_group: str | None = None,
    tuning_xml: str | None = None,
    devices_xml: str | None = None,
    move: Any = False,
) -> Answer:
    """Describe a machine: the fields of :class:`core.specs.instance.InstanceSpec`; what is left out has its default.

    Without a word about its screens it has one by VNC, see :func:`core.rules.instances.first_screens`.
    Volumes that another instance of the project has are refused unless they shall ``move`` here.
    """
    values = {"graphics": first_screens(), **_given(locals())}
    project = call.session.scalars(select(Project).where(Project.id == call.actor.project_id)).one()
    made = create_instance(call, project, name=name, display_name=display_name, values=values, move=move)
    return _with_moves(call, _show(call, made))


#: Arguments of the operations that are no fields of the configuration.
_ARGUMENTS = {"call", "name", "display_name", "instance", "version", "move"}


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if key not in _ARGUMENTS and value is not None}


def create_instance(
    call: Call,
    project: Project,
    *,
    name: str,
    values: Mapping[str, Any],
    display_name: str = "",
    move: Any = False,
) -> Instance:
    """Enter an instance of a project; it is enabled.

    Args:
        call: the operation's call.
        project: whose it is.
        name: its name.
        values: its configuration as a person writes it.
        display_name: its title.
        move: volumes may leave other instances of the project, see :func:`core.services.sharing.settle_shared`.

    Raises:
        InvalidInput: a value breaks a rule.
        NotFound: something it names is not there.
        AlreadyExists: the project has an instance of that name.
        QuotaExceeded: the project may have no more.
        NeedsConsent: a disk that is written to belongs to another instance.
    """
    ruled("name", names.name, name)
    ruled("display_name", names.display_name, display_name)
    charge(call.session, Project, project.id)
    unused(call, (Instance.project_id == project.id) & (Instance.name == name), name)
    uuid = new_uuid()
    resolved = resolve(call, values, instance=uuid, project_id=project.id)
    fit_instances(call.session, project.id)
    instance = Instance(
        uuid=uuid,
        project_id=project.id,
        name=name,
        display_name=display_name,
        created=call.clock.now(),
        **_columns(resolved),
    )
    call.session.add(instance)
    call.session.flush()
    book(call, instance, resolved, move=move)
    call.note(name, object=uuid, vcpus=instance.vcpus, memory=instance.memory)
    call.changed("instance")
    return instance


def _columns(resolved: Resolved) -> dict[str, Any]:
    return {
        "spec": stored_text(resolved.spec),
        "vcpus": resolved.spec.vcpus,
        "memory": resolved.spec.memory,
        "unique": resolved.unique,
        "host_id": resolved.host_id,
        "host_group_id": resolved.host_group_id,
    }


@operation("instance.edit", roles=PROJECT_ADMIN, action=N_("Edit"), target="instance")
def edit_(
    call: Call,
    *,
    instance: str,
    name: str | None = None,
    display_name: str | None = None,
    vcpus: int | None = None,
    memory: Any = None,
    architecture: str | None = None,
    accelerator: str | None = None,
    machine: str | None = None,
    boot: list[str] | None = None,
    boot_menu: bool | None = None,
    boot_menu_timeout: int | None = None,
    bios_serial: bool | None = None,
    reboot_timeout: int | None = None,
    tablet: bool | None = None,
    disks: list[dict[str, Any]] | None = None,
    graphics: list[dict[str, Any]] | None = None,
    host: str | None = None,
    host_group: str | None = None,
    tuning_xml: str | None = None,
    devices_xml: str | None = None,
    move: Any = False,
    version: int | None = None,
) -> Answer:
    """Change an instance: what is left out stays, screens' passwords too. For more than names its VMs must be off.

    Volumes that another instance of the project has are refused unless they shall ``move`` here.
    """
    values = _given(locals())
    found = find(call, Instance, instance, field="instance")
    check_version(call, found, version)
    ruled("name", names.name, name)
    ruled("display_name", names.display_name, display_name)
    if name is not None and name != found.name:
        unused(call, (Instance.project_id == found.project_id) & (Instance.name == name), name)
    call.note(found.name)
    changed: dict[str, list[Any]] = {
        key: [getattr(found, key), value]
        for key, value in (("name", name), ("display_name", display_name))
        if value is not None and value != getattr(found, key)
    }
    if values:
        _reconfigure(call, found, values, changed, move=move)
    else:
        touch(call, found, changed)
    call.changed("instance", "vm")
    return _with_moves(call, _show(call, found))


def _reconfigure(
    call: Call, found: Instance, values: Mapping[str, Any], changed: dict[str, list[Any]], *, move: Any
) -> None:
    """Change the configuration, if it is another one, and the names with it."""
    before = stored_spec(found.spec)
    now = shown(call, found)
    merged = {**{key: now[key] for key in before.names()}, **values}
    # A host takes the place of a host group, and the other way round.
    for one, other in (("host", "host_group"), ("host_group", "host")):
        if values.get(one) and other not in values:
            merged[other] = ""
    charge(call.session, Project, found.project_id)
    resolved = resolve(call, merged, instance=found.uuid, project_id=found.project_id, before=before)
    columns = _columns(resolved)
    old = {key: getattr(found, key) for key in columns}
    if columns == old:
        touch(call, found, changed)
        return
    _refuse_alive(call, found)
    if resolved.unique:
        _refuse_many(call, found)
    call.session.execute(
        update(Instance).where(Instance.id == found.id).values(**columns).execution_options(synchronize_session=False)
    )
    book(call, found, resolved, move=move)
    # The log tells which fields changed and never their values: passwords are among them.
    touch(call, found, {**changed, CONFIGURATION: ["", _differing(before, resolved.spec)]})
    call.session.expire(found, list(columns))


def _differing(before: InstanceSpec, after: InstanceSpec) -> list[str]:
    """The fields that differ; of the screens apart which have another password: ``graphics.vnc.password``."""
    was, now = before.plain(), after.plain()
    passwords = [{screen["type"]: screen.pop("password") for screen in spec["graphics"]} for spec in (was, now)]
    differing = [key for key, value in was.items() if now[key] != value]
    screens = dict.fromkeys([*passwords[0], *passwords[1]])
    changed = [screen for screen in screens if passwords[0].get(screen, "") != passwords[1].get(screen, "")]
    return [*differing, *(f"graphics.{screen}.password" for screen in changed)]


def _refuse_alive(call: Call, instance: Instance) -> None:
    alive = call.session.scalars(
        select(Machine.name).where(Machine.instance_id == instance.id, ALIVE).order_by(Machine.name).limit(6)
    ).all()
    if alive:
        raise InUse(
            N_("VMs of instance {name} are on: {vms}."),
            remedy=N_("Power them off first."),
            field="instance",
            name=instance.name,
            vms=some(alive),
        )


def _refuse_many(call: Call, instance: Instance) -> None:
    vms = call.session.scalars(
        select(Machine.name).where(Machine.instance_id == instance.id).order_by(Machine.name).limit(6)
    ).all()
    if len(vms) > 1:
        raise InUse(
            N_("Instance {name} would have a disk that is written to or not shared, but it has several VMs: {vms}."),
            remedy=N_("Delete all but one of them, or make the disk read-only, or its image shared."),
            field="disks",
            name=instance.name,
            vms=some(vms),
        )


@operation("instance.delete", roles=PROJECT_ADMIN, action=N_("Delete"), target="instance")
def delete_(call: Call, *, instance: str) -> Answer:
    """Delete an instance without VMs; its volumes and images stay."""
    found = find(call, Instance, instance, field="instance")
    charge(call.session, Project, found.project_id)
    vms = call.session.scalars(
        select(Machine.name).where(Machine.instance_id == found.id).order_by(Machine.name).limit(6)
    ).all()
    if vms:
        raise InUse(
            N_("Instance {name} has VMs: {vms}."),
            remedy=N_("Delete them first."),
            field="instance",
            name=found.name,
            vms=some(vms),
        )
    release(call, found)
    call.session.execute(delete(Instance).where(Instance.id == found.id))
    call.note(found.name, object=found.uuid)
    call.changed("instance")
    return {}


@operation("instance.enable", roles=PROJECT_ADMIN, action=N_("Enable"), target="instance")
def enable(call: Call, *, instance: str) -> Answer:
    """Let an instance be used again."""
    found = find(call, Instance, instance, field="instance")
    call.note(found.name)
    edit(call, found, None, {"enabled": True})
    call.changed("instance", "vm")
    return _show(call, found)


@operation("instance.disable", roles=PROJECT_ADMIN, action=N_("Disable"), target="instance")
def disable(call: Call, *, instance: str) -> Answer:
    """Let an instance be used no more; its VMs that run are forced off (``tasks`` in the answer)."""
    found = find(call, Instance, instance, field="instance")
    # Nobody of the project starts a VM from here to the commit.
    charge(call.session, Project, found.project_id)
    call.note(found.name)
    edit(call, found, None, {"enabled": False})
    running: Sequence[Machine] = call.session.scalars(
        select(Machine)
        .where(and_(Machine.instance_id == found.id, ALIVE, Machine.host_id.is_not(None)))
        .order_by(Machine.id)
    ).all()
    switch_off(call, Machine.instance_id == found.id)
    tasks = [order_stop(call, machine, force=True)["task"] for machine in running]
    if running:
        call.detail["stopped"] = [machine.name for machine in running]
    call.changed("instance", "vm")
    return {**_show(call, found), "tasks": tasks}
