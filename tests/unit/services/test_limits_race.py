"""Limits hold when many ask at the same moment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from core.errors import DosvmError, InvalidInput, QuotaExceeded, Refused
from core.model import Image, Pool, Task, TaskState, Volume
from core.services import pools, project_groups, settings
from tests.fakes.office import GIB, Office, Person

MIB = 1024**2
PEOPLE = 8


def at_once(calls: list[Callable[[], Any]]) -> list[DosvmError | None]:
    """Run all calls at the same moment; how each was refused."""
    ready = threading.Barrier(len(calls))
    ends: list[DosvmError | None] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        ready.wait()
        try:
            call()
        except DosvmError as error:
            ends[place] = error

    threads = [threading.Thread(target=run, args=(place, call)) for place, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def _pool(office: Office, name: str, capacity: int, *projects: str) -> None:
    path = f"/srv/pools/{name}"
    office.sysadm("pool.add", name=name, type="dir", host="h1", path=path, capacity=capacity, projects=list(projects))
    office.services.database.write(lambda s: s.query(Task).update({"state": TaskState.DONE.value}))


def test_a_projects_disk(office: Office) -> None:
    web = office.project("web", max_disk=3 * GIB)
    office.host("h1")
    _pool(office, "one", 100 * GIB, "web")
    _pool(office, "two", 100 * GIB, "web")
    ends = at_once(
        [
            lambda n=n: web("volume.add", name=f"disk{n}", pool=("one", "two")[n % 2], capacity=GIB)  # type: ignore[misc]
            for n in range(PEOPLE)
        ]
    )
    assert [end for end in ends if end and not isinstance(end, QuotaExceeded)] == []
    assert ends.count(None) == 3
    assert web("usage.show")["used_disk"] == 3 * GIB


def test_a_pools_capacity(office: Office) -> None:
    people = [office.project(f"p{n}") for n in range(4)]
    office.host("h1")
    _pool(office, "local", 3 * GIB, *(f"p{n}" for n in range(4)))
    ends = at_once(
        [
            lambda n=n: people[n % 4]("volume.add", name=f"disk{n}", pool="local", capacity=GIB)  # type: ignore[misc]
            for n in range(PEOPLE)
        ]
    )
    assert [end for end in ends if end and not isinstance(end, QuotaExceeded)] == []
    assert ends.count(None) == 3
    assert office.sysadm("pool.show", pool="local")["used"] == 3 * GIB


def test_a_volume_grows_once(office: Office) -> None:
    web = office.project("web", max_disk=3 * GIB)
    office.host("h1")
    _pool(office, "local", 100 * GIB, "web")
    for name in ("disk1", "disk2"):
        web("volume.add", name=name, pool="local", capacity=GIB)
    office.services.database.write(
        lambda s: (s.query(Task).update({"state": TaskState.DONE.value}), s.query(Volume).update({"state": "present"}))
    )
    ends = at_once(
        [
            lambda n=n: web("volume.grow", volume=f"disk{n % 2 + 1}", capacity=2 * GIB)  # type: ignore[misc]
            for n in range(4)
        ]
    )
    assert [end for end in ends if end and not isinstance(end, Refused)] == []
    assert ends.count(None) == 1
    assert web("usage.show")["used_disk"] == 3 * GIB


def _chains(office: Office, **limits: int) -> Person:
    """A project with four volumes of 1 GiB, each with a snapshot of it, and as much room for more."""
    web = office.project("web", max_disk=8 * GIB + limits.get("more", 0), max_snapshots=limits.get("snapshots", 100))
    office.host("h1")
    _pool(office, "local", limits.get("capacity", 100 * GIB), "web")
    for n in range(4):
        web("volume.add", name=f"disk{n}", pool="local", capacity=GIB)
    _settled(office)
    return web


def _settled(office: Office) -> None:
    office.services.database.write(
        lambda s: (s.query(Task).update({"state": TaskState.DONE.value}), s.query(Volume).update({"state": "present"}))
    )


def test_a_projects_snapshots(office: Office) -> None:
    web = _chains(office, snapshots=3)
    ends = at_once(
        [
            lambda n=n: web("volume.snapshot", volume=f"local/disk{n % 4}", name=f"s{n}")  # type: ignore[misc]
            for n in range(PEOPLE)
        ]
    )
    assert [end for end in ends if end and not isinstance(end, Refused)] == []
    assert ends.count(None) == 3
    assert len(web.names("volume.list")) == 4 + 3


@pytest.mark.parametrize("what", ["project", "pool"])
def test_what_snapshots_and_merges_may_take(office: Office, what: str) -> None:
    """Snapshots count as their volumes do, and so does what is merged: together they pass no limit."""
    more = 2 * GIB
    web = _chains(office, **({"more": more} if what == "project" else {"capacity": 8 * GIB + more, "more": 99 * GIB}))
    for n in range(4):
        web("volume.snapshot", volume=f"local/disk{n}", name=f"s{n}")
    _settled(office)

    def one(n: int) -> Any:
        if n % 2:
            return web("volume.merge", volume=f"local/s{n // 2}", name=f"m{n}")
        return web("volume.snapshot", volume=f"local/s{n // 2}", name=f"t{n}")

    ends = at_once([lambda n=n: one(n) for n in range(PEOPLE)])  # type: ignore[misc]
    assert [end for end in ends if end and not isinstance(end, Refused)] == []
    assert ends.count(None) == 2
    assert web("usage.show")["used_disk"] == 10 * GIB
    assert office.sysadm("pool.show", pool="local")["used"] == 10 * GIB


def test_a_projects_images(office: Office) -> None:
    web = office.project("web", max_images=2)
    office.host("h1")
    ends = at_once(
        [
            lambda n=n: web("image.add", name=f"image{n}", file=f"{n}.iso")  # type: ignore[misc]
            for n in range(PEOPLE)
        ]
    )
    assert [end for end in ends if end and not isinstance(end, QuotaExceeded)] == []
    assert ends.count(None) == 2
    assert office.services.database.read(lambda s: s.query(Image).count()) == 2


def test_a_pool_is_deleted_or_filled_but_not_both(office: Office) -> None:
    web = office.project("web")
    office.host("h1")
    for n in range(6):
        _pool(office, f"pool{n}", GIB, "web")
        ends = at_once(
            [
                lambda n=n: office.sysadm("pool.delete", pool=f"pool{n}"),  # type: ignore[misc]
                lambda n=n: web("volume.add", name="disk1", pool=f"pool{n}", capacity=MIB),  # type: ignore[misc]
            ]
        )
        assert ends.count(None) == 1

    def released_and_filled(session: Any) -> int:
        released = session.query(Pool.id).join(Task, Task.target == Pool.uuid).filter(Task.kind == "pool.release")
        return int(session.query(Volume).filter(Volume.pool_id.in_(released)).count())

    assert office.services.database.read(released_and_filled) == 0


def test_a_secret_is_used_or_gone(office: Office) -> None:
    web = office.project("web")
    office.host("h1")
    _pool(office, "local", 100 * GIB, "web")
    for n in range(PEOPLE):
        values = {
            "display_name": "key",
            "kind": "volume",
            "usage": f"use{n}",
            "value": "Correct-horse",
            "project": "web",
        }
        office.sysadm("secret.add", name=f"key{n}", **values)
        ends = at_once(
            [
                lambda n=n: web("volume.add", name=f"disk{n}", pool="local", capacity=GIB, secret=f"key{n}"),  # type: ignore[misc]
                lambda n=n: office.sysadm("secret.delete", secret=f"key{n}"),  # type: ignore[misc]
            ]
        )
        assert ends.count(None) == 1, ends
        there = f"key{n}" in office.sysadm.names("secret.list")
        assert there == (f"disk{n}" in web.names("volume.list"))


@pytest.mark.parametrize("first", ["settings", "pool", "group"])
@pytest.mark.parametrize("second", ["pool", "group"])
def test_a_directory_is_given_once(office: Office, monkeypatch: pytest.MonkeyPatch, first: str, second: str) -> None:
    """Each looked what is there, then wrote: temporary files of VMs came to lie in a pool, as volumes of it."""
    office.host("h1")
    both_looked = threading.Barrier(2)

    def then_wait(look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*given: Any, **named: Any) -> Any:
            found = look(*given, **named)
            with contextlib.suppress(threading.BrokenBarrierError):
                both_looked.wait(1.0)
            return found

        return looked

    for where, name in ((settings, "refuse_overlap"), (pools, "apart"), (project_groups, "_apart")):
        monkeypatch.setattr(where, name, then_wait(getattr(where, name)))
    calls: dict[str, Callable[[int], Any]] = {
        "settings": lambda _n: office.sysadm("settings.edit", temporary_directory="/raid/shared"),
        "pool": lambda n: office.sysadm(
            "pool.add", name=f"p{n}", type="dir", host="h1", path=f"/raid/shared/p{n // 2}", capacity=GIB
        ),
        "group": lambda n: office.sysadm("project-group.add", name=f"g{n}", directory=f"/raid/shared/p{n // 2}"),
    }
    ends = at_once([lambda: calls[first](0), lambda: calls[second](1)])
    assert [type(end) for end in ends if end] == [InvalidInput], ends
    assert sum(end is None for end in ends) == 1
