"""How long VMs really ran, by a clock of the test's own: whatever dies meanwhile, nothing is lost or counts twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest

from hostd.processes import boot_clock_ms
from tests.engine.hostd import Hostd, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

#: Milliseconds that a busy machine may take from an act of the test until it has happened, and the test knows.
SOON = 1500


@pytest.fixture
def connection(hostd: Hostd) -> Iterator[libvirt.virConnect]:
    """libvirt, past DOSVM."""
    opened = libvirt.open(hostd.libvirt.url)
    yield opened
    opened.close()


def begin(hostd: Hostd, name: str = "one", **fields: Any) -> str:
    """A VM that runs, and whose run the database knows; its UUID."""
    uuid = hostd.machine(name, **fields)
    hostd.done("vm.start", vm=name)
    until(lambda: runs_of(hostd, uuid), 10, "a run in the database")
    return uuid


def runs_of(hostd: Hostd, uuid: str) -> list[dict[str, Any]]:
    """The runs of a VM as the database has them, oldest first."""
    keys = ("from_ms", "until_ms", "paused_ms", "paused_from_ms", "vcpus", "pid")
    rows = hostd.rows(f"SELECT {', '.join(keys)} FROM machine_run WHERE machine = ? ORDER BY id", uuid)
    return [dict(zip(keys, row, strict=True)) for row in rows]


def ended(hostd: Hostd, uuid: str, number: int = 0) -> dict[str, Any]:
    """A VM's run once it is over."""
    until(lambda: runs_of(hostd, uuid)[number]["until_ms"] is not None, 15, hostd.log_tail())
    return runs_of(hostd, uuid)[number]


def near(found: int, true: int) -> bool:
    return abs(found - true) <= SOON


def kill_hostd(hostd: Hostd) -> int:
    """``kill -9``; the boot clock."""
    hostd.kill()
    return boot_clock_ms()


def test_a_run_counts_all_vcpus_from_qemus_start_to_its_end(hostd: Hostd) -> None:
    before = boot_clock_ms()
    uuid = begin(hostd, vcpus=3)
    asked = boot_clock_ms()
    time.sleep(3)
    live = hostd.vm("one")["vcpu_seconds"]
    assert live >= 3 * 1
    hostd.done("vm.stop", vm="one", force=True)
    run, now = ended(hostd, uuid), boot_clock_ms()
    assert before - 20 <= run["from_ms"] <= asked
    assert near(run["until_ms"], now)
    assert (run["vcpus"], run["paused_ms"]) == (3, 0)
    ran = 3 * (run["until_ms"] - run["from_ms"]) // 1000
    assert hostd.vm("one")["vcpu_seconds"] == ran >= live
    project = hostd.admin("usage.show", usage="web")["vcpu_seconds"]
    assert project >= ran
    hostd.clean()
    after = hostd.admin("usage.show", usage="web")["vcpu_seconds"]
    assert after == project, "the VM is deleted, what it used is not"
    assert hostd.admin("project.show", project="web")["vcpu_seconds"] == after
    assert hostd.zhao("usage.list")["rows"][0]["vcpu_seconds"] == after


def test_a_suspended_vm_does_not_count(hostd: Hostd) -> None:
    uuid = begin(hostd)
    hostd.done("vm.suspend", vm="one")
    suspended = boot_clock_ms()
    until(lambda: runs_of(hostd, uuid)[0]["paused_from_ms"], 5)
    time.sleep(3)
    counted = hostd.vm("one")["vcpu_seconds"]
    time.sleep(3)
    assert hostd.vm("one")["vcpu_seconds"] == counted
    hostd.done("vm.resume", vm="one")
    resumed = boot_clock_ms()
    until(lambda: runs_of(hostd, uuid)[0]["paused_ms"], 5)
    run = runs_of(hostd, uuid)[0]
    assert run["paused_from_ms"] is None
    assert near(run["paused_ms"], resumed - suspended)


def test_a_vm_switched_off_behind_our_back_has_two_runs_that_do_not_overlap(
    hostd: Hostd, connection: libvirt.virConnect
) -> None:
    uuid = begin(hostd)
    connection.lookupByUUIDString(uuid).destroy()
    destroyed = boot_clock_ms()
    until(lambda: len(runs_of(hostd, uuid)) == 2, 15, hostd.log_tail())
    first, second = ended(hostd, uuid), runs_of(hostd, uuid)[1]
    assert near(first["until_ms"], destroyed)
    assert second["from_ms"] >= first["until_ms"] - 10, "a process's start is known to 10 ms"


