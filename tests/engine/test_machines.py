"""VMs do what they are told, and stay as they were told to be."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import libvirt
import pytest

from core.errors import from_wire
from tests.engine.hostd import Hostd, on_host, refused, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture
def domain(hostd: Hostd) -> Callable[[str], Any]:
    """Looks a domain up in libvirt, past DOSVM; None when it does not run."""
    connection = libvirt.open(hostd.libvirt.url)

    def look(uuid: str) -> Any:
        try:
            return connection.lookupByUUIDString(uuid)
        except libvirt.libvirtError:
            return None

    return look


def test_a_vm_is_started_told_what_to_do_and_stopped(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one", graphics=[{"type": "vnc"}])
    hostd.done("vm.start", vm="one")
    row = hostd.vm("one")
    assert (row["state"], row["power"], row["accelerator"], row["start_error"]) == ("running", "on", "tcg", "")
    assert row["vnc_port"] >= 5900
    assert row["started"]
    assert domain(uuid).isPersistent() == 0
    hostd.done("vm.suspend", vm="one")
    assert hostd.vm("one")["state"] == "paused"
    hostd.done("vm.resume", vm="one")
    assert hostd.vm("one")["state"] == "running"
    hostd.done("vm.reset", vm="one")
    hostd.done("vm.reboot", vm="one")
    hostd.done("vm.stop", vm="one", force=True)
    row = hostd.vm("one")
    assert (row["state"], row["power"], row["vnc_port"], row["host"]) == ("off", "off", None, "")
    assert domain(uuid) is None


def test_a_vm_shut_off_behind_our_back_comes_back(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    first = domain(uuid).ID()
    domain(uuid).destroy()
    until(lambda: domain(uuid) is not None and domain(uuid).ID() != first, 5, hostd.log_tail())
    hostd.wait_for("one", "running", 3)


def test_a_qemu_that_dies_comes_back(hostd: Hostd) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    pid = hostd.libvirt.qemu(uuid)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: hostd.libvirt.qemu(uuid) not in (None, pid), 8, hostd.log_tail())


def test_what_is_done_by_virsh_is_shown_within_a_second(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    domain(uuid).suspend()
    assert hostd.wait_for("one", "paused", 3) < 1.5
    domain(uuid).resume()
    assert hostd.wait_for("one", "running", 3) < 1.5


def test_a_vm_that_was_stopped_stays_off(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    hostd.done("vm.stop", vm="one", force=True)
    time.sleep(6)
    assert domain(uuid) is None
    assert hostd.vm("one")["state"] == "off"


def test_a_vm_that_should_be_off_and_is_started_by_hand_is_stopped(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    description = domain(uuid).XMLDesc()
    hostd.done("vm.stop", vm="one", force=True)
    connection = libvirt.open(hostd.libvirt.url)
    connection.createXML(description)
    # It has nothing to boot and does not hear the power button, so it is asked for a minute.
    hostd.wait_for("one", "stopping", 8)


def test_who_forces_a_stop_does_not_wait_for_a_gentle_one(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    gentle = hostd.zhao("vm.stop", vm="one")
    hostd.wait_for("one", "stopping", 3)
    begin = time.monotonic()
    hostd.done("vm.stop", vm="one", force=True)
    assert time.monotonic() - begin < 30  # a gentle stop takes a minute
    assert hostd.task(gentle)["state"] == "done"
    assert domain(uuid) is None


def test_kill_9_of_hostd_touches_no_vm_and_it_finds_them_again(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    pid = hostd.libvirt.qemu(uuid)
    hostd.kill()
    assert hostd.libvirt.qemu(uuid) == pid
    domain(uuid).suspend()
    hostd.start()
    hostd.wait_for("one", "paused", 10)
    assert hostd.libvirt.qemu(uuid) == pid


def test_a_vm_that_dies_while_hostd_is_dead_is_started_again(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    hostd.kill()
    domain(uuid).destroy()
    hostd.start()
    until(lambda: domain(uuid) is not None, 10, hostd.log_tail())


def test_kill_9_of_libvirtd_touches_no_vm_and_is_survived(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    pid = hostd.libvirt.qemu(uuid)
    hostd.libvirt.kill(stay_down=True)
    try:
        # Nobody can say what it does: within a second, it is not said that it runs.
        until(lambda: hostd.vm("one")["state"] == "unknown", 3)
        row = hostd.vm("one")
        assert (bool(row["host_error"]), row["cpu_percent"], row["power"]) == (True, None, "on")
    finally:
        hostd.libvirt.release()
    hostd.libvirt.wait()
    hostd.wait_for("one", "running", 20)
    assert hostd.libvirt.qemu(uuid) == pid
    hostd.done("vm.suspend", vm="one")
    assert hostd.vm("one")["state"] == "paused"


def test_libvirtd_away_is_said_and_what_was_asked_happens_when_it_is_back(hostd: Hostd) -> None:
    hostd.machine("one")
    hostd.libvirt.kill(stay_down=True)
    try:
        until(lambda: hostd.admin("host.list")["rows"][0]["hypervisor_error"], 10)
        assert "systemctl restart libvirtd" in refused(lambda: _start_now(hostd)).text()
        assert hostd.admin("host.list")["rows"][0]["state"] == "impaired"
        assert hostd.admin("cloud.here")["hypervisor_error"]
    finally:
        hostd.libvirt.release()
    until(lambda: not hostd.admin("host.list")["rows"][0]["hypervisor_error"], 15)
    if hostd.vm("one")["power"] == "on":
        hostd.wait_for("one", "running", 20)


def test_virtlogd_away_is_said_by_its_name_and_libvirtd_is_not_blamed(hostd: Hostd) -> None:
    hostd.machine("one")
    for pid in hostd.libvirt.processes("virtlogd"):
        os.kill(pid, signal.SIGKILL)
    try:
        row = hostd.task(hostd.zhao("vm.start", vm="one"), seconds=40)
        assert row["state"] == "failed"
        assert "systemctl start virtlogd" in hostd.error(row)
        assert not hostd.admin("host.list")["rows"][0]["hypervisor_error"]
    finally:
        subprocess.run(hostd.libvirt.command(["virtlogd", "-d"]), check=True)
    hostd.wait_for("one", "running", 30)


def _start_now(hostd: Hostd) -> None:
    """Start it; the reason of a failed task is raised like that of a refused operation."""

    row = hostd.task(hostd.zhao("vm.start", vm="one"), seconds=40)
    if row["state"] == "failed":
        error = row["error"]
        raise from_wire(error if isinstance(error, dict) else {"code": "error", "message": error, "parameters": {}})


def test_a_volume_that_vanished_is_said_and_the_vm_starts_when_it_is_back(hostd: Hostd) -> None:
    hostd.done("volume.add", name="disk", pool="local", capacity=32 << 20, format="qcow2")
    file = hostd.home / "pool" / "disk"
    hostd.machine("one", disks=[{"volume": "local/disk"}])
    moved = file.rename(file.with_name("elsewhere"))
    row = hostd.task(hostd.zhao("vm.start", vm="one"))
    assert row["state"] == "failed"
    assert str(file) in hostd.error(row)
    shown = hostd.vm("one")
    assert (shown["power"], shown["state"]) == ("on", "failed")
    assert str(file) in str(shown["start_error"])
    moved.rename(file)
    hostd.wait_for("one", "running", 25)
    assert not hostd.vm("one")["start_error"]
    hostd.clean()
    hostd.done("volume.delete", volume="local/disk")


def test_qemus_user_runs_it_below_a_closed_home(hostd: Hostd) -> None:
    hostd.done("volume.add", name="disk", pool="local", capacity=32 << 20, format="raw")
    uuid = hostd.machine("one", disks=[{"volume": "local/disk"}])
    hostd.done("vm.start", vm="one")
    pid = hostd.libvirt.qemu(uuid)
    assert pid is not None
    assert os.stat(f"/proc/{pid}").st_uid != 0
    assert hostd.home.stat().st_mode & 0o007 == 0
    assert str(hostd.home) in (hostd.home / "state/access.log").read_text()
    hostd.clean()
    hostd.done("volume.delete", volume="local/disk")


def test_one_stuck_qemu_delays_nobody(hostd: Hostd) -> None:
    """SIGSTOP one QEMU: the other VM's samples and orders go on; the stuck one can still be switched off."""
    stuck, fine = hostd.machine("stuck"), hostd.machine("fine")
    for name in ("stuck", "fine"):
        hostd.done("vm.start", vm=name)
    pid = hostd.libvirt.qemu(stuck)
    assert pid is not None
    until(lambda: hostd.zhao("vm.samples", vm="fine")["samples"], 20)
    os.kill(pid, signal.SIGSTOP)
    try:
        suspend = hostd.zhao("vm.suspend", vm="stuck")
        last = hostd.zhao("vm.samples", vm="fine")["samples"][-1]["at"]
        for _ in range(5):
            hostd.done("vm.suspend", vm="fine")
            hostd.done("vm.resume", vm="fine")
        assert hostd.zhao("task.show", task=suspend["task"])["state"] == "running"
        until(lambda: hostd.zhao("vm.samples", vm="fine", since=last)["samples"], 12)
        assert hostd.task(suspend, seconds=60)["state"] == "failed"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert hostd.libvirt.qemu(fine) is not None


