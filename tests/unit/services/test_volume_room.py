"""Volumes are thin: what the storage truly has is held against them when they are made and grown."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from core.coordination.storage import PoolState, record_pool
from core.errors import NeedsConsent, QuotaExceeded, Refused
from core.model import Pool, Volume
from tests.fakes import rack
from tests.fakes.office import Office, Person

MIB = 1024**2


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of a project with the pool ``local``, whose file system has 100 MiB, of which 40 are free."""
    admin = rack.web(office)
    host = rack.host_id(office, "h1")

    def write(session: Any) -> None:
        pool = session.scalars(select(Pool.id).where(Pool.name == "local")).one()
        record_pool(session, pool, host, PoolState(size=100 * MIB, free=40 * MIB), office.services.clock.now())

    office.services.database.write(write)
    return admin


def test_what_can_never_fit_is_refused_and_says_by_how_much(office: Office, web: Person) -> None:
    with pytest.raises(Refused, match=r"500 MiB can never be filled in storage pool local.*100 MiB in all, 400 MiB"):
        web("volume.add", name="huge", pool="local", capacity=500 * MIB, thin=True)
    assert web("volume.list")["rows"] == []


def test_what_is_larger_than_what_is_free_is_asked_about(office: Office, web: Person) -> None:
    web("volume.add", name="small", pool="local", capacity=40 * MIB)
    rack.settle(office)
    with pytest.raises(NeedsConsent, match=r"40 MiB are free: a volume of 60 MiB may come to need 20 MiB more") as told:
        web("volume.add", name="large", pool="local", capacity=60 * MIB)
    assert told.value.parameters["argument"] == "thin"
    assert "stand still" in told.value.question()
    web("volume.add", name="large", pool="local", capacity=60 * MIB, thin=True)
    rack.settle(office)
    assert web("pool.show", pool="local")["overcommitted"] == 60 * MIB, "100 MiB are promised, of which 40 are there"
    with pytest.raises(NeedsConsent):
        web("volume.grow", volume="local/small", capacity=90 * MIB)
    web("volume.grow", volume="local/small", capacity=90 * MIB, thin=True)


def test_a_foreign_file_counts_with_what_it_takes_and_is_named(office: Office, web: Person) -> None:
    pool = office.sysadm("pool.show", pool="local")["capacity"]

    def find(session: Any) -> None:
        pool_id = session.scalars(select(Pool.id).where(Pool.name == "local")).one()
        session.add(
            Volume(
                pool_id=pool_id,
                name="sparse",
                display_name="",
                description="",
                path="",
                format="raw",
                capacity=2 * pool,
                allocation=20 * MIB,
                options="",
                state="foreign",
                created=office.services.clock.now(),
            )
        )

    office.services.database.write(find)
    assert office.sysadm("pool.show", pool="local")["used"] == 20 * MIB
    office.sysadm("volume.add", name="disk", pool="local", capacity=MIB)
    with pytest.raises(QuotaExceeded, match=r"Of that, 20 MiB are files .* accepted: sparse"):
        office.sysadm("volume.add", name="more", pool="local", capacity=pool, thin=True)
    rack.settle(office)
    with pytest.raises(QuotaExceeded, match=r"holds at most .* GiB too much. .* move the file into") as told:
        office.sysadm("volume.accept", volume="local/sparse", format="raw")
    # The form has no field for the capacity, which is the file's own.
    assert told.value.field == "volume"
