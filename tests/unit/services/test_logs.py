"""The operation log and the login log, and the cloud's status."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from core.database import Database
from core.errors import InvalidInput
from core.model import Task
from core.services.sessions import Sessions
from tests.fakes.clock import StillClock
from tests.fakes.cloud import StillCloud
from tests.fakes.office import PASSWORD, Office


def test_every_change_is_told_with_who_where_and_what(office: Office, clock: StillClock) -> None:
    zhao = office.project("web", admin="zhao", max_vcpus=1)
    clock.advance(60)
    office.sysadm("project.configure", project="web", max_vcpus=2)
    zhao("profile.edit", display_name="赵")
    newest = office.sysadm("log.list", sort="at", descending=True, limit=2)["rows"]
    assert set(newest[0]) == {
        "uuid", "name", "at", "account", "address", "action", "operation", "kind", "target", "end", "detail",
        "contents", "revertible",
    }  # fmt: skip
    assert [(r["account"], r["operation"], r["action"], r["target"], r["detail"]) for r in newest] == [
        ("zhao", "profile.edit", "Edit", "zhao", "display_name: - → 赵"),
        ("sysadm", "project.configure", "Configure", "web", "max_vcpus: 1 → 2"),
    ]
    assert {row["address"] for row in newest} == {"192.0.2.7"}
    assert newest[0]["at"] == "2026-01-31T12:01:00"


def test_the_log_says_on_what_kind_of_thing_and_how_its_task_went(office: Office, database: Database) -> None:
    zhao = office.project("web", admin="zhao")
    office.host("a")
    office.sysadm("host-group.add", name="all", hosts=["a"])
    office.sysadm(
        "project.configure", project="web", max_instances=9, max_vcpus=9, max_memory=1 << 40, host_groups=["all"]
    )
    zhao("instance.add", name="small", vcpus=1, memory=1 << 30)
    for name in ("one", "two"):
        zhao("vm.add", name=name, instance="small")
    zhao("vm.start", vm=["one", "nobody", "two"])
    zhao("profile.edit", phone="1")

    def told() -> list[tuple[str, str, str]]:
        rows = office.sysadm("log.list", sort="at", descending=True, limit=3)["rows"]
        return [(row["kind"], row["target"], row["end"]) for row in rows]

    assert told() == [("profile", "zhao", ""), ("vm", "two", "queued"), ("vm", "one", "queued")]
    database.write(lambda s: s.execute(update(Task).where(Task.target_name == "two").values(state="failed")))
    database.write(lambda s: s.execute(delete(Task).where(Task.target_name == "one")))
    assert told() == [("profile", "zhao", ""), ("vm", "two", "failed"), ("vm", "one", "")]


def test_what_failed_is_not_in_the_log(office: Office) -> None:
    with pytest.raises(InvalidInput):
        office.sysadm("project-group.add", name="", directory="/srv/x")
    assert office.sysadm("log.list")["total"] == 0


def test_logs_by_account_and_time(office: Office, clock: StillClock) -> None:
    zhao = office.project("web", admin="zhao")
    clock.advance(3600)
    zhao("profile.edit", phone="1")
    clock.advance(3600)
    zhao("profile.edit", phone="2")

    def details(**filters: str) -> list[str]:
        rows = office.sysadm("log.list", filters=filters)["rows"]
        return [row["detail"] for row in rows if row["operation"] == "profile.edit"]

    assert details(account="HA") == ["phone: - → 1", "phone: 1 → 2"]
    assert details(account="sysadm") == []
    assert details(since="2026-01-31T13:30") == ["phone: 1 → 2"]
    assert details(until="2026-01-31T13:30:00") == ["phone: - → 1"]
    assert details(since="2026-01-31T13:00:00+00:00", until="2026-01-31T14:00Z") == ["phone: - → 1"]
    with pytest.raises(InvalidInput, match="yesterday"):
        details(since="yesterday")


def test_logins_are_listed(office: Office, sessions: Sessions) -> None:
    office.user("zhao")
    sessions.login("zhao", PASSWORD, "192.0.2.9")
    (row,) = office.sysadm("login-log.list", filters={"account": "zha"})["rows"]
    assert set(row) == {"uuid", "name", "at", "account", "address", "outcome"}
    assert (row["account"], row["address"], row["outcome"]) == ("zhao", "192.0.2.9", "right")
    assert office.sysadm("login-log.list", filters={"outcome": "wrong"})["total"] == 0


def test_the_status_of_an_empty_cloud(office: Office, cloud: StillCloud) -> None:
    status = office.sysadm("cloud.status")
    assert set(status) == {"empty", "sample_image", "host", "version", "counts"}
    assert (status["empty"], status["sample_image"], status["host"]) == (True, False, "")
    office.host("h1")
    office.host("h2", state="down")
    cloud.me = cloud.hosts()[0].uuid
    zhao = office.project("web", admin="zhao")
    status = office.sysadm("cloud.status")
    assert (status["empty"], status["host"]) == (False, "h1")
    assert status["counts"] == {
        "hosts": 2, "hosts_up": 1, "projects": 1, "instances": 0, "vms": 0, "vms_on": 0, "volumes": 0,
        "images": 0, "tasks": 0,
    }  # fmt: skip
    assert zhao("cloud.status")["counts"]["projects"] == 1


def test_a_time_before_all_times_is_no_time(office: Office) -> None:
    for text in ("0001-01-01T00:00+08:00", "9999-12-31T23:00-08:00"):
        with pytest.raises(InvalidInput, match="not a time"):
            office.sysadm("log.list", filters={"since": text})