def test_the_database_may_be_away_for_a_while(hostd: Hostd, domain: Callable[[str], Any]) -> None:
    uuid = hostd.machine("one")
    hostd.done("vm.start", vm="one")
    with hostd.without_database():
        domain(uuid).destroy()
        time.sleep(3)
        # Nothing can be confirmed, so nothing is done.
        assert domain(uuid) is None
        assert "database" in refused(lambda: hostd.vm("one")).text().lower()
    until(lambda: domain(uuid) is not None, 15, hostd.log_tail())
    hostd.wait_for("one", "running", 10)


def test_an_image_is_used_by_an_overlay_that_goes_with_the_run(hostd: Hostd) -> None:
    base = hostd.home / "acme" / "base.qcow2"
    os.system(f"qemu-img create -q -f qcow2 {base} 64M")
    hostd.done("image.add", name="base", file="base.qcow2", format="qcow2")
    before = base.read_bytes()
    uuid = hostd.machine("one", disks=[{"image": "base"}])
    hostd.done("vm.start", vm="one")
    overlays = list((hostd.home / "tmp").glob(f"{uuid}-*"))
    assert len(overlays) == 1
    hostd.done("vm.stop", vm="one", force=True)
    assert not overlays[0].exists()
    assert base.read_bytes() == before
    hostd.clean()
    hostd.done("image.delete", image="base")
    assert not base.exists()


