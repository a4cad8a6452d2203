"""Hosts enter themselves, say that they live, and keep what the administrator set."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.coordination import hosts
from core.coordination.hosts import RESERVED, HostRow, Load, Registration
from core.model import Host, HostGroup, HostSample, host_in_group
from core.rules.parameters import Parameters
from tests.unit.coordination.conftest import Ground

GIB = 1024**3
FACTS = Registration("192.0.2.5", 5555, "boot-1", 8, 16 * GIB, "EPYC", "x86_64", "6.1")
LOAD = Load(12.5, 40.0, 7.0, 1e6)


def seen(ground: Ground, number: int) -> HostRow:
    """A host as every hostd reads it."""
    rows, _parameters = ground.read(lambda session: hosts.look_around(session, Parameters()))
    return next(row for row in rows if row.id == number)


def test_a_new_host_keeps_memory_for_itself(ground: Ground) -> None:
    row = seen(ground, ground.write(hosts.register, "u-1", "node", FACTS))
    assert (row.name, row.cores, row.max_vcpus, row.max_memory) == ("node", 8, 32, 16 * GIB - RESERVED)


def test_what_the_administrator_set_stays(ground: Ground) -> None:
    number = ground.write(hosts.register, "u-1", "node", FACTS)
    ground.database.write(
        lambda session: session.execute(update(Host).where(Host.id == number).values(name="east", max_vcpus=99))
    )
    again = ground.write(hosts.register, "u-1", "node", replace(FACTS, boot="boot-2", address="192.0.2.6"))
    row = seen(ground, number)
    assert again == number
    assert (row.name, row.max_vcpus, row.boot, row.address) == ("east", 99, "boot-2", "192.0.2.6")


def test_memory_taken_out_lowers_the_limit(ground: Ground) -> None:
    number = ground.write(hosts.register, "u-1", "node", FACTS)
    ground.write(hosts.register, "u-1", "node", replace(FACTS, memory=8 * GIB))
    assert seen(ground, number).max_memory == 8 * GIB - RESERVED
    ground.write(hosts.register, "u-1", "node", FACTS)
    assert seen(ground, number).max_memory == 8 * GIB - RESERVED


def test_a_name_that_is_taken_gets_a_number(ground: Ground) -> None:
    numbers = [ground.write(hosts.register, f"u-{n}", "h1", FACTS) for n in range(2)]
    assert [seen(ground, number).name for number in numbers] == ["h1-2", "h1-3"]


def test_a_host_that_lives_counts_on(ground: Ground) -> None:
    row = seen(ground, ground.host)
    before = row.heartbeat
    beat = partial(ground.write, hosts.beat, ground.host, row.boot, LOAD, Parameters())
    assert all(ground.at_once([beat for _ in range(4)]))
    row = seen(ground, ground.host)
    assert row.heartbeat == before + 4
    assert row.load == LOAD


def test_a_host_that_was_removed_is_told_so(ground: Ground) -> None:
    ground.database.write(lambda session: session.execute(delete(Host).where(Host.id == ground.host)))
    assert not ground.write(hosts.beat, ground.host, "", LOAD, Parameters())


def test_a_row_is_taken_only_from_whom_one_may_follow(ground: Ground) -> None:
    number = ground.write(hosts.register, "u-1", "node", FACTS)
    second = replace(FACTS, boot="boot-2", address="192.0.2.6")
    with pytest.raises(hosts.Taken, match=r"very host node already \(from 192\.0\.2\.5\)"):
        ground.write(hosts.register, "u-1", "node", second, lambda _holder: False)
    assert seen(ground, number).boot == "boot-1"
    asked: list[hosts.Holder] = []
    assert ground.write(hosts.register, "u-1", "node", second, lambda h: not asked.append(h)) == number
    assert [(holder.boot, holder.heartbeat, holder.address) for holder in asked] == [("boot-1", 0, "192.0.2.5")]
    # Who had the row notices at its next beat.
    assert not ground.write(hosts.beat, number, "boot-1", LOAD, Parameters())
    assert ground.write(hosts.beat, number, "boot-2", LOAD, Parameters(heartbeat_interval=7))
    assert ground.read(hosts.holder, "u-1") == hosts.Holder("boot-2", 1, 7, "node", "192.0.2.6")
    assert ground.read(hosts.holder, "u-2") is None


def test_groups_are_read_with_the_hosts(ground: Ground) -> None:
    def work(session: Session) -> int:
        group = HostGroup(name="fast")
        session.add(group)
        session.flush()
        session.execute(host_in_group.insert().values(group_id=group.id, host_id=ground.host))
        return group.id

    group = ground.database.write(work)
    assert seen(ground, ground.host).groups == {group}
    assert seen(ground, ground.other_host).groups == frozenset()


@pytest.mark.parametrize("days", [0, 8])
def test_history_is_kept_for_its_time(ground: Ground, days: int) -> None:
    now = datetime(2026, 1, 31, 12, 0)  # noqa: DTZ001  (naive UTC, as the database keeps it)
    for host in (ground.host, ground.other_host):
        ground.write(hosts.add_sample, host, now - timedelta(days=days), LOAD, keep_since=now - timedelta(days=30))
    ground.write(hosts.add_sample, ground.host, now, LOAD, keep_since=now - timedelta(days=7))
    kept = ground.database.read(
        lambda session: list(session.scalars(select(HostSample.host_id).order_by(HostSample.host_id)))
    )
    mine = [ground.host] * (1 if days else 2)
    assert kept == sorted([*mine, ground.other_host])


def test_hosts_that_come_at_once_under_one_name_get_names_of_their_own(ground: Ground) -> None:
    numbers = ground.at_once([partial(ground.write, hosts.register, f"u-{n}", "same", FACTS) for n in range(6)])
    names = {seen(ground, number).name for number in numbers}
    assert names == {"same", *(f"same-{n}" for n in range(2, 7))}


def test_a_host_that_enters_itself_twice_at_once_is_one(ground: Ground) -> None:
    assert len(set(ground.at_once([partial(ground.write, hosts.register, "u-1", "node", FACTS)] * 4))) == 1


def test_no_two_hosts_have_one_name(ground: Ground) -> None:
    for uuid in ("u-1", "u-2"):
        ground.write(hosts.register, uuid, uuid, FACTS)
    with pytest.raises(IntegrityError):
        ground.database.write(lambda session: session.execute(update(Host).values(name="one")))
