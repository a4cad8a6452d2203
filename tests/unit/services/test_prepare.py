"""Making a new cloud usable in one step."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from core.errors import DosvmError, Refused
from core.model import Task
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, PASSWORD, Office

WISHES: dict[str, Any] = {
    "group": "first",
    "directory": "/srv/dosvm-test/images",
    "project": "demo",
    "admin": "zhao",
    "new_password": "Another-horse-9",
    "own_password": PASSWORD,
    "host_group": "all",
    "pool": "local",
    "pool_path": "/srv/dosvm-test/volumes",
    "capacity": 20 * GIB,
}


@pytest.fixture
def here(office: Office, cloud: StillCloud) -> int:
    """The host that answers, and another one."""
    number = office.host("here", memory=8 * GIB)
    office.host("there", memory=8 * GIB)
    found = cloud.host(number)
    assert found is not None
    cloud.me = found.uuid
    return number


def test_all_that_a_first_vm_needs(office: Office, here: int) -> None:
    answer = office.sysadm("cloud.prepare", **WISHES)
    zhao = office.person("zhao")
    project = office.sysadm("project.show", project="demo")
    assert (project["groups"], project["admins"], project["pools"], project["host_groups"]) == (
        ["first"], ["zhao"], ["local"], ["all"],
    )  # fmt: skip
    assert project["max_disk"] == 20 * GIB
    assert project["max_memory"] == 2 * (8 * GIB - 512 * 1024**2)
    assert zhao.names("host.list") == ["here", "there"]
    assert zhao.names("image.list") == ["sample"]
    assert zhao.names("instance.list") == ["sample"]
    vm = zhao("vm.show", vm=answer["vm"])
    assert (vm["name"], vm["power"], vm["state"]) == ("sample-1", "off", "off")
    tasks = office.services.database.read(lambda s: s.execute(select(Task.uuid, Task.kind, Task.host_id)).all())
    assert sorted((kind, host) for _uuid, kind, host in tasks) == [("image.install", here), ("pool.activate", here)]
    assert {uuid for uuid, _kind, _host in tasks} == set(answer["tasks"])
    assert answer["task"] == answer["tasks"][-1]
    (log,) = office.sysadm("log.list")["rows"]
    assert (log["operation"], log["target"]) == ("cloud.prepare", "demo")
    assert "horse" not in str(log)
    assert not office.sysadm("cloud.status")["empty"]


def test_without_the_sample(office: Office, here: int) -> None:
    answer = office.sysadm("cloud.prepare", **WISHES, sample=False)
    assert (answer["vm"], len(answer["tasks"])) == ("", 1)
    assert office.person("zhao").names("vm.list") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("group", ""),
        ("directory", "/etc"),
        ("project", "x" * 65),
        ("admin", "a b"),
        ("admin", "sysadm"),
        ("new_password", "short"),
        ("own_password", "Wrong-horse-9"),
        ("host_group", " "),
        ("pool", "字"),
        ("pool_path", "relative"),
        ("pool_path", "/srv/dosvm-test/images/inside"),
        ("capacity", 0),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_made(
    office: Office, here: int, field: str, value: Any
) -> None:
    with pytest.raises(DosvmError) as error:
        office.sysadm("cloud.prepare", **{**WISHES, field: value})
    assert error.value.field == field
    assert office.sysadm("cloud.status")["empty"]
    assert [office.sysadm(f"{kind}.list")["total"] for kind in ("user", "host-group", "pool", "log")] == [0] * 4


def test_a_host_that_is_not_registered_yet_waits(office: Office) -> None:
    with pytest.raises(Refused, match="not registered"):
        office.sysadm("cloud.prepare", **WISHES)
