"""A cloud in memory that answers as hostd would: every list, and the operations the console's tests use.

It keeps rows in the shapes of the contract (docs/architecture). What it is told to do it records in
:attr:`FakeBackend.calls`. ``refuse`` makes an operation fail; ``away`` makes all of them.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid as uuids
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import AuthenticationFailed, DosvmError, NotFound
from core.merge_patch import merged
from core.rpc.handover import Told
from core.rules.parameters import Parameters, check_parameters
from core.services import registry as _all_operations  # noqa: F401  (the whole table)
from core.services.operation import OPERATIONS

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
            "pool_type": "dir",
            "path": f"/srv/dosvm/volumes/disk{n}",
            "encrypted": n == 1,
            "secret": "disk-key" if n == 1 else "",
            "state": "missing" if n == 3 else "present",
            "instances": ["web-front"] if n < 3 else [],
            "vms": ["web-front-01"] if n < 3 else [],
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
            "path": "/srv/dosvm/volumes",
            "projects": ["web"],
            "description": "",
            "error": [],
            "size": 900 * GIB,
            "free": 300 * GIB,
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


class FakeBackend:
    """See the module. Thread-safe; ``delay`` seconds pass before each answer."""

    def __init__(
        self, rows: Mapping[str, Sequence[Row]] | None = None, *, delay: float = 0.0, empty: bool = False
    ) -> None:
        self.rows: dict[str, Any] = dict(world() if rows is None else rows)
        self.delay = delay
        self.empty = empty
        self.away: DosvmError | None = None
        self.refuse: dict[str, DosvmError] = {}
        self.answers: dict[str, Callable[..., Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.passwords = {"sysadm": "Adm1n-secret-9", "zhao": "Zha0-secret-9"}
        self.must_change: set[str] = set()
        self.preferences: dict[str, Row] = {}
        self.samples_end: float | None = None
        self.account = ""
        self.session = False
        self.in_flight = 0
        self.most_in_flight: dict[str, int] = {}
        self.tasks: dict[str, Row] = {}
        self._revision = 0
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)

    # -- the protocol

    def login(self, account: str, password: str) -> Row:
        self._pause("login")
        if self.passwords.get(account) != password:
            raise AuthenticationFailed("The account or the password is wrong.")
        self.account, self.session = account, True
        return self.own_row()

    def own_row(self) -> Row:
        found = next((row for row in self.rows["user"] if row["name"] == self.account), None)
        row = dict(found or {"uuid": uuid_of(self.account), "name": self.account, "display_name": "", "project": None})
        own = {"must_change_password": self.account in self.must_change, "project_active": True}
        return {**row, **own, "preferences": self.preferences.get(self.account, {})}

    def logout(self) -> None:
        self.session = False

    def same_session(self) -> FakeBackend:
        return self

    def call(self, operation: str, **arguments: Any) -> Any:
        self.calls.append((operation, arguments))
        with self._changed:
            self.in_flight += 1
            running = self.most_in_flight
            running[operation] = max(running.get(operation, 0), self.in_flight)
        try:
            self._pause(operation)
            if not self.session:
                raise AuthenticationFailed("The session has ended.", remedy="Log in again.")
            OPERATIONS[operation].check(arguments)
            if operation in self.refuse:
                raise self.refuse[operation]
            several = arguments.get(operation.partition(".")[0].replace("-", "_"))
            if isinstance(several, list):
                return {"each": [self._one_of(operation, arguments, one) for one in several]}
            return self._answer_one(operation, arguments)
        finally:
            with self._changed:
                self.in_flight -= 1

    def _answer_one(self, operation: str, arguments: dict[str, Any]) -> Any:
        if operation in self.answers:
            return self.answers[operation](**arguments)
        return self._answer(operation, arguments)

    def _one_of(self, operation: str, arguments: dict[str, Any], one: str) -> Any:
        try:
            argument = operation.partition(".")[0].replace("-", "_")
            return self._answer_one(operation, {**arguments, argument: one})
        except DosvmError as error:
            return {"error": error.to_wire()}

    #: It takes parts only, as a hostd of this machine that is asked for no other.
    streams = False

    def hand_over(self, _descriptor: int, _told: Told, **_about: Any) -> None:
        """Takes no open files."""

    def send(self, payload: bytes, **about: Any) -> Row:
        """Take a part of a file."""
        if "finish" in about:
            return {}
        return {"received": about["offset"] + len(payload)}

    def wait(self, *, since: int = -1, tasks: tuple[str, ...] = (), seconds: float = 25.0) -> Row:
        until = time.monotonic() + min(seconds, 5.0)
        with self._changed:
            while self._revision == since and time.monotonic() < until and self.away is None and self.session:
                if tasks and all(self.tasks.get(t, {}).get("state") in ("done", "failed") for t in tasks):
                    break
                self._changed.wait(0.05)
            if self.away is not None:
                raise self.away
            if not self.session:
                raise AuthenticationFailed("The session has ended.", remedy="Log in again.")
            return {"revision": self._revision, "tasks": [self.tasks[t] for t in tasks if t in self.tasks]}

    # -- for tests

    def ring(self) -> None:
        """Something changed."""
        with self._changed:
            self._revision += 1
            self._changed.notify_all()

    def change(self, resource: str, name: str, **values: Any) -> None:
        """Change a row, and ring."""
        for number, row in enumerate(self.rows[resource]):
            if row["name"] == name:
                self.rows[resource][number] = {**row, **values}
        self.ring()

    def start_task(self, kind: str, target: str) -> str:
        """A task that is queued until :meth:`end_task`."""
        uuid = uuid_of(f"{kind}-{target}-{next(self._numbers)}")
        self.tasks[uuid] = {
            "uuid": uuid,
            "name": target,
            "kind": kind,
            "target_name": target,
            "state": "running",
            "progress": 30,
            "error": None,
        }
        return uuid

    def end_task(self, uuid: str, error: Mapping[str, Any] | None = None) -> None:
        """End a task, and ring."""
        state = "failed" if error else "done"
        self.tasks[uuid] = {**self.tasks[uuid], "state": state, "progress": 100, "error": error}
        self.ring()

    def called(self, operation: str) -> list[dict[str, Any]]:
        """The arguments of all calls of an operation."""
        return [arguments for name, arguments in self.calls if name == operation]

    # -- how it answers

    def _pause(self, operation: str) -> None:
        if self.delay:
            time.sleep(self.delay)
        if self.away is not None:
            raise self.away

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Any:
        resource, _dot, verb = operation.partition(".")
        if operation == "cloud.status":
            return {"empty": self.empty, "sample_image": False, "host": "server185", "version": "0.1.0"}
        if operation == "cloud.prepare":
            self.empty = False
            return {"task": self.start_task("image.install", arguments["project"])}
        if operation == "profile.show" or operation == "profile.list":
            row = self.own_row()
            return row if verb == "show" else {"rows": [row], "total": 1}
        if operation == "profile.set-preferences":
            before = self.preferences.get(self.account, {})
            self.preferences[self.account] = merged(before, json.loads(arguments["preferences"]))
            return {"preferences": self.preferences[self.account]}
        if operation == "profile.change-password":
            self.passwords[self.account] = arguments["new_password"]
            self.must_change.discard(self.account)
            return {}
        if operation == "project.contents":
            return {"uuid": arguments["project"], "lines": contents()}
        if operation == "host-history.chart":
            return history(**arguments)
        if operation == "host-history.clearable":
            return {"rows": 1234, "of": arguments.get("host") or "server185, server186, server187"}
        if operation == "host-history.clear":
            return {"task": self.start_task("purge", "history"), "rows": 1234}
        if resource == "settings":
            (row,) = self.rows[resource]
            if verb == "edit":
                check_parameters({**row, **arguments})
                self.rows[resource] = [row := {**row, **arguments}]
            return dict(row)
        if verb == "samples":
            return {"samples": samples(end=self.samples_end)}
        if verb == "list":
            return self._list(resource, **arguments)
        if operation == "project-group.members":
            return self._list("project-group members", **arguments)
        if verb == "show":
            row = dict(self._find(resource, arguments[resource.replace("-", "_")]))
            return {"lines": [], **row} if resource == "user" else row
        return self._change(resource, verb, arguments)

    def _list(
        self,
        resource: str,
        search: str = "",
        filters: Mapping[str, Any] | None = None,
        sort: str = "",
        descending: bool = False,
        offset: int = 0,
        limit: int = 200,
    ) -> Row:
        filters = dict(filters or {})
        free = filters.pop("free", None)
        filters.pop("files", None)  # its only pool is a directory
        rows = self._members() if resource == "project-group members" else self.rows[resource]
        chosen = {key: self._name(value) for key, value in (filters or {}).items() if value not in (None, "")}
        if free:
            rows = [row for row in rows if not row["project"]]
        if search or chosen or (sort and not isinstance(rows, ManyVms)):
            rows = [
                row
                for row in rows
                if search.lower() in str(row["name"]).lower()
                and all(str(row.get(key)) == str(value) for key, value in chosen.items())
            ]
        if sort and not isinstance(rows, ManyVms):
            rows = sorted(rows, key=lambda row: (row.get(sort) is not None, row.get(sort)), reverse=descending)
        return {"rows": [dict(row) for row in rows[offset : offset + limit]], "total": len(rows)}

    def _members(self) -> list[Row]:
        """The groups, a row for each of their projects."""
        return [
            {**group, "project": project, "member": f"{group['name']}/{project}"}
            for group in self.rows["project-group"]
            for project in group["projects"] or [""]
        ]

    def _name(self, reference: Any) -> Any:
        """The name that a reference stands for; other values as they are."""
        others = (row for name, rows in self.rows.items() if name != "vm" for row in rows)
        return next((row["name"] for row in others if row["uuid"] == reference), reference)

    def _find(self, resource: str, reference: str) -> Row:
        for row in self.rows[resource]:
            if reference in (row["uuid"], row["name"], row.get("reference")):
                return row
        raise NotFound("There is no {resource} {name}.", resource=resource, name=reference)

    def _change(self, resource: str, verb: str, arguments: dict[str, Any]) -> Any:
        key = resource.replace("-", "_")
        if (resource, verb) == ("host", "losses"):
            row = self._find("host", arguments["host"])
            lost = {"pools": "2 (local, fast)", "volumes": "7 (a, b, c, d, e …)", "size": "1.5 TiB"}
            return {**lost, "name": row["name"], "vms": "2 (mail-1, web-1)", "instances": "3 (mail, web, db)"}
        if (resource, verb) == ("host", "abandon"):
            return {}
        if (resource, verb) == ("host", "drain-plan"):
            return {"name": arguments["host"], "lines": drain_plan()}
        if (resource, verb) == ("host", "drain"):
            row = self._find("host", arguments["host"])
            row |= {"drain": arguments["policy"], "state": "draining", "waiting": 2}
            self.ring()
            return {"name": row["name"], "tasks": [self.start_task("machine.stop", vm) for vm in ("web-1", "mail-1")]}
        if (resource, verb) == ("host", "undrain"):
            row = self._find("host", arguments["host"])
            row |= {"drain": "", "state": "up", "waiting": 0}
            self.ring()
            return {"name": row["name"], "vms": 2 if arguments["start"] else 0}
        if resource == "log" and verb == "revertible":
            back = {"operation": "project.configure", "changes": {"max_memory": [2**31, 2**30]}, "values": {}}
            return {"operation": "project.configure", "name": "web", "lines": [back]}
        if resource == "log" and verb == "clearable":
            return {"operations": 1197, "logins": 312}
        if resource == "log" and verb == "clear":
            self.cleared = arguments["before"]
            return {"task": self.start_task("purge", "2026-01-01 00:00 UTC"), "name": "2026-01-01 00:00 UTC"}
        if verb == "add":
            name = arguments.get("name") or arguments.get("account")
            row = {"uuid": uuid_of(str(arguments)), "name": name, "reference": f"{arguments.get('pool')}/{name}"}
            row |= {"pool_type": "dir", "own": True, "snapshots": 0} if resource == "volume" else {}
            self.rows[resource] = [*self.rows[resource], {**row, **arguments}]
            self.ring()
            return {
                **row,
                **({"task": self.start_task(f"{resource}.create", row["name"])} if resource == "volume" else {}),
            }
        row = self._find(resource, arguments[key])
        if resource == "vm" and verb in ("start", "stop", "reboot", "reset", "suspend", "resume"):
            return {"task": self.start_task(f"machine.{verb}", row["name"]), "host": "server185"}
        if verb == "delete":
            self.rows[resource] = [other for other in self.rows[resource] if other is not row]
        else:
            changed = {name: value for name, value in arguments.items() if name not in (key, "version")}
            self.rows[resource] = [{**r, **changed} if r is row else r for r in self.rows[resource]]
        self.ring()
        return dict(row)


def drain_plan() -> list[Row]:
    """What would become of a host's VMs, in sentences."""
    reason = [
        {"message": "A disk of VM {name} is not on host {host}.", "parameters": {"name": "mail-1", "host": "server186"}}
    ]
    return [
        {
            "message": "VMs that can be migrated as they run ({count}): {names}.",
            "parameters": {"count": 12, "names": "web-1 → server186, web-2 → server186, 网站-1 → server186 …"},
        },
        {
            "message": "VMs that can move, if they are stopped ({count}): {names}.",
            "parameters": {"count": 1, "names": "shop-1 → server186"},
        },
        {
            "message": "VMs that cannot move and are stopped in any case ({count}): {names}.",
            "parameters": {"count": 1, "names": "mail-1"},
        },
        {"message": "{name}: {reason}", "parameters": {"name": "mail-1", "reason": reason}},
        {
            "message": "{name}: {reason}",
            "parameters": {
                "name": "shop-1",
                "reason": [{"message": "What it writes to its image is kept on its host.", "parameters": {}}],
            },
        },
    ]


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


