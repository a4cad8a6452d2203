"""Pages of every list are those of a naive sort of all its rows: any order, any filter, first to last."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.model import (
    Host,
    HostSample,
    Image,
    Instance,
    LoginLog,
    Machine,
    MachineRun,
    OperationLog,
    Pool,
    Project,
    ProjectGroup,
    Task,
    User,
    Volume,
    project_in_group,
)
from core.services import paging
from screens.spec import PROJECT, SYSADM, ResourceSpec
from tests.fakes.office import Office, Person
from tests.scale.questions import listed

BEGAN = datetime.fromisoformat("2026-01-01")
#: Names in an order that no language's dictionary has: the engines compare code points.
NAMES = ("Zeta", "alpha", "beta", "Ärger", "ägypt", "中国", "项目", "Жук", "жук", "_under", "9", "10", "🙂", "e\u0301")
#: Lists whose rows the other operations read as well, each row once.
ASKED = (
    "vm", "instance", "volume", "image", "pool", "host", "host-history", "project", "project-group", "user", "usage",
    "task", "log", "login-log",
)  # fmt: skip
#: What a filter keeps, by list and filter: a row and the value that was asked for.
KEEPS: Mapping[str, Mapping[str, Callable[[dict[str, Any], Any], bool]]] = {
    "vm": {"project": lambda r, v: r["project"] == v, "power": lambda r, v: r["power"] == v,
           "host": lambda r, v: r["host"] == v, "instance": lambda r, v: r["instance"] == v,
           "disabled": lambda r, v: r["disabled"] == v},
    "instance": {"project": lambda r, v: r["project"] == v, "enabled": lambda r, v: r["enabled"] == v,
                 "host": lambda r, v: r["host"] == v},
    "volume": {"project": lambda r, v: r["project"] == v, "pool": lambda r, v: r["pool"] == v,
               "state": lambda r, v: r["state"] == v, "format": lambda r, v: r["format"] == v},
    "image": {"project": lambda r, v: r["project"] == v, "group": lambda r, v: r["group"] == v,
              "shared": lambda r, v: r["shared"] == v},
    "pool": {"host": lambda r, v: r["host"] == v, "kind": lambda r, v: r["type"] == v},
    "project": {"active": lambda r, v: r["active"] == v},
    "project-group": {"project": lambda r, v: r["project"] == v},
    "user": {"frozen": lambda r, v: r["frozen"] == v, "project": lambda r, v: r["project"] == v},
    "task": {"state": lambda r, v: r["state"] == v, "kind": lambda r, v: r["kind"] == v,
             "host": lambda r, v: r["host"] == v, "target": lambda r, v: r["target_name"] == v},
    "host-history": {"host": lambda r, v: r["name"] == v, "since": lambda r, v: r["at"] >= v,
                     "until": lambda r, v: r["at"] < v},
    "log": {"account": lambda r, v: v.lower() in r["account"].lower(), "action": lambda r, v: r["action"] == v,
            "since": lambda r, v: r["at"] >= v, "until": lambda r, v: r["at"] < v},
    "login-log": {"account": lambda r, v: v.lower() in r["account"].lower(), "outcome": lambda r, v: r["outcome"] == v,
                  "since": lambda r, v: r["at"] >= v},
}  # fmt: skip
#: What a search looks through.
SEARCHED: Mapping[str, tuple[str, ...]] = {
    "vm": ("name", "instance"), "instance": ("name", "display_name"), "volume": ("name", "display_name"),
    "image": ("name", "file", "description"), "pool": ("name", "description"), "host": ("name", "address"),
    "project": ("name", "description"), "project-group": ("name", "project", "directory", "description"),
    "user": ("account", "display_name"), "usage": ("name",), "task": ("target_name", "account"),
    "log": ("account", "target", "operation", "address"), "login-log": ("account", "address"),
    "host-history": ("name",),
}  # fmt: skip
#: The column that orders rows that are equal, after the one asked for; the number always comes last.
TIES = {"task": "created", "log": "at", "login-log": "at"}


def _world(office: Office, seed: int) -> None:
    """A small cloud in which nearly everything has its like: names twice, times thrice, much that belongs nowhere."""
    draw = random.Random(seed)

    def at() -> datetime:
        return BEGAN + timedelta(seconds=draw.randrange(12), microseconds=draw.choice((0, 0, 5)))

    def one(rows: list[Any], *, none: bool = False) -> Any:
        return None if none and draw.random() < 0.3 else draw.choice(rows).id

    names = list(NAMES)
    draw.shuffle(names)
    hosts = [Host(name=f"{name}-h", address=draw.choice("ab"), cores=draw.randrange(3)) for name in names[:6]]
    groups = [ProjectGroup(name=f"{name}-g", directory=f"/srv/{n}", created=at()) for n, name in enumerate(names[:5])]
    projects = [
        Project(name=name, active=draw.random() < 0.7, max_vcpus=draw.randrange(3), ran_ms=draw.randrange(3) * 1000,
                description=draw.choice(NAMES), created=at())
        for name in names
    ]  # fmt: skip
    office.fill(*hosts, *groups, *projects)
    links = {(one(groups), project.id) for project in projects[:-3] for _ in range(2)}
    office.services.database.write(
        lambda session: session.execute(
            project_in_group.insert(), [{"group_id": group, "project_id": project} for group, project in links]
        )
    )
    pools = [
        Pool(name=f"{name}-p", kind="dir", host_id=one(hosts, none=True), capacity=draw.randrange(3), created=at())
        for name in names[:7]
    ]
    instances = [
        Instance(name=draw.choice(NAMES) + str(n // 9), project_id=projects[n % 9].id, spec="{}", created=at(),
                 display_name=draw.choice(("", *NAMES)), vcpus=draw.choice((1, 2)), memory=draw.choice((1, 2)) * 2**30,
                 enabled=draw.random() < 0.7, host_id=one(hosts, none=True))
        for n in range(40)
    ]  # fmt: skip
    instances = list({(i.project_id, i.name): i for i in instances}.values())
    office.fill(*pools, *instances)
    office.fill(
        *(
            Volume(name=f"v{n}", pool_id=one(pools), project_id=one(projects, none=True), capacity=draw.randrange(3),
                   display_name=draw.choice(("", *NAMES)), format=draw.choice(("raw", "qcow2")), options="{}",
                   state=draw.choice(("present", "missing")), created=at())
            for n in range(60)
        ),
        *(
            Image(name=draw.choice(NAMES), file=f"f{n}", group_id=one(groups), project_id=one(projects),
                  format="raw", architecture="x86_64", shared=draw.random() < 0.5, size=draw.randrange(3),
                  state=draw.choice(("present", "missing")), created=at())
            for n in range(60)
        ),
        *(
            Machine(name=f"{draw.choice('ab')}{n}", project_id=i.project_id, instance_id=i.id,
                    host_id=one(hosts, none=True),
                    power=draw.choice(("on", "off")), state=draw.choice(("off", "running", "failed")),
                    started=draw.choice((None, at())), created=at(), start_error="")
            for n, i in ((n, draw.choice(instances)) for n in range(60))
        ),
        *(
            MachineRun(machine=f"{n:036d}", project_id=one(projects), host_id=one(hosts), boot="b", pid=n, vcpus=2,
                       from_ms=0, until_ms=draw.choice((None, 5)), started=at(),
                       paused_from_ms=draw.choice((None, 2000)))
            for n in range(30)
        ),
        *(
            User(account=f"{draw.choice(NAMES)}{n}", role="project", project_id=one(projects, none=True), created=at(),
                 display_name=draw.choice(("", *NAMES)), phone=draw.choice(("", "1", "2")), frozen=draw.random() < 0.3)
            for n in range(60)
        ),
        *(
            Task(kind=draw.choice(("machine.start", "volume.create")), target=f"{n:036d}",
                 target_name=draw.choice(NAMES), project_id=one(projects, none=True), host_id=one(hosts),
                 account=draw.choice(NAMES), payload="{}",
                 state=draw.choice(("done", "failed", "queued")), progress=draw.choice((0, 50)), created=at(),
                 started=draw.choice((None, at())), finished=draw.choice((None, at())))
            for n in range(60)
        ),
        *(
            OperationLog(at=at(), account=draw.choice(NAMES), address=draw.choice("12"),
                         action=draw.choice(("Add", "Edit")), operation=draw.choice(("vm.add", "vm.edit")),
                         target=draw.choice(NAMES), detail="",
                         request=f"{n:036d}", result="{}")
            for n in range(60)
        ),
        *(
            LoginLog(at=at(), account=draw.choice(NAMES), address=draw.choice("12"),
                     outcome=draw.choice(("right", "wrong")))
            for _ in range(60)
        ),
        *(
            HostSample(host_id=one(hosts), at=at(), cpu_percent=1.0, memory_percent=1.0, disk_percent=1.0,
                       network_rate=1.0)
            for _ in range(60)
        ),
    )  # fmt: skip
    # One project with all that belongs to it is in the trash.
    gone = projects[3]
    office.services.database.write(lambda session: setattr(session.get_one(Project, gone.id), "deleted", at()))


@pytest.fixture(params=["as they are", "low"])
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds between the ways to find a page, so low that few rows take each of them."""
    if request.param == "low":
        for name, value in {"HANDFUL": 4, "FEW": 20, "ALL": 30, "_TOGETHER": 8}.items():
            monkeypatch.setattr(paging, name, value)


