"""A cloud in memory that answers as hostd would: every list, and the operations the console's tests use.

It keeps the rows of :mod:`tests.fakes.world`. What it is told to do it records in :attr:`FakeBackend.calls`. ``refuse``
makes an operation fail; ``away`` makes all of them.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import AuthenticationFailed, DosvmError, NotFound
from core.merge_patch import merged
from core.rpc.handover import Told
from core.rules.parameters import check_parameters
from core.services import registry as _all_operations  # noqa: F401  (the whole table)
from core.services.operation import OPERATIONS
from tests.fakes import sayings
from tests.fakes.world import ManyVms, Row, contents, uuid_of, world


class FakeBackend:
    """See the module. Thread-safe; ``delay`` seconds pass before each answer."""

    def __init__(
        self, rows: Mapping[str, Sequence[Row]] | None = None, *, delay: float = 0.0, empty: bool = False
    ) -> None:
        self.rows: dict[str, Any] = dict(world() if rows is None else rows)
        self.delay = delay
        self.empty = empty
        self.away: DosvmError | None = None
        #: Why the libvirtd of the host that answers does not.
        self.hypervisor_error = ""
        self.refuse: dict[str, DosvmError] = {}
        self.answers: dict[str, Callable[..., Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.passwords = {"sysadm": "Adm1n-secret-9", "zhao": "Zha0-secret-9"}
        self.must_change: set[str] = set()
        self.preferences: dict[str, Row] = {}
        self.samples_end: float | None = None
        self.account = ""
        self.session = False
        self.in_flight: Counter[str] = Counter()
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
        project = next((one["uuid"] for one in self.rows["project"] if one["name"] == row["project"]), None)
        own: Row = {"must_change_password": self.account in self.must_change, "project_active": True}
        own["project_uuid"] = project
        return {**row, **own, "preferences": self.preferences.get(self.account, {})}

    def logout(self) -> None:
        self.session = False

    def same_session(self) -> FakeBackend:
        return self

    def call(self, operation: str, **arguments: Any) -> Any:
        self.calls.append((operation, arguments))
        with self._changed:
            self.in_flight[operation] += 1
            most = self.most_in_flight
            most[operation] = max(most.get(operation, 0), self.in_flight[operation])
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
                self.in_flight[operation] -= 1

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

    def go_to(self, _host: str) -> bool:
        """There is no other."""
        return False

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

    def end_task(self, uuid: str, error: Mapping[str, Any] | None = None, outcome: Any = "") -> None:
        """End a task, and ring."""
        state = "failed" if error else "done"
        ended = {"state": state, "progress": 100, "error": error, "outcome": outcome}
        self.tasks[uuid] = {**self.tasks[uuid], **ended}
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
        if operation == "cloud.here":
            return {"host": "server185", "hypervisor_error": self.hypervisor_error}
        if operation == "cloud.prepare":
            self.empty = False
            tasks = [self.start_task("pool.activate", arguments["pool"])]
            if arguments.get("sample", True):
                tasks.append(self.start_task("image.install", arguments["project"]))
            return {"task": tasks[-1], "tasks": tasks}
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
            return sayings.history(**arguments)
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
            return {"samples": sayings.samples(end=self.samples_end)}
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
            return {"name": arguments["host"], "lines": sayings.drain_plan()}
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
            return {"task": self.start_task("purge", "2026-01-01 00:00:00 UTC"), "name": "2026-01-01 00:00:00 UTC"}
        if verb == "add":
            name = arguments.get("name") or arguments.get("account")
            row = {"uuid": uuid_of(str(arguments)), "name": name, "reference": f"{arguments.get('pool')}/{name}"}
            fresh = {"pool_type": "dir", "own": True, "lost": False, "vm_on": False, "snapshots": 0}
            row |= fresh if resource == "volume" else {}
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
