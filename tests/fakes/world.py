"""The objects of the cloud that :class:`tests.fakes.backend.FakeBackend` has in memory.

Rows in the shapes of the contract (docs/architecture), of every kind; some names are only names. Who adds a column to
a list adds it here.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from typing import Any

from core.rules.parameters import Parameters

Row = dict[str, Any]
GIB = 1024**3
MIB = 1024**2
BORN = "2026-11-24T09:00:00"
#: Names that are only names.
NASTY = ("[red]x", "'; DROP TABLE vm", "云" * 64, "👩‍👩‍👧 family", "[/]", "a\tb", "\u202eevil")


def uuid_of(name: str) -> str:
    """The same identity for the same name, always."""
    return str(uuids.uuid5(uuids.NAMESPACE_DNS, name))


def vm_row(number: int, **changes: Any) -> Row:
    """A VM as ``vm.list`` gives it; every fifth is off, one in seven failed to start."""
    state = "off" if number % 5 == 4 else "failed" if number % 7 == 6 else "paused" if number % 11 == 3 else "running"
    runs = state in ("running", "paused")
    name = f"web-front-{number:02d}"
    row = {
        "uuid": uuid_of(f"vm-{number}"),
        "name": name,
        "instance": "web-front" if number % 3 else "网站",
        "project": "web",
        "host": f"server{185 + number % 4}" if state != "off" else None,
        "address": f"192.168.7.{number % 250}" if runs else None,
        "power": "off" if state == "off" else "on",
        "state": state,
        "vnc_port": 5900 + number % 100 if runs else None,
        "spice_port": None,
        "run_host": f"192.168.7.{number % 250}" if runs else None,
        "port": 5900 + number % 100 if runs else None,
        "vcpu_seconds": 3600 * number,
        "volumes": ["local/disk1"],
        "screen": f"192.168.7.{number % 250}:{5900 + number % 100}" if runs else None,
        "vcpus": 1 + number % 4,
        "memory": (1 + number % 4) * GIB,
        "disabled": False,
        "cpu_percent": float(number * 37 % 100) if runs else None,
        "uptime": 3600 * (number % 60) + 240 if runs else None,
        "started": BORN if runs else None,
        "host_error": "",
        "start_error": "The volume local/disk1 is missing. Restore its file, or take it out of the instance."
        if state == "failed"
        else None,
        "accelerator": "kvm" if runs else None,
        "created": BORN,
        "version": 1,
    }
    return {**row, **changes}


class ManyVms(Sequence[Row]):
    """Any number of VMs that are made when somebody looks at them."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [vm_row(n) for n in range(*index.indices(self._count))]
        return vm_row(index)


def host_row(name: str, **changes: Any) -> Row:
    """A host as ``host.list`` gives it."""
    row = {
        "uuid": uuid_of(name),
        "name": name,
        "address": "192.168.7.185",
        "state": "up",
        "age": 1.2,
        "cores": 32,
        "memory": 128 * GIB,
        "max_vcpus": 64,
        "max_memory": 120 * GIB,
        "cpu_percent": 41.5,
        "memory_percent": 63.0,
        "disk_percent": 71.2,
        "network_rate": 12.5 * MIB,
        "accelerator": "kvm",
        "accelerator_reason": "/dev/kvm works",
        "libvirt_version": "9.0.0",
        "qemu_version": "7.2.9",
        "kernel": "6.1.0-18-amd64",
        "cpu_model": "Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz",
        "architecture": "x86_64",
        "vms": 14,
        "drain": "",
        "waiting": 0,
        "hypervisor_error": "",
        "port_error": None,
        "temporary_error": None,
        "port": 5555,
        "created": BORN,
        "version": 1,
    }
    return {**row, **changes}


def contents() -> list[Row]:
    """What hangs on a project, in sentences."""
    names = "web-front-01, web-front-02, web-front-03, web-front-04, web-front-05 …"
    return [
        {
            "message": "VMs ({count}, of which {running} run): {names}.",
            "parameters": {"count": 40, "running": 27, "names": names},
        },
        {"message": "Instances ({count}): {names}.", "parameters": {"count": 2, "names": "web-front, 网站"}},
        {
            "message": "Volumes ({count}, {size}): {names}.",
            "parameters": {"count": 6, "size": "120 GiB", "names": "local/disk1, local/disk2 …"},
        },
        {
            "message": "Administrators, who will be without a project ({count}): {names}.",
            "parameters": {"count": 1, "names": "zhao"},
        },
    ]