def _numbers(office: Office, spec: ResourceSpec) -> dict[str, int]:
    """The number of each row by the identity that a list gives it."""
    table: Any = {
        "vm": Machine, "instance": Instance, "volume": Volume, "image": Image, "pool": Pool, "host": Host,
        "project": Project, "usage": Project, "user": User, "task": Task, "log": OperationLog,
    }.get(spec.name)  # fmt: skip
    if table is None:
        return {}
    identity = table.request if table is OperationLog else table.uuid
    return office.services.database.read(
        lambda session: {row[0]: row[1] for row in session.execute(select(identity, table.id))}
    )


class Naive:
    """A list as somebody would make it who reads all rows and sorts them."""

    def __init__(self, office: Office, person: Person, spec: ResourceSpec) -> None:
        self._person, self._spec = person, spec
        self._numbers = _numbers(office, spec)
        self.rows = person(spec.rows_by, limit=1000)["rows"]

    def number(self, row: dict[str, Any]) -> int:
        """What orders rows that are equal."""
        if self._spec.row_key:
            return int(row[self._spec.row_key])
        return self._numbers.get(row["uuid"]) or int(row["uuid"])

    def answer(self, key: str, descending: bool, keeps: Callable[[dict[str, Any]], bool]) -> list[int]:
        """The numbers of all rows that are kept, in order."""
        # Within a kind by the operation, whose index it is.
        key = "operation" if (self._spec.name, key) == ("log", "kind") else key
        tie = TIES.get(self._spec.name, key)

        def order(row: dict[str, Any]) -> tuple[Any, ...]:
            # What belongs to nothing, or has no time yet, comes before everything.
            return (row[key] not in (None, ""), row[key], row[tie], self.number(row))

        kept = [row for row in self.rows if keeps(row)]
        none = [row for row in kept if row[key] is None]
        some = sorted((row for row in kept if row[key] is not None), key=order)
        none.sort(key=lambda row: (row[tie] if tie != key else 0, self.number(row)))
        return [self.number(row) for row in ([*none, *some][::-1] if descending else [*none, *some])]