def test_a_vm_goes_on_counting_while_hostd_is_dead(hostd: Hostd) -> None:
    uuid = begin(hostd)
    before = runs_of(hostd, uuid)[0]
    kill_hostd(hostd)
    time.sleep(3)
    hostd.start()
    hostd.wait()
    now = boot_clock_ms()
    until(lambda: hostd.vm("one")["vcpu_seconds"] >= (now - before["from_ms"]) // 1000, 10, "counted on")
    assert [run["from_ms"] for run in runs_of(hostd, uuid)] == [before["from_ms"]]
    hostd.done("vm.stop", vm="one", force=True)
    assert near(ended(hostd, uuid)["until_ms"], boot_clock_ms())


@pytest.mark.parametrize("how", ["destroyed by virsh", "QEMU killed"])
def test_the_true_end_is_found_when_hostd_was_dead(hostd: Hostd, connection: libvirt.virConnect, how: str) -> None:
    uuid = begin(hostd)
    dead = kill_hostd(hostd)
    time.sleep(4)
    if how == "QEMU killed":
        pid = hostd.libvirt.qemu(uuid)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    else:
        connection.lookupByUUIDString(uuid).destroy()
    true = boot_clock_ms()
    assert true - dead > 2 * SOON
    time.sleep(4)
    hostd.start()
    hostd.wait()
    assert near(ended(hostd, uuid)["until_ms"], true)
    until(lambda: len(runs_of(hostd, uuid)) == 2, 20, "it runs again")


def test_a_pause_that_began_while_hostd_was_dead_counts_from_its_begin(
    hostd: Hostd, connection: libvirt.virConnect
) -> None:
    uuid = begin(hostd)
    dead = kill_hostd(hostd)
    time.sleep(3)
    connection.lookupByUUIDString(uuid).suspend()
    true = boot_clock_ms()
    time.sleep(4)
    hostd.start()
    hostd.wait()
    until(lambda: runs_of(hostd, uuid)[0]["paused_from_ms"], 15, hostd.log_tail())
    assert true - dead > SOON
    assert near(runs_of(hostd, uuid)[0]["paused_from_ms"], true)
    hostd.done("vm.resume", vm="one")


def test_a_restart_of_libvirtd_is_no_end_of_a_run(hostd: Hostd) -> None:
    uuid = begin(hostd)
    hostd.libvirt.kill()
    hostd.libvirt.wait()
    time.sleep(3)
    hostd.done("vm.suspend", vm="one")
    until(lambda: runs_of(hostd, uuid)[0]["paused_from_ms"], 15, hostd.log_tail())
    assert len(runs_of(hostd, uuid)) == 1
    assert runs_of(hostd, uuid)[0]["until_ms"] is None


def test_a_qemu_that_dies_while_libvirtd_is_away_ended_when_it_died(hostd: Hostd) -> None:
    uuid = begin(hostd)
    pid = hostd.libvirt.qemu(uuid)
    assert pid is not None
    hostd.libvirt.kill(stay_down=True)
    try:
        time.sleep(2)
        os.kill(pid, signal.SIGKILL)
        true = boot_clock_ms()
        time.sleep(4)
        assert near(ended(hostd, uuid)["until_ms"], true)
    finally:
        hostd.libvirt.release()


def test_when_nobody_saw_the_end_the_last_heartbeat_counts(hostd: Hostd) -> None:
    """libvirtd, QEMU and hostd die one after the other, as when the host loses its power."""
    uuid = begin(hostd)
    pid = hostd.libvirt.qemu(uuid)
    assert pid is not None
    hostd.libvirt.kill(stay_down=True)
    last = kill_hostd(hostd)
    time.sleep(3)
    os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    hostd.libvirt.release()
    time.sleep(2)
    hostd.start()
    hostd.wait()
    until_ms = ended(hostd, uuid)["until_ms"]
    assert last - 2000 - SOON <= until_ms <= last


def test_a_database_that_is_away_delays_the_account_and_does_not_change_it(
    hostd: Hostd, connection: libvirt.virConnect
) -> None:
    uuid = begin(hostd)
    with hostd.without_database():
        connection.lookupByUUIDString(uuid).suspend()
        paused = boot_clock_ms()
        time.sleep(2)
        connection.lookupByUUIDString(uuid).resume()
        resumed = boot_clock_ms()
        time.sleep(2)
        connection.lookupByUUIDString(uuid).destroy()
        destroyed = boot_clock_ms()
        time.sleep(2)
    run = ended(hostd, uuid)
    assert near(run["until_ms"], destroyed)
    assert near(run["paused_ms"], resumed - paused)