def world() -> dict[str, list[Row]]:
    """A small cloud with some of everything."""
    hosts = [
        host_row("server185"),
        host_row("server186", cpu_percent=7.0, vms=3, address="192.168.7.186"),
        host_row("server187", state="down", age=312.0, address="192.168.7.187"),
    ]
    users = [
        {
            "uuid": uuid_of("zhao"),
            "name": "zhao",
            "display_name": "赵小明",
            "project": "web",
            "phone": "028-1234",
            "email": "zhao@example.com",
            "address": "",
            "description": "",
            "frozen": False,
            "created": BORN,
            "version": 1,
        },
        {
            "uuid": uuid_of("mueller"),
            "name": "mueller",
            "display_name": "Jürgen Müller",
            "project": "mail",
            "phone": "",
            "email": "m@example.com",
            "address": "",
            "description": "",
            "frozen": True,
            "created": BORN,
            "version": 1,
        },
    ]
    quotas = {
        "max_instances": 40,
        "max_vcpus": 64,
        "max_memory": 128 * GIB,
        "max_disk": 2048 * GIB,
        "max_images": 20,
        "max_image_bytes": 100 * GIB,
        "max_snapshots": 100,
    }
    projects = [
        {
            "uuid": uuid_of(name),
            "name": name,
            "description": text,
            "groups": ["acme"],
            "admins": admins,
            "pools": ["local"],
            "host_groups": ["all"],
            "vcpu_seconds": 604871 if active else 0,
            "used_instances": 12,
            "used_vcpus": 60,
            "used_memory": 96 * GIB,
            "active": active,
            "state": "active" if active else "inactive",
            "created": BORN,
            "version": 3,
            **quotas,
        }
        for name, text, admins, active in (
            ("web", "Web shop", ["zhao"], True),
            ("mail", "Mail and calendar", ["mueller"], True),
            ("old", "", [], False),
        )
    ]
    volumes = [
        {
            "uuid": uuid_of(f"volume-{n}"),
            "name": f"disk{n}",
            "reference": f"local/disk{n}",
            "display_name": "系统盘" if n % 2 else "",
            "pool": "local",
            "format": "qcow2",
            "capacity": 20 * GIB,
            "allocation": n * GIB + 300 * MIB,
            "measured": BORN,
            "pool_type": "dir",
            "lost": False,
            "path": f"/srv/dosvm/volumes/disk{n}",
            "encrypted": n == 1,
            "secret": "disk-key" if n == 1 else "",
            "state": "missing" if n == 3 else "present",
            "instances": ["web-front"] if n < 3 else [],
            "vms": ["web-front-01"] if n < 3 else [],
            "vm_on": n < 3,
            "description": "",
            "own": True,
            "backing": "local/disk1" if n in (4, 5) else "local/disk4" if n == 6 else "",
            "snapshots": {1: 2, 4: 1}.get(n, 0),
            "created": BORN,
            "version": 1,
        }
        for n in range(1, 7)
    ]
    snapshots = [
        {**volumes[n - 1], "branch": branch, "tree": f"{branch}disk{n}", "volume": "disk1", "chain": []}
        for n, branch in ((1, ""), (4, "├─ "), (6, "│  └─ "), (5, "└─ "))
    ]
    pools = [
        {
            "uuid": uuid_of("local"),
            "name": "local",
            "type": "dir",
            "state": "active",
            "capacity": 500 * GIB,
            "used": 120 * GIB,
            "host": "server185",
            "volumes": 6,
            "foreign": 0,
            "path": "/srv/dosvm/volumes",
            "projects": ["web"],
            "description": "",
            "error": [],
            "size": 900 * GIB,
            "free": 300 * GIB,
            "overcommitted": 0,
            "hosts": [{"name": "server185", "state": "active"}],
            "vendor": "",
            "product": "",
            "created": BORN,
            "xml": "<pool type='dir'>\n  <name>local</name>\n</pool>",
            "version": 1,
        }
    ]
    instances = [
        {
            "uuid": uuid_of(name),
            "name": name,
            "display_name": title,
            "vcpus": 2,
            "memory": 2 * GIB,
            "vms": 12,
            "unique": False,
            "enabled": True,
            "volumes": ["local/disk1"],
            "host": None,
            "project": "web",
            "created": BORN,
            "version": 1,
        }
        for name, title in (("web-front", "Front"), ("网站", "公司网站"))
    ]
    images = [
        {
            "uuid": uuid_of("debian"),
            "name": "debian-12.iso",
            "format": "raw",
            "architecture": "x86_64",
            "size": 660 * MIB,
            "virtual_size": 660 * MIB,
            "state": "present",
            "percent": None,
            "own": True,
            "read_only": True,
            "file": "iso/debian-12.iso",
            "group": "acme",
            "shared": True,
            "instances": [],
            "description": "",
            "created": BORN,
            "version": 1,
        }
    ]
    images.append(
        images[0]
        | {
            "uuid": uuid_of("server"),
            "name": "server.qcow2",
            "format": "qcow2",
            "size": 4 * GIB,
            "virtual_size": 0,
            "state": "uploading",
            "percent": 37,
            "file": "server.qcow2",
        }
    )
    usage = [
        {
            "uuid": uuid_of("web"),
            "name": "web",
            **quotas,
            "used_instances": 12,
            "used_vcpus": 60,
            "used_memory": 96 * GIB,
            "used_disk": 800 * GIB,
            "used_images": 20,
            "used_image_bytes": 33 * GIB,
            "uploading_images": 1,
            "uploading_image_bytes": 4 * GIB,
            "used_snapshots": 4,
            "vcpu_seconds": 604871,
        }
    ]
    secrets = [
        {
            "uuid": uuid_of(name),
            "name": name,
            "display_name": title,
            "kind": kind,
            "usage": use,
            "project": project,
            "description": text,
            "used_by": used,
            "created": BORN,
            "version": 1,
        }
        for name, title, kind, use, project, text, used in (
            ("disk-key", "数据盘密钥", "volume", "web/disks", "web", "Data disks of the shop", ["local/disk1"]),
            ("iscsi-189", "iscsi密码", "iscsi", "iscsi", "", "", []),
            ("mail-key", "Mail archive", "volume", "mail/archive", "mail", "", []),
        )
    ]
    tasks = [
        {
            "uuid": uuid_of("task-1"),
            "name": "web-front-06",
            "kind": "machine.start",
            "target": uuid_of("vm-6"),
            "target_name": "web-front-06",
            "host": "server187",
            "state": "failed",
            "progress": 0,
            "error": {
                "code": "engine",
                "message": "The volume {name} is missing.",
                "field": None,
                "remedy": "Restore its file.",
                "parameters": {"name": "local/disk3"},
            },
            "created": BORN,
            "started": BORN,
            "finished": BORN,
            "account": "zhao",
        }
    ]
    log = [
        {
            "uuid": uuid_of(f"log-{n}"),
            "name": f"log-{n}",
            "at": BORN,
            "account": "sysadm",
            "address": "192.168.7.9",
            "action": "Add",
            "operation": "project.add",
            "target": "web",
            "detail": "",
            "contents": {"operation": "project.add", "changes": {}, "values": {}},
            "revertible": False,
        }
        for n in range(3)
    ]
    edited = {"operation": "project.configure", "changes": {"max_memory": [2**30, 2**31]}, "values": {}}
    log[0] |= {"action": "Configure", "operation": "project.configure", "contents": edited, "revertible": True}
    logins = [
        {"uuid": uuid_of("login"), "name": "l", "at": BORN, "account": "sysadm", "address": "local", "outcome": "right"}
    ]
    purges = [
        {
            "uuid": uuid_of(f"purge-{n}"), "name": "2026-01-01T00:00:00", "at": BORN, "account": "sysadm",
            "address": "192.0.2.29", "action": "Delete", "what": "log", "scope": "", "rows": 1197 * n,
            "before": f"2026-01-0{n}T00:00:00", "finished": BORN if n > 1 else None,
        }
        for n in (1, 2)
    ]  # fmt: skip
    trash = [
        {
            "uuid": uuid_of(f"trash-{name}"),
            "name": name,
            "kind": kind,
            "state": state,
            "deleted": BORN,
            "account": "sysadm",
            "until": "2026-12-24T09:00:00",
            "lines": contents() if kind == "project" else [],
        }
        for name, kind, state in (
            ("qian", "user", "restorable"),
            ("旧网站", "project", "restorable"),
            ("shop-2019", "project", "deleting"),
            ("slow", "host-group", "restorable"),
        )
    ]
    groups = [
        {
            "uuid": uuid_of("acme"),
            "name": "acme",
            "directory": "/srv/dosvm/images",
            "description": "",
            "projects": ["web", "mail"],
            "created": BORN,
            "version": 1,
        }
    ]
    host_groups = [
        {
            "uuid": uuid_of("all"),
            "name": "all",
            "description": "",
            "hosts": ["server185", "server187"],
            "members": [{"name": "server185", "state": "up"}, {"name": "server187", "state": "down"}],
            "projects": ["web"],
            "created": BORN,
            "version": 1,
        }
    ]
    return {
        "user": users,
        "project": projects,
        "project-group": groups,
        "host": hosts,
        "host-group": host_groups,
        "pool": pools,
        "volume": volumes,
        "snapshot": snapshots,
        "image": images,
        "instance": instances,
        "secret": secrets,
        "usage": usage,
        "task": tasks,
        "log": log,
        "login-log": logins,
        "log-purge": purges,
        "trash": trash,
        "host-history": [
            {
                "uuid": str(1000 + n),
                "name": "server185",
                "host": "server185",
                "at": f"2026-11-24T{12 - n // 60:02}:{59 - n % 60:02}:30",
                "cpu_percent": float((n * 37) % 100),
                "memory_percent": 60.0 + n / 10,
                "disk_percent": 71.2,
                "network_rate": n * 1.5 * MIB,
            }
            for n in range(120)
        ],
        "settings": [
            {
                "uuid": uuid_of("settings"),
                "name": "settings",
                **Parameters(version=4, temporary_directory="/raid/tmp").as_dict(),
                "port": 5555,
                "not_taken_over_by": ["server186"],
            }
        ],
        "vm": [vm_row(n) for n in range(1, 41)],
    }