def test_what_is_mounted_over_temporary_files_is_no_pool_and_said_to_hide_them(hostd: Hostd) -> None:
    """A refresh of the pool took what a running VM writes for a volume, and nobody said what was left beneath."""
    base, place = hostd.home / "acme" / "base.qcow2", hostd.home / "tmp"
    os.system(f"qemu-img create -q -f qcow2 {base} 64M")
    hostd.done("image.add", name="base", file="base.qcow2", format="qcow2")
    uuids = [hostd.machine(name, disks=[{"image": "base"}]) for name in ("one", "two")]
    hostd.done("vm.start", vm="one")
    hidden = place / f"{uuids[0]}-0.qcow2"
    assert hidden.exists()
    on_host(hostd, "mount", "--bind", str(hostd.home / "pool"), str(place))
    try:
        row = hostd.task(hostd.zhao("vm.start", vm="two"))
        assert row["state"] == "failed"
        assert from_wire(row["error"]).text().startswith(f"{place} overlaps with the directory of storage pool local")
        until(lambda: hostd.admin("host.list")["rows"][0]["temporary_error"], 10, "the host's row says it")
        assert not list((hostd.home / "pool").glob("*.qcow2"))
        hostd.done("vm.stop", vm="two", force=True)
    finally:
        on_host(hostd, "umount", str(place))
    until(lambda: not hostd.admin("host.list")["rows"][0]["temporary_error"], 20, "it is unmounted")
    on_host(hostd, "mount", "-t", "tmpfs", "none", str(place))
    try:
        hostd.done("vm.start", vm="two")
        assert "another directory has the name of temporary files" in hostd.log_tail()
        assert on_host(hostd, "ls", str(place)).split() == [f"{uuids[1]}-0.qcow2"]
        for name in ("one", "two"):
            hostd.done("vm.stop", vm=name, force=True)
        assert on_host(hostd, "ls", str(place)) == ""
        assert str(hidden) in next(line for line in hostd.log_tail().splitlines() if "stays beneath" in line)
    finally:
        on_host(hostd, "umount", str(place))
    assert hidden.exists()
    hidden.unlink()
    hostd.clean()
    hostd.done("image.delete", image="base")