def history(host: str, since: str, until: str, points: int) -> Row:
    """Thirty days of a host: busy by day, with a peak at noon, and nothing on one day."""
    import math
    from datetime import UTC, datetime

    begin, end = (datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() for time in (since, until))
    last = datetime.fromisoformat("2026-11-24T13:03:30").replace(tzinfo=UTC).timestamp()
    first = last - 30 * 86400
    share = max(60.0, (end - begin) / points)
    rows = []
    at = begin + share / 2
    while at < end:
        if first <= at <= last and not last - 8 * 86400 < at < last - 7 * 86400:
            busy = 0.5 - 0.5 * math.cos(at % 86400 / 86400 * 2 * math.pi)
            row: Row = {"at": at, "count": max(1, round(share / 60))}
            for key, value, most in (
                ("cpu_percent", 10 + 60 * busy, 98 if busy > 0.97 else 75 * busy + 15),
                ("memory_percent", 55 + 10 * busy, 58 + 12 * busy),
                ("disk_percent", 60 + (at - first) / 86400 / 3, 60.5 + (at - first) / 86400 / 3),
                ("network_rate", 8 * busy * MIB, 20 * busy * MIB),
            ):
                row |= {key: value, f"{key}_low": value * 0.8, f"{key}_high": most}
            rows.append(row)
        at += share
    return {"samples": rows, "first": first, "last": last, "since": begin, "until": end}


def samples(count: int = 60, end: float | None = None) -> list[Row]:
    """Samples of the last five minutes, in waves."""
    import math

    end = time.time() if end is None else end
    return [
        {
            "at": end - 5 * (count - 1 - n),
            "cpu_percent": 45 + 40 * math.sin(n / 7),
            "memory_percent": 60 + n / 8,
            "disk_percent": 71.0,
            "network_rate": (6 + 5 * math.sin(n / 4)) * MIB,
            "memory": 1.5 * GIB + n * 3 * MIB,
            "read_rate": max(0.0, 3 * math.sin(n / 3)) * MIB,
            "write_rate": max(0.0, 2 * math.cos(n / 5)) * MIB,
            "receive_rate": (1.2 + math.sin(n / 6)) * MIB,
            "send_rate": 0.3 * MIB,
        }
        for n in range(count)
    ]
