"""Who may do what: the expected rights of every operation, written down a second time, on purpose.

The declarations in ``core/services`` say it once; this table says it independently. An operation without an
entry here, or with rights that differ, fails ``test_permissions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.office import PASSWORD

NEW_PASSWORD = "Another-horse-9"
MIB = 1024**2


@dataclass(frozen=True)
class Right:
    """The expected rights of one operation.

    Attributes:
        who: ``S`` the system administrator, ``P`` project admins.
        arguments: a call that names things of project ``web``; ``$pool`` is its pool, by name or by UUID.
        owned: whether what it names is the project's own, so that the admin of another one must not find it.
        idle: whether admins of a deactivated project, and those of no project, may call it.
        first: whether it is open to who must change the password first.
    """

    who: str
    arguments: dict[str, Any] = field(default_factory=dict)
    owned: bool = False
    idle: bool = False
    first: bool = False


def _s(**arguments: Any) -> Right:
    return Right("S", arguments)


def _sp(**arguments: Any) -> Right:
    return Right("SP", arguments, owned=bool(arguments))


def _p(**arguments: Any) -> Right:
    return Right("P", arguments, owned=bool(arguments))


RIGHTS: dict[str, Right] = {
    "profile.list": Right("SP", idle=True),
    "profile.show": Right("SP", idle=True),
    "profile.edit": Right("SP", {"phone": "1"}, idle=True),
    "profile.set-preferences": Right("SP", {"preferences": "{}"}, idle=True),
    "profile.change-password": Right(
        "SP", {"old_password": PASSWORD, "new_password": NEW_PASSWORD}, idle=True, first=True
    ),
    "secret.list": _sp(),
    "secret.show": _sp(secret="$secret"),
    "secret.add": _s(name="new", display_name="New", kind="volume", usage="new", value="Correct-horse"),
    "secret.edit": _s(secret="$secret", usage="x"),
    "secret.delete": _s(secret="$secret"),
    "user.list": _s(),
    "user.show": _s(user="$user"),
    "user.add": _s(account="new", new_password=NEW_PASSWORD, own_password=PASSWORD),
    "user.edit": _s(user="$user", phone="1"),
    "user.set-password": _s(user="$user", new_password=NEW_PASSWORD, own_password=PASSWORD),
    "user.delete": _s(user="$user", own_password=PASSWORD),
    "user.freeze": _s(user="$user"),
    "user.unfreeze": _s(user="$user"),
    "project-group.list": _sp(),
    "project-group.members": _sp(),
    "project-group.show": _sp(project_group="$project_group"),
    "project-group.add": _s(name="new", directory="/srv/dosvm-test/new"),
    "project-group.edit": _s(project_group="$project_group", description="x"),
    "project-group.delete": _s(project_group="$project_group"),
    "project-group.add-project": _s(project_group="$project_group", project="shop"),
    "project-group.remove-project": _s(project_group="$project_group", project="$project"),
    "project.list": _s(),
    "project.show": _sp(project="$project"),
    "project.add": _s(name="new", group="$project_group"),
    "project.edit": _s(project="$project", description="x"),
    "project.configure": _s(project="$project", max_vcpus=1),
    "project.activate": _s(project="$project"),
    "project.deactivate": _s(project="$project"),
    "project.delete": _s(project="$project"),
    "project.contents": _s(project="$project"),
    "trash.list": _s(),
    "trash.show": _s(trash="$trash"),
    "trash.restore": _s(trash="$trash"),
    "trash.purge": _s(trash="$trash"),
    "usage.list": _sp(),
    "usage.show": _sp(usage="$project"),
    "host-group.list": _sp(),
    "host-group.show": _sp(host_group="$host_group"),
    "host-group.add": _s(name="new"),
    "host-group.edit": _s(host_group="$host_group", description="x"),
    "host-group.delete": _s(host_group="$host_group"),
    "host.list": _sp(),
    "host.show": _sp(host="$host"),
    "host.edit": _s(host="$host", max_vcpus=1),
    "host.delete": _s(host="$host"),
    "host.losses": _s(host="$host"),
    "host.abandon": _s(host="$host"),
    "host-history.list": _s(),
    "host-history.chart": _s(host="$host"),
    "host-history.clearable": _s(before="2025-01-01", host="$host"),
    "host-history.clear": _s(before="2025-01-01", host="$host"),
    "host.drain-plan": _s(host="$host"),
    "host.drain": _s(host="$host", policy="stop"),
    "host.undrain": _s(host="$host"),
    "host.samples": _s(host="$host"),
    "pool.list": _sp(),
    "pool.show": _sp(pool="$pool"),
    "pool.add": _s(name="new", type="dir", host="$host", path="/srv/dosvm-test/pool", capacity=MIB),
    "pool.edit": _s(pool="$pool", description="x"),
    "pool.delete": _s(pool="$pool"),
    "pool.refresh": _sp(pool="$pool"),
    "volume.accept": _s(volume="$volume", format="qcow2"),
    "volume.give": _s(volume="$volume", project=""),
    "volume.list": _sp(),
    "volume.show": _sp(volume="$volume"),
    "volume.add": _sp(name="new", pool="$pool", capacity=MIB, format="qcow2"),
    "volume.grow": _sp(volume="$volume", capacity=100 * MIB),
    "volume.edit": _sp(volume="$volume", display_name="x"),
    "volume.delete": _sp(volume="$volume"),
    "volume.forget": _s(volume="$volume"),
    "volume.snapshot": _sp(volume="$volume", name="new"),
    "volume.merge": _sp(volume="$volume", name="new"),
    "snapshot.list": _sp(),
    "snapshot.show": _sp(snapshot="$volume"),
    "image.list": _sp(),
    "image.show": _sp(image="$image"),
    "image.add": _p(name="new", file="new.iso", group="$project_group", format="iso"),
    "image.upload": _p(name="newer", source=4096, file="newer.iso", group="$project_group", format="iso"),
    "image.edit": _p(image="$image", description="x"),
    "image.delete": _p(image="$image"),
    "image.cancel": _p(image="$image"),
    "instance.list": _sp(),
    "instance.show": _sp(instance="$instance"),
    "instance.add": _p(name="new", vcpus=1, memory=64 * MIB, disks=[{"volume": "$volume", "bus": "virtio"}]),
    "instance.edit": _p(instance="$instance", display_name="x"),
    "instance.delete": _p(instance="$instance"),
    "instance.enable": _p(instance="$instance"),
    "instance.disable": _p(instance="$instance"),
    "vm.list": _sp(),
    "vm.show": _sp(vm="$vm"),
    "vm.add": _p(name="new", instance="$instance"),
    "vm.start": _p(vm="$vm"),
    "vm.stop": _p(vm="$vm"),
    "vm.reboot": _p(vm="$vm"),
    "vm.reset": _p(vm="$vm"),
    "vm.suspend": _p(vm="$vm"),
    "vm.resume": _p(vm="$vm"),
    "vm.delete": _p(vm="$vm"),
    "vm.samples": _sp(vm="$vm"),
    "task.list": _sp(),
    "task.show": _sp(task="$task"),
    "task.cancel": _sp(task="$task"),
    "settings.list": _s(),
    "settings.show": _s(),
    "settings.edit": _s(vm_sample_interval=7),
    "log.list": _s(),
    "log.revertible": _s(log="$log"),
    "log.revert": _s(log="$log"),
    "login-log.list": _s(),
    "log.clearable": _s(before="2026-01-31T10:00"),
    "log.clear": _s(before="2026-01-31T10:00"),
    "log-purge.list": _s(),
    "cloud.status": Right("SP", idle=True),
    "cloud.here": Right("SP", idle=True),
    "cloud.prepare": _s(
        group="new",
        directory="/srv/dosvm-test/new",
        project="new",
        admin="new",
        new_password=NEW_PASSWORD,
        own_password=PASSWORD,
        host_group="new",
        pool="new",
        pool_path="/srv/dosvm-test/new-pool",
        capacity=MIB,
        sample=False,
    ),
}
