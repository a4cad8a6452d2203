"""Run time where whole hosts fail: two hosts on one MariaDB, against the boot clock that all of the lab share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from hostd.processes import boot_clock_ms
from tests.lab.cloud import Cloud
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

#: Milliseconds that a busy machine may take from an act of the test until it has happened, and the test knows.
SOON = 2500


@pytest.fixture
def cloud(wide_cloud: Cloud) -> Iterator[Cloud]:
    """The cloud with all its parts up and no VM."""
    wide_cloud.lab.mend()
    wide_cloud.wait_for_hosts()
    yield wide_cloud
    wide_cloud.lab.mend()
    wide_cloud.wait_for_hosts()
    wide_cloud.remove_vms()


def runs_of(cloud: Cloud, uuid: str) -> list[dict[str, Any]]:
    """The runs of a VM as the database has them, oldest first."""
    keys = ("boot", "from_ms", "until_ms", "paused_ms", "vcpus")
    rows = cloud.lab.rows(f"SELECT {', '.join(keys)} FROM machine_run WHERE machine = ? ORDER BY id", uuid)
    return [dict(zip(keys, row, strict=True)) for row in rows]


def begin(cloud: Cloud, name: str) -> str:
    """A VM that runs on host b; its UUID."""
    uuid = cloud.add_vm(name, host=cloud.lab[1])
    wait_until(lambda: runs_of(cloud, uuid), "a run in the database", 10, cloud.lab[1].logs)
    return uuid


def seconds(cloud: Cloud, name: str) -> int:
    """What host a says of a VM's run time."""
    return int(cloud.vm(name, at=cloud.lab[0])["vcpu_seconds"])


def test_a_power_cut_ends_a_run_at_the_last_heartbeat(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = begin(cloud, "cut")
    time.sleep(6)
    b.crash()
    cut = boot_clock_ms()
    time.sleep(4)
    stands = seconds(cloud, "cut")
    time.sleep(4)
    assert seconds(cloud, "cut") == stands, "nobody knows that it runs, so it does not count"
    ((beat,),) = cloud.lab.rows("SELECT clock_ms FROM host WHERE name = ?", "b")
    b.boot()
    b.start_hostd()
    # Its earlier run is watched before this one follows it, and only then the VM starts.
    wait_until(lambda: len(runs_of(cloud, uuid)) == 2, "its next run", 80, b.logs)
    first, second = runs_of(cloud, uuid)
    assert first["boot"] != second["boot"]
    # However late the last heartbeat was on a busy machine: it is the one, and not the power cut.
    assert first["from_ms"] < first["until_ms"] == beat <= cut
    assert (first["until_ms"] - first["from_ms"]) // 1000 == stands
    assert second["from_ms"] > cut
    wait_until(lambda: seconds(cloud, "cut") > stands, "the new run counts", 15, b.logs)
    shown = seconds(cloud, "cut")
    # Looked at after it was told, which takes a busy machine seconds.
    ran = (first["until_ms"] - first["from_ms"]) + boot_clock_ms() - second["from_ms"]
    assert shown <= ran // 1000 + 1


def test_a_host_without_its_network_catches_up(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = begin(cloud, "alone")
    b.partition()
    try:
        time.sleep(10)
    finally:
        b.heal()
    now = boot_clock_ms()
    (run,) = runs_of(cloud, uuid)
    wait_until(lambda: seconds(cloud, "alone") >= (now - run["from_ms"]) // 1000, "what it ran meanwhile", 30, b.logs)
    assert len(runs_of(cloud, uuid)) == 1


def test_an_orderly_end_of_the_host_while_hostd_is_stopped_is_found_in_the_log(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = begin(cloud, "orderly")
    b.kill_hostd()
    dead = boot_clock_ms()
    time.sleep(6)
    connection = b.libvirt()
    try:
        connection.lookupByUUIDString(uuid).destroy()
    finally:
        connection.close()
    true = boot_clock_ms()
    time.sleep(3)
    b.crash()
    b.boot()
    b.start_hostd()
    wait_until(lambda: runs_of(cloud, uuid)[0]["until_ms"] is not None, "the end of the run", 40, b.logs)
    ended = runs_of(cloud, uuid)[0]["until_ms"]
    assert ended - dead > SOON
    # Between two boots only the wall clock leads from one to the other: it is as exact as that.
    assert abs(ended - true) <= SOON