def _questions(spec: ResourceSpec, rows: list[dict[str, Any]], role: str) -> st.SearchStrategy[dict[str, Any]]:
    keys = [column.key for column in spec.columns if column.sort and not column.details_only and role in column.roles]
    keeps = KEEPS.get(spec.name, {})

    def values(key: str) -> st.SearchStrategy[Any]:
        of = {"kind": "type" if spec.name == "pool" else "kind", "target": "target_name", "since": "at", "until": "at",
              "host": "name" if spec.name == "host-history" else "host"}  # fmt: skip
        seen = sorted({row[of.get(key, key)] for row in rows} - {""})
        if key in ("since", "until") or (seen and isinstance(seen[0], bool)):
            return st.sampled_from(seen)
        return st.sampled_from([*seen, "nowhere"])

    filters: st.SearchStrategy[dict[str, Any]] = st.just({})
    if keeps and rows:
        some = st.lists(st.sampled_from(sorted(keeps)), max_size=2, unique=True)
        filters = some.flatmap(lambda keys: st.fixed_dictionaries({key: values(key) for key in keys}))
    return st.fixed_dictionaries({
        "sort": st.sampled_from(keys), "descending": st.booleans(), "filters": filters,
        "search": st.sampled_from(("", "", "", "a", "ж", "中", "1", "nothing such")),
        "limit": st.sampled_from((1, 3, 10, 1000)),
    })  # fmt: skip


@pytest.mark.timeout(600)  # every list with hundreds of questions, on a machine that others may use as well
@pytest.mark.parametrize("role", [SYSADM, PROJECT])
def test_pages_are_those_of_a_naive_sort(office: Office, role: str, bounds: None) -> None:
    _world(office, 7)
    person = office.sysadm
    if role == PROJECT:
        own = office.sysadm("project.list", filters={"active": True})["rows"][0]["name"]
        person = office.user("owner", own)
    for spec in listed(role):
        if spec.name in ASKED:
            _compare(office, person, spec, role)


def _compare(office: Office, person: Person, spec: ResourceSpec, role: str) -> None:
    naive = Naive(office, person, spec)

    @settings(max_examples=25, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(_questions(spec, naive.rows, role))
    def asked(question: dict[str, Any]) -> None:
        def keeps(row: dict[str, Any]) -> bool:
            known, text = KEEPS.get(spec.name, {}), question["search"].lower()
            return all(known[key](row, value) for key, value in question["filters"].items()) and (
                not text or any(text in str(row[column] or "").lower() for column in SEARCHED[spec.name])
            )

        wanted = naive.answer(question["sort"], question["descending"], keeps)
        limit = question["limit"]
        for offset in sorted({0, limit, len(wanted) // 2, max(0, len(wanted) - limit), len(wanted)}):
            page = person(spec.rows_by, **{**question, "offset": offset})
            found = [naive.number(row) for row in page["rows"]]
            assert found == wanted[offset : offset + limit], (spec.name, question, offset)
            if page.get("more"):
                assert page["total"] <= len(wanted)
            else:
                assert page["total"] == len(wanted)

    asked()
