"""Lists are sorted by what people read in a column, also where it is worked out of other tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.model import Instance, Machine, Pool, Project, Secret, Volume
from tests.fakes.clock import StillClock
from tests.fakes.office import PASSWORD, Office


def order(office: Office, operation: str, sort: str, *, descending: bool = False, **query: Any) -> list[str]:
    """The names of a list in an order."""
    found = office.sysadm(operation, sort=sort, descending=descending, **query)["rows"]
    return [str(row["name"]) for row in found]


def set_to(office: Office, statement: Any) -> None:
    office.services.database.write(lambda session: session.execute(statement))


@pytest.fixture
def three(office: Office) -> Office:
    """Three projects, whose names go against everything else of them."""
    for name, admin in (("a", "zhou"), ("b", "chen"), ("c", "")):
        office.project(name, admin=admin)
    return office


def test_projects_by_their_administrators_groups_and_run_time(three: Office) -> None:
    assert order(three, "project.list", "admins") == ["c", "b", "a"], "c-admin, chen, zhou"
    assert order(three, "project.list", "admins", descending=True) == ["a", "b", "c"]
    assert order(three, "project.list", "groups") == ["a", "b", "c"]
    for name, ran in (("a", 3), ("b", 1), ("c", 2)):
        set_to(three, update(Project).where(Project.name == name).values(ran_ms=ran * 3_600_000))
    assert order(three, "project.list", "vcpu_seconds") == ["b", "c", "a"]
    assert order(three, "project.list", "vcpu_seconds", descending=True) == ["a", "c", "b"]


def test_projects_and_host_groups_by_each_other_and_by_hosts(three: Office) -> None:
    for host in ("h1", "h2"):
        three.host(host)
    three.sysadm("host-group.add", name="x", hosts=["h2"], projects=["a"])
    three.sysadm("host-group.add", name="y", hosts=["h1", "h2"], projects=["c"])
    three.sysadm("host-group.add", name="z")
    shown = {row["name"]: row for row in three.sysadm("host-group.list")["rows"]}
    groups = list(shown)

    def naive(key: str) -> list[str]:
        return sorted(groups, key=lambda name: (shown[name][key] or [""], groups.index(name)))

    for key in ("hosts", "projects"):
        assert order(three, "host-group.list", key) == naive(key)
    assert order(three, "project.list", "host_groups")[-1] == "c" or shown["y"]["projects"] != ["c"]


def test_secrets_by_what_they_are_used_for(three: Office) -> None:
    for name in ("one", "two", "three"):
        three.sysadm("secret.add", name=name, display_name=name, kind="volume", usage=f"u-{name}", value="12345678")
    three.sysadm("pool.add", name="p", type="dir", capacity=10**12, host=str(three.host("h1") and "h1"), path="/srv/p")

    def use(session: Session) -> None:
        pool = session.scalars(select(Pool)).one()
        secrets = {secret.name: secret.id for secret in session.scalars(select(Secret))}
        for name, secret in (("b", "one"), ("z", "two"), ("a", "two")):
            session.add(Volume(name=name, pool_id=pool.id, secret_id=secrets[secret], state="present"))

    three.services.database.write(use)
    rows = three.sysadm("secret.list", sort="used_by")["rows"]
    assert [(row["name"], row["used_by"]) for row in rows] == [
        ("three", []), ("two", ["p/a", "p/z"]), ("one", ["p/b"]),
    ]  # fmt: skip
    assert order(three, "secret.list", "used_by", descending=True) == ["one", "two", "three"]


def test_vms_by_where_they_run_and_how_long(three: Office, clock: StillClock) -> None:
    hosts = {name: three.host(name) for name in ("h1", "h2")}
    owner = three.services.database.read(lambda session: session.scalar(select(Project.id).where(Project.name == "a")))
    assert owner is not None

    def run(session: Session) -> None:
        on = Instance(project_id=owner, name="on", vcpus=1, memory=2**30, spec="{}")
        off = Instance(project_id=owner, name="off", vcpus=1, memory=2**30, spec="{}", enabled=False)
        session.add_all((on, off))
        session.flush()
        for name, host, port, hours in (("x", "h2", 5903, 1), ("y", "h1", 5901, 9), ("w", "h2", 5902, 5)):
            session.add(
                Machine(
                    project_id=owner, instance_id=on.id, name=name, host_id=hosts[host], power="on", state="running",
                    vnc_port=port, started=clock.now() - timedelta(hours=hours),
                )
            )  # fmt: skip
        session.add(Machine(project_id=owner, instance_id=off.id, name="idle"))

    three.services.database.write(run)
    assert order(three, "vm.list", "port") == ["idle", "y", "w", "x"]
    assert order(three, "vm.list", "screen")[0] == "idle"
    assert order(three, "vm.list", "uptime") == ["idle", "x", "w", "y"]
    assert order(three, "vm.list", "uptime", descending=True) == ["y", "w", "x", "idle"]
    assert order(three, "vm.list", "disabled", descending=True)[0] == "idle"
    assert order(three, "vm.list", "run_host")[0] == "idle"
    assert order(three, "vm.list", "vnc_port", descending=True)[0] == "x"
    assert order(three, "vm.list", "address")[0] == "idle", "it is nowhere"


def test_the_trash_by_how_long_it_is_kept_and_by_what_becomes_of_it(three: Office, clock: StillClock) -> None:
    for name in ("zhou", "chen"):
        three.sysadm("user.delete", user=name, own_password=PASSWORD)
        clock.advance(3600)
    assert order(three, "trash.list", "until") == ["zhou", "chen"]
    assert order(three, "trash.list", "until", descending=True) == ["chen", "zhou"]
    assert set(order(three, "trash.list", "state")) == {"zhou", "chen"}


def test_the_log_by_the_kind_of_what_was_changed(three: Office) -> None:
    kinds = [row["kind"] for row in three.sysadm("log.list", sort="kind")["rows"]]
    assert len(set(kinds)) > 1
    assert [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] != kind] == list(dict.fromkeys(kinds))
