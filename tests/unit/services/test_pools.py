"""Storage pools: where volumes live, who may use them, and what keeps them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.coordination import tasks
from core.coordination.storage import PoolState, record_pool
from core.errors import AlreadyExists, EngineError, InUse, InvalidInput, NotFound, PermissionDenied, Refused, from_wire
from core.model import Pool, Task, TaskState, Volume
from hostd.succession import Succession
from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office
from tests.unit.services.test_power import statements


def _add(office: Office, name: str = "local", **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "name": name,
        "type": "dir",
        "host": "h1",
        "path": f"/srv/pools/{name}",
        "capacity": 3 * GIB,
    }
    return office.sysadm("pool.add", **{**arguments, **more})


def _say(office: Office, host: int, error: str, size: int = 0, free: int = 0) -> None:
    """What a host says of the pool ``local``; an empty error: it is active there."""
    wire = json.dumps(EngineError(error).to_wire()) if error else ""

    def work(session: Session) -> None:
        pool = session.scalars(select(Pool.id).where(Pool.name == "local")).one()
        record_pool(session, pool, host, PoolState(wire, size, free), office.services.clock.now())

    office.services.database.write(work)


def test_a_new_pool_is_made_by_its_host_and_given_to_projects(office: Office) -> None:
    office.project("web")
    host = office.host("h1")
    answer = _add(office, projects=["web"], description="fast", vendor="ACME", product="X1")
    (row,) = office.sysadm("pool.list")["rows"]
    assert (row["name"], row["type"], row["host"], row["path"]) == ("local", "dir", "h1", "/srv/pools/local")
    assert (row["capacity"], row["used"], row["volumes"], row["projects"]) == (3 * GIB, 0, 0, ["web"])
    assert row["state"] == "creating"
    task = office.services.database.read(lambda s: s.query(Task).one())
    assert (task.uuid, task.kind, task.host_id) == (answer["task"], "pool.activate", host)
    assert (task.target, task.project_id) == (answer["uuid"], None)


def test_details_show_the_xml_that_libvirt_gets(office: Office) -> None:
    office.host("h1")
    _add(office, vendor="<ACME>")
    shown = office.sysadm("pool.show", pool="local")
    assert "<path>/srv/pools/local</path>" in shown["xml"]
    assert "&lt;ACME&gt;" in shown["xml"]


def test_a_project_sees_the_pools_given_to_it_and_no_other_names(office: Office) -> None:
    web, shop = office.project("web"), office.project("shop")
    office.host("h1")
    _add(office, "both", projects=["web", "shop"])
    _add(office, "alone", projects=["shop"])
    assert web.names("pool.list") == ["both"]
    assert web("pool.list")["rows"][0]["projects"] == ["web"]
    assert shop.names("pool.list") == ["alone", "both"]
    with pytest.raises(NotFound):
        web("pool.show", pool="alone")
    with pytest.raises(PermissionDenied):
        web("pool.edit", pool="both", description="mine")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "two words"),
        ("name", "../up"),
        ("name", "网"),
        ("type", "nosuch"),
        ("host", ""),
        ("path", "relative/path"),
        ("path", "/srv/../etc"),
        ("path", "/etc/dosvm"),
        ("capacity", 0),
        ("capacity", 2**61),
        ("vendor", "x" * 65),
        ("description", "x" * 4001),
    ],
)
def test_a_broken_rule_is_said_at_its_field(office: Office, field: str, value: Any) -> None:
    office.host("h1")
    with pytest.raises(InvalidInput) as refused:
        _add(office, **dict[str, Any]({field: value}))
    assert refused.value.field == field
    assert office.sysadm("pool.list")["total"] == 0


def test_a_name_is_given_once(office: Office) -> None:
    office.host("h1")
    _add(office)
    with pytest.raises(AlreadyExists, match="local is taken"):
        _add(office, path="/srv/other")


@pytest.mark.parametrize("path", ["/srv/pools/local", "/srv/pools//local/", "/srv/pools/local/inside", "/srv/pools"])
def test_two_pools_of_a_host_share_no_directory(office: Office, path: str) -> None:
    office.host("h1")
    office.host("h2")
    _add(office)
    with pytest.raises(InvalidInput, match="overlaps with the directory of storage pool local") as refused:
        _add(office, "second", path=path)
    assert refused.value.field == "path"
    _add(office, "elsewhere", host="h2", path=path)


@pytest.mark.parametrize("path", ["/srv/dosvm-test/web", "/srv/dosvm-test/web/pool", "/srv/dosvm-test"])
def test_a_pool_shares_no_directory_with_images(office: Office, path: str) -> None:
    office.project("web")
    office.host("h1")
    with pytest.raises(InvalidInput, match="project group web-group"):
        _add(office, path=path)


def test_a_neighbour_with_a_longer_name_is_no_overlap(office: Office) -> None:
    office.host("h1")
    _add(office, path="/srv/pool")
    _add(office, "second", path="/srv/pool2")
    assert office.sysadm.names("pool.list") == ["local", "second"]


def test_a_pool_needs_a_host_that_is_there(office: Office, cloud: StillCloud) -> None:
    with pytest.raises(NotFound) as unknown:
        _add(office)
    assert unknown.value.field == "host"
    cloud.change(office.host("h1"), state="down")
    with pytest.raises(Refused, match="Host h1 is down"):
        _add(office)
    assert office.sysadm("pool.list")["total"] == 0


def test_the_state_is_that_of_the_task_then_the_host_then_the_pool(office: Office, cloud: StillCloud) -> None:
    host = office.host("h1")
    _add(office)

    def state() -> str:
        return str(office.sysadm("pool.show", pool="local")["state"])

    assert state() == "creating"
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))
    assert state() == "active"
    _say(office, host, "the directory is gone")
    assert state() == "failed"
    (error,) = office.sysadm("pool.show", pool="local")["error"]
    assert from_wire(error).text() == "h1: the directory is gone"
    cloud.change(host, state="down")
    assert state() == "down"
    del cloud.views[host]
    _say(office, host, "")
    assert state() == "unknown"


def test_pools_are_found_by_kind_host_and_project(office: Office) -> None:
    office.project("web")
    office.host("h1")
    office.host("h2")
    _add(office, "one", projects=["web"])
    _add(office, "two", host="h2")
    assert office.sysadm.names("pool.list", filters={"host": "h2"}) == ["two"]
    assert office.sysadm.names("pool.list", filters={"kind": "dir"}) == ["one", "two"]
    assert office.sysadm.names("pool.list", filters={"project": "web"}) == ["one"]
    assert office.sysadm.names("pool.list", search="TW") == ["two"]
    for key in ("name", "type", "capacity", "used", "volumes", "host", "path", "created"):
        assert len(office.sysadm.names("pool.list", sort=key, descending=True)) == 2


def test_only_the_description_changes(office: Office) -> None:
    office.host("h1")
    _add(office)
    row = office.sysadm("pool.edit", pool="local", description="两块盘\nRAID 1")
    assert row["description"] == "两块盘\nRAID 1"
    with pytest.raises(InvalidInput):
        office.sysadm("pool.edit", pool="local", path="/srv/other")


def test_a_pool_goes_when_it_is_empty(office: Office) -> None:
    office.host("h1")
    _add(office)
    with pytest.raises(Refused, match="Wait for its task"):
        office.sysadm("pool.delete", pool="local")
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))
    pool = office.services.database.read(lambda s: s.query(Pool).one())
    office.fill(Volume(pool_id=pool.id, name="disk1", format="raw", capacity=GIB, state="present"))
    row = office.sysadm("pool.show", pool="local")
    assert (row["used"], row["volumes"]) == (GIB, 1)
    with pytest.raises(InUse, match="disk1"):
        office.sysadm("pool.delete", pool="local")
    office.services.database.write(lambda s: s.query(Volume).delete())
    answer = office.sysadm("pool.delete", pool="local")
    task = office.services.database.read(lambda s: s.query(Task).filter_by(uuid=answer["task"]).one())
    assert (task.kind, task.target) == ("pool.release", pool.uuid)
    assert office.sysadm("pool.show", pool="local")["state"] == "deleting"


def test_files_that_were_only_found_go_with_a_wrong_pool_and_stay_where_they_are(office: Office) -> None:
    office.host("h1")
    _add(office)
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))
    pool = office.services.database.read(lambda s: s.query(Pool).one())
    for name in ("passwd", "shadow", "mine"):
        office.fill(Volume(pool_id=pool.id, name=name, format="raw", capacity=GIB, state="foreign"))
    office.services.database.write(lambda s: s.query(Volume).filter_by(name="mine").update({"state": "present"}))
    row = office.sysadm("pool.show", pool="local")
    assert (row["volumes"], row["foreign"]) == (3, 2)
    with pytest.raises(InUse, match=r"There are volumes in storage pool local: mine\."):
        office.sysadm("pool.delete", pool="local")
    office.services.database.write(lambda s: s.query(Volume).filter_by(name="mine").update({"state": "foreign"}))
    office.sysadm("volume.accept", volume="local/mine", format="raw")
    with pytest.raises(InUse, match="mine"):
        office.sysadm("pool.delete", pool="local")
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))
    office.sysadm("pool.delete", pool="local")
    assert office.sysadm("volume.list")["rows"] == []
    kinds = office.services.database.read(lambda s: [task.kind for task in s.query(Task)])
    assert "volume.delete" not in kinds, "no host touches them"


def _shared(office: Office, **more: Any) -> dict[str, Any]:
    return office.sysadm(
        "pool.add", **{"name": "local", "type": "dos", "path": "/dpfs/vm", "capacity": 3 * GIB, **more}
    )


def test_a_pool_that_all_hosts_reach_is_bound_to_none(office: Office, cloud: StillCloud) -> None:
    first, second = office.host("h1"), office.host("h2")
    cloud.change(first, state="down")
    answer = _shared(office)
    task = office.services.database.read(lambda s: s.query(Task).one())
    assert (task.uuid, task.kind, task.host_id) == (answer["task"], "pool.activate", second)
    row = office.sysadm("pool.show", pool="local")
    assert (row["host"], row["hosts"], row["type"]) == ("", [], "dos")
    with pytest.raises(InvalidInput) as refused:
        _shared(office, name="bound", path="/dpfs/other", host="h2")
    assert refused.value.field == "host"
    with pytest.raises(InvalidInput, match="overlaps"):
        _add(office, "below", host="h2", path="/dpfs/vm/below")
    cloud.change(second, state="down")
    with pytest.raises(Refused, match="No host is up"):
        _shared(office, name="later", path="/dpfs/later")


def test_what_every_host_can_do_is_done_where_the_pool_works(office: Office, cloud: StillCloud) -> None:
    """Best where it is active, then where nobody tried, last where it failed."""
    hosts = [office.host(name) for name in ("h1", "h2", "h3")]
    _shared(office)
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))

    def worker(name: str) -> int:
        task = office.sysadm("volume.add", name=name, pool="local", capacity=GIB // 8, format="raw")["task"]
        return int(office.services.database.read(lambda s: s.query(Task).filter_by(uuid=task).one()).host_id)

    _say(office, hosts[0], "not mounted")
    assert worker("one") == hosts[1]
    _say(office, hosts[2], "")
    assert worker("two") == hosts[2]
    cloud.change(hosts[2], state="down")
    assert worker("three") == hosts[1]
    cloud.change(hosts[1], state="down")
    assert worker("four") == hosts[0]
    shown = office.sysadm("pool.show", pool="local")
    assert shown["hosts"] == [{"name": "h1", "state": "failed"}, {"name": "h3", "state": "down"}]
    assert shown["state"] == "failed"


def test_what_a_host_that_died_was_doing_is_done_by_another(office: Office, cloud: StillCloud) -> None:
    first, second = office.host("h1"), office.host("h2")
    _shared(office)
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))
    _add(office, "own")
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))
    _say(office, first, "")
    shared = office.sysadm("volume.add", name="a", pool="local", capacity=GIB, format="raw")["task"]
    bound = office.sysadm("volume.add", name="b", pool="own", capacity=GIB, format="raw")["task"]
    claimed = office.services.database.write(lambda s: tasks.take(s, first, "boot", office.services.clock.now()))
    assert len(claimed) == 2

    def worker(task: str) -> tuple[int, str]:
        row = office.services.database.read(lambda s: s.query(Task).filter_by(uuid=task).one())
        return row.host_id, row.state

    with statements(office) as seen:
        Succession(office.services).look()
    assert not seen, "while nobody is down there is nothing to ask, every five seconds"
    assert worker(shared) == (first, "running")
    cloud.change(first, state="down")
    Succession(office.services).look()
    assert worker(shared) == (second, "queued")
    assert worker(bound) == (first, "running")
    ours = next(task for task in claimed if task.uuid == shared)
    assert not office.services.database.read(lambda s: tasks.is_held(s, ours.id, "boot"))


def test_the_filters_of_the_manual(office: Office) -> None:
    office.host("h1")
    _add(office, "own", capacity=GIB)
    _shared(office, name="all")
    assert office.sysadm.names("pool.list", filters={"bound": True}) == ["own"]
    assert office.sysadm.names("pool.list", filters={"bound": False}) == ["all"]
    assert office.sysadm.names("pool.list", filters={"capacity_from": 2 * GIB}) == ["all"]
    assert office.sysadm.names("pool.list", filters={"capacity_to": 2 * GIB}) == ["own"]
    assert office.sysadm.names("pool.list", filters={"since": "2000-01-01", "until": "2100-01-01"}) == ["all", "own"]
    assert office.sysadm.names("pool.list", filters={"since": "2100-01-01"}) == []


def test_the_space_of_the_storage_itself_is_shown(office: Office) -> None:
    host = office.host("h1")
    _add(office)
    assert office.sysadm("pool.show", pool="local")["free"] is None
    _say(office, host, "", 10 * GIB, 4 * GIB)
    row = office.sysadm("pool.show", pool="local")
    assert (row["size"], row["free"]) == (10 * GIB, 4 * GIB)
