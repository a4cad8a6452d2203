"""Two hosts, one database: what runs where, seen from both, and what becomes of it when a host or a part goes away."""

from __future__ import annotations

import signal
import time
from typing import Any

import libvirt
import pytest

from tests.lab.cloud import SEEN, Cloud
from tests.lab.namespaces import wait_until
from tests.lab.watch import QemuWatch

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

#: Seconds until a host that fell silent is called down (Parameters.down_after), and some for a busy machine.
DOWN = 15.0


@pytest.fixture
def cloud(wide_cloud: Cloud) -> Cloud:
    """The cloud with all its parts up and a VM running on each host: web-a and web-b."""
    wide_cloud.lab.mend()
    wide_cloud.wait_for_hosts()
    shown = wide_cloud.vms()
    for host in wide_cloud.lab.hosts:
        name = f"web-{host.name}"
        row = shown.pop(name, None)
        if row is None:
            wide_cloud.add_vm(name, host=host)
        elif row["power"] == "off":
            wide_cloud.zhao("vm", "start", name, "--host", host.name, "--wait")
        elif row["state"] == "paused":
            wide_cloud.zhao("vm", "resume", name, "--wait")
        wide_cloud.wait_for_state(name, "running", 30)
    for name in shown:
        wide_cloud.zhao("vm", "delete", name, "--yes")
    return wide_cloud


def _outside(cloud: Cloud, host: int, uuid: str, what: str) -> None:
    """Do something to a domain by libvirt itself, as somebody with virsh would."""
    connection = cloud.lab[host].libvirt()
    try:
        getattr(connection.lookupByUUIDString(uuid), what)()
    finally:
        connection.close()


