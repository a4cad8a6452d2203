"""What runs here without being meant to: ended when the database surely says so, else only reported."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import libvirt
import pytest

from tests.engine.hostd import Hostd, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(90)]


def write(hostd: Hostd, statement: str, *values: object) -> None:
    """Change the database past hostd, as another host's hostd would."""
    with closing(sqlite3.connect(hostd.database, timeout=10)) as connection, connection:
        connection.execute(statement, values)


def other_host(hostd: Hostd) -> int:
    """A second host in the database."""
    columns = {row[1]: row for row in hostd.rows("PRAGMA table_info(host)") if row[1] != "id"}
    names = ", ".join(f'"{name}"' for name in columns)
    chosen = ", ".join(
        {"uuid": "'other'", "name": "'other'", "address": "''"}.get(name, f'"{name}"') for name in columns
    )
    write(hostd, f"INSERT INTO host ({names}) SELECT {chosen} FROM host LIMIT 1")
    return int(hostd.rows("SELECT id FROM host WHERE uuid = 'other'")[0][0])


def test_a_vm_that_was_placed_elsewhere_meanwhile_is_ended_here(hostd: Hostd) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    (mine,) = hostd.rows("SELECT host_id, epoch FROM machine WHERE uuid = ?", uuid)
    elsewhere = other_host(hostd)
    write(hostd, "UPDATE machine SET host_id = ?, epoch = epoch + 1 WHERE uuid = ?", elsewhere, uuid)
    until(lambda: hostd.libvirt.qemu(uuid) is None, 10, hostd.log_tail())
    assert hostd.rows("SELECT state FROM machine WHERE uuid = ?", uuid) == [("running",)], "it is the other's to say"
    write(hostd, "UPDATE machine SET host_id = ?, power = 'off', state = 'off' WHERE uuid = ?", mine[0], uuid)
    write(hostd, "DELETE FROM host WHERE id = ?", elsewhere)


def test_a_placement_elsewhere_that_is_not_newer_ends_nothing(hostd: Hostd) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    (mine,) = hostd.rows("SELECT host_id FROM machine WHERE uuid = ?", uuid)
    elsewhere = other_host(hostd)
    write(hostd, "UPDATE machine SET host_id = ? WHERE uuid = ?", elsewhere, uuid)
    time.sleep(7)
    assert hostd.libvirt.qemu(uuid) is not None
    assert "placed elsewhere" in hostd.log.read_text()
    write(hostd, "UPDATE machine SET host_id = ? WHERE uuid = ?", mine[0], uuid)
    write(hostd, "DELETE FROM host WHERE id = ?", elsewhere)


def test_a_vm_of_ours_that_the_database_does_not_know_is_reported_and_left_alone(hostd: Hostd) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    write(hostd, "UPDATE machine SET uuid = 'hidden' WHERE uuid = ?", uuid)
    until(lambda: "does not know" in hostd.log.read_text(), 10)
    assert hostd.libvirt.qemu(uuid) is not None
    write(hostd, "UPDATE machine SET uuid = ? WHERE uuid = 'hidden'", uuid)


def test_a_domain_of_somebody_else_is_never_touched(hostd: Hostd) -> None:
    connection = libvirt.open(hostd.libvirt.url)
    domain = connection.createXML(
        "<domain type='qemu'><name>theirs</name><memory unit='MiB'>16</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"
    )
    time.sleep(6)
    assert domain.isActive()
    assert hostd.zhao("vm.list")["rows"] == []
    domain.destroy()


def test_a_foreign_domain_under_a_vms_identity_is_said_and_not_ended(hostd: Hostd) -> None:
    uuid = hostd.machine("one")
    connection = libvirt.open(hostd.libvirt.url)
    domain = connection.createXML(
        f"<domain type='qemu'><name>theirs</name><uuid>{uuid}</uuid><memory unit='MiB'>16</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"
    )
    row = hostd.task(hostd.zhao("vm.start", vm="one"))
    assert row["state"] == "failed"
    assert "virsh destroy" in hostd.error(row)
    assert domain.isActive()
    domain.destroy()
    hostd.wait_for("one", "running", 15)


def test_a_run_of_an_earlier_placement_is_replaced_and_not_adopted(hostd: Hostd) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    first = hostd.libvirt.qemu(uuid)
    write(hostd, "UPDATE machine SET epoch = epoch + 1 WHERE uuid = ?", uuid)
    until(lambda: hostd.libvirt.qemu(uuid) not in (None, first), 15, hostd.log_tail())
    hostd.wait_for("one", "running", 5)