def test_each_host_shows_the_vms_of_both(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    for host in (a, b):
        shown = cloud.vms(at=host)
        assert {name: (row["host"], row["state"], row["power"]) for name, row in shown.items()} == {
            "web-a": ("a", "running", "on"),
            "web-b": ("b", "running", "on"),
        }
    for name, here, there in (("web-a", a, b), ("web-b", b, a)):
        uuid = cloud.vm(name)["uuid"]
        assert len(here.qemu_pids(uuid)) == 1
        assert not there.qemu_pids(uuid)


def test_a_vm_of_the_other_host_is_started_and_stopped_from_here(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = cloud.vm("web-b")["uuid"]
    cloud.zhao("vm", "stop", "web-b", "--force", "--wait", at=a)
    assert not b.qemu_pids(uuid)
    cloud.zhao("vm", "start", "web-b", "--host", "b", "--wait", at=a)
    assert len(b.qemu_pids(uuid)) == 1


def test_the_list_follows_what_happens_on_the_other_host(cloud: Cloud) -> None:
    a = cloud.lab[0]
    uuid = cloud.vm("web-b")["uuid"]
    for what, state in (("suspend", "paused"), ("resume", "running")):
        _outside(cloud, 1, uuid, what)
        cloud.wait_for_state("web-b", state, at=a)


def test_a_vm_shut_off_behind_our_back_comes_back_once(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = cloud.vm("web-b")["uuid"]
    before = b.qemu_pids(uuid)
    with QemuWatch(cloud.lab.hosts) as watch:
        _outside(cloud, 1, uuid, "destroy")
        wait_until(lambda: set(b.qemu_pids(uuid)) - set(before), "the VM's return", 10, b.logs)
        cloud.wait_for_state("web-b", "running", 5)
        watch.settle()
    assert watch.most[uuid] == 1
    assert len(watch.seen[uuid] - set(before)) == 1


def test_a_vm_that_was_stopped_stays_off(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = cloud.vm("web-b")["uuid"]
    cloud.zhao("vm", "stop", "web-b", "--force", "--wait")
    b.kill_libvirtd()
    b.kill_hostd()
    b.wait_for_libvirt()
    b.start_hostd()
    time.sleep(6)  # longer than the reconciler's round
    assert not b.qemu_pids(uuid)
    assert cloud.vm("web-b")["state"] == "off"


def test_libvirtd_killed_takes_no_vm_along(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = cloud.vm("web-b")["uuid"]
    pids = b.qemu_pids(uuid)
    b.kill_libvirtd()
    b.wait_for_libvirt()
    cloud.wait_for_state("web-b", "running", 10)
    assert b.qemu_pids(uuid) == pids
    # What happens afterwards is seen again: hostd has connected anew, and listens.
    _outside(cloud, 1, uuid, "suspend")
    cloud.wait_for_state("web-b", "paused", 5)


def test_a_host_that_lost_its_network_is_down_and_its_vms_live(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = cloud.vm("web-b")["uuid"]
    pids = b.qemu_pids(uuid)
    b.partition()
    try:
        _wait_for_host(cloud, "b", "down")
        row = _host(cloud, "b")
        assert row["age"] >= 1, "it is not said how old what is shown is"
        assert cloud.vm("web-b")["state"] == "unknown"
        assert cloud.vm("web-a")["state"] == "running"
        _refused(cloud, "vm", "start", "web-b", "--host", "b")
        assert b.qemu_pids(uuid) == pids
    finally:
        b.heal()
    _wait_for_host(cloud, "b", "up")
    cloud.wait_for_state("web-b", "running", 10)
    assert b.qemu_pids(uuid) == pids
    assert not a.qemu_pids(uuid)


def test_a_host_that_lost_its_power_is_down_and_starts_its_vms_when_it_returns(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = cloud.vm("web-b")["uuid"]
    b.crash()
    _wait_for_host(cloud, "b", "down")
    assert cloud.vm("web-b")["state"] == "unknown"
    cloud.zhao("vm", "add", "spare", "--instance", "tiny")
    refused = _refused(cloud, "vm", "start", "spare", "--host", "b")
    assert "b" in refused
    assert cloud.vm("spare")["power"] == "off"
    b.boot()
    b.start_hostd()
    _wait_for_host(cloud, "b", "up")
    wait_until(lambda: len(b.qemu_pids(uuid)) == 1, "the VM's return", 20, b.logs)
    cloud.wait_for_state("web-b", "running", 5)


def test_a_host_whose_libvirtd_is_dead_says_so(cloud: Cloud) -> None:
    b = cloud.lab[1]
    uuid = cloud.vm("web-b")["uuid"]
    pids = b.qemu_pids(uuid)
    b.kill_libvirtd(stay_down=True)
    try:
        wait_until(lambda: _host(cloud, "b")["hypervisor_error"], "the error in the host's row", DOWN, b.logs)
        assert _host(cloud, "b")["state"] == "impaired"
        assert cloud.vm("web-b")["state"] == "unknown"
        with pytest.raises(libvirt.libvirtError):
            b.libvirt()
    finally:
        b.start_libvirtd()
    wait_until(lambda: not _host(cloud, "b")["hypervisor_error"], "the end of the error", DOWN, b.logs)
    assert _host(cloud, "b")["state"] == "up"
    cloud.wait_for_state("web-b", "running", SEEN)
    assert b.qemu_pids(uuid) == pids


def test_the_database_server_dies_and_returns(cloud: Cloud) -> None:
    lab = cloud.lab
    assert lab.mariadb is not None
    pids = {host.name: host.qemu_pids() for host in lab.hosts}
    lab.mariadb.kill()
    try:
        refused = cloud.zhao("vm", "list", check=False)
        assert refused.code == 1
        assert len(refused.err.splitlines()) == 1
        assert "database" in refused.err
        time.sleep(3)
        assert {host.name: host.qemu_pids() for host in lab.hosts} == pids
    finally:
        lab.start_database()
    cloud.wait_for_hosts()
    assert {host.name: host.qemu_pids() for host in lab.hosts} == pids
    cloud.zhao("vm", "stop", "web-b", "--force", "--wait")
    assert cloud.vm("web-b")["state"] == "off"


def test_a_stop_and_a_start_that_wait_for_hostd_end_the_guest_gently(cloud: Cloud) -> None:
    b = cloud.lab[1]
    cloud.add_sample()
    uuid = cloud.add_vm("guest", instance="sample", host=b)
    (first,) = b.qemu_pids(uuid)
    with b.serial(uuid) as console:
        console.wait_for_shell()
        console.shell("sed -i '2i echo ENDED GENT''LY >/dev/ttyS0' /etc/acpi/PWRF/00000080")
        b.kill_hostd()
        # In the seconds until b is called down, as when its hostd is restarted.
        cloud.zhao("vm", "stop", "guest", "--no-wait")
        cloud.zhao("vm", "start", "guest", "--no-wait")
        b.start_hostd()
        console.expect("ENDED GENTLY", 60)
    wait_until(lambda: b.qemu_pids(uuid) not in ([], [first]), "the new run", 40, b.logs)
    cloud.wait_for_state("guest", "running", 20)
    tasks = cloud.zhao("task", "list", "--filter", f"target={uuid}", "--sort", "-created", "--limit", "2", "-o", "json")
    assert [(task["kind"], task["state"]) for task in tasks.data] == [
        ("machine.start", "done"),
        ("machine.stop", "done"),
    ], b.logs()
    # The other way round: what was ordered last holds.
    b.kill_hostd()
    cloud.zhao("vm", "stop", "guest", "--no-wait")
    cloud.zhao("vm", "start", "guest", "--no-wait")
    cloud.zhao("vm", "stop", "guest", "--force", "--no-wait")
    b.start_hostd()
    wait_until(lambda: not b.qemu_pids(uuid), "the end", 40, b.logs)
    cloud.wait_for_state("guest", "off", 20)

    def still_open() -> list[Any]:
        listed = cloud.zhao("task", "list", "--filter", f"target={uuid}", "-o", "json")
        return [task for task in listed.data if task["state"] in ("queued", "running")]

    wait_until(lambda: not still_open(), "the end of all its tasks", 30, lambda: f"{still_open()}\n{b.logs()}")


@pytest.mark.parametrize("copied", ["settings", "settings and state"])
def test_settings_copied_to_a_second_machine_do_not_make_it_the_same_host(cloud: Cloud, copied: str) -> None:
    a, b = cloud.lab.hosts
    b.kill_hostd(signal.SIGTERM)
    before = _host(cloud, "a")
    uuid = cloud.vm("web-a")["uuid"]
    pids = a.qemu_pids(uuid)
    settings, runs = b.home / "dosvm.toml", b.home / "state/runs.json"
    own = settings.read_text(), runs.read_text()
    settings.write_text(own[0].replace(b.uuid, a.uuid))
    if copied == "settings and state":
        runs.write_text((a.home / "state/runs.json").read_text())
    try:
        b.start_hostd(wait=False)
        assert b.hostd is not None
        wait_until(lambda: b.hostd is not None and not b.hostd.running, "the end of the copy", 40, b.logs)
        assert "Another hostd works as this very host a already (from 10.77.0.1)." in b.logs()
        assert "delete its line host_uuid" in b.logs()
    finally:
        settings.write_text(own[0])
        runs.write_text(own[1])
    after = _host(cloud, "a")
    assert (after["state"], after["address"], after["created"]) == ("up", before["address"], before["created"])
    assert a.hostd is not None
    assert a.hostd.running
    assert a.qemu_pids(uuid) == pids
    assert not b.qemu_pids(uuid)
    b.start_hostd()
    _wait_for_host(cloud, "b", "up")
    cloud.wait_for_state("web-b", "running", 20)


def _host(cloud: Cloud, name: str) -> dict[str, object]:
    row: dict[str, object] = cloud.sysadm("host", "show", name, "-o", "json").data
    return row


def _wait_for_host(cloud: Cloud, name: str, state: str) -> None:
    wait_until(lambda: _host(cloud, name)["state"] == state, f"host {name} {state}", DOWN, cloud.lab[0].logs)


def _refused(cloud: Cloud, *words: str) -> str:
    """A command that must be refused by one sentence; that sentence."""
    answer = cloud.zhao(*words, check=False)
    assert answer.code == 1, str(answer)
    assert len(answer.err.splitlines()) == 1, str(answer)
    assert "Traceback" not in answer.err
    return answer.err
