"""A host is emptied for maintenance while VMs run on it: none runs twice, none is lost, and none comes too soon."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

import libvirt
import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.watch import QemuWatch

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

#: Seconds for what takes hostds a round or two.
SOON = 60.0


@pytest.fixture
def cloud(wide_cloud: Cloud) -> Cloud:
    """The cloud with all its parts up: on host a run ``free``, and ``tied``, which has a disk there. Nothing boots."""
    wide_cloud.lab.mend()
    wide_cloud.wait_for_hosts(states=("up", "draining", "drained"))
    if _host(wide_cloud)["drain"]:
        _bring_back(wide_cloud)
    if "tied" not in wide_cloud.vms():
        wide_cloud.zhao("volume", "add", "data", "--pool", "pool-a", "--capacity", "16MiB", "--wait")
        disk = ["--disk", "volume=pool-a/data"]
        wide_cloud.zhao("instance", "add", "disked", "--vcpus", "1", "--memory", "16MiB", *disk)
        wide_cloud.add_vm("free")
        wide_cloud.add_vm("tied", instance="disked")
    for name in ("free", "tied"):
        row = wide_cloud.vm(name)
        if row["power"] == "on" and row["host"] != "a":
            wide_cloud.zhao("vm", "stop", name, "--force", "--wait")
            row = wide_cloud.vm(name)
        if row["power"] == "off":
            wide_cloud.zhao("vm", "start", name, "--host", "a", "--wait")
        wide_cloud.wait_for_state(name, "running", SOON)
    return wide_cloud


def _host(cloud: Cloud) -> dict[str, object]:
    """Host a, as host b shows it."""
    row: dict[str, object] = cloud.sysadm("host", "show", "a", "-o", "json", at=cloud.lab[1]).data
    return row


def _life(cloud: Cloud) -> object:
    """What host a's hostd is known by, from one start of its to the next."""
    return cloud.lab.rows("SELECT boot FROM host WHERE name = 'a'")[0][0]


def _logs(cloud: Cloud) -> str:
    return "\n".join(host.logs() for host in cloud.lab.hosts)


def _drain(cloud: Cloud, policy: str) -> None:
    cloud.sysadm("host", "drain", "a", "--policy", policy, "--yes", "--no-wait", at=cloud.lab[1])


def _bring_back(cloud: Cloud) -> None:
    cloud.sysadm("host", "undrain", "a", "--yes", at=cloud.lab[1])


def _wait_drained(cloud: Cloud, uuids: Mapping[str, str]) -> None:
    """Wait until host a is empty. These guests hear no button: what hostd waits for is done for it."""

    def empty() -> bool:
        with contextlib.suppress(libvirt.libvirtError):
            connection = cloud.lab[0].libvirt()
            for domain in connection.listAllDomains():
                if domain.UUIDString() in uuids.values():
                    domain.destroy()
            connection.close()
        return _host(cloud)["state"] == "drained"

    wait_until(empty, "an empty host", SOON, lambda: f"{_host(cloud)}\n{_logs(cloud)}")


def _wait_runs(cloud: Cloud, name: str, uuid: str, host: LabHost) -> None:
    def runs() -> bool:
        row = cloud.vm(name, at=cloud.lab[1])
        return bool(row["state"] == "running" and row["host"] == host.name and len(host.qemu_pids(uuid)) == 1)

    wait_until(runs, f"{name} on {host.name}", SOON, lambda: f"{cloud.vm(name, at=cloud.lab[1])}\n{_logs(cloud)}")


def _uuids(cloud: Cloud, *names: str) -> dict[str, str]:
    return {name: str(cloud.vm(name)["uuid"]) for name in names}


def test_what_can_move_moves_once_and_what_cannot_waits_for_its_host(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuids = _uuids(cloud, "free", "tied")
    plan = cloud.sysadm("host", "drain-plan", "a", "-o", "json").data
    assert [(vm["name"], vm["host"]) for vm in (*plan["migrate"], *plan["move"])] == [("free", "b")]
    assert [vm["name"] for vm in plan["stay"]] == ["tied"]
    before = set(a.qemu_pids())
    with QemuWatch(cloud.lab.hosts) as watch:
        _drain(cloud, "move")
        _wait_drained(cloud, uuids)
        _wait_runs(cloud, "free", uuids["free"], b)
        # Neither a new start, nor hostd's, nor libvirtd's brings anything here.
        cloud.zhao("vm", "add", "late", "--instance", "tiny")
        refused = cloud.zhao("vm", "start", "late", "--host", "a", check=False)
        assert refused.code == 1
        assert "Host a is in maintenance" in refused.err
        a.kill_hostd()
        a.kill_libvirtd()
        a.wait_for_libvirt()
        a.start_hostd()
        cloud.wait_for_hosts(states=("up", "draining", "drained"))
        time.sleep(8)  # longer than the reconciler's round and the duty's
        assert a.qemu_pids() == []
        assert _host(cloud)["state"] == "drained"
        row = cloud.vm("tied")
        assert (row["power"], row["state"], row["waits_for"]) == ("off", "off", "a")
        assert row["start_error"]
        cloud.zhao("vm", "start", "late", "--wait")
        assert cloud.vm("late")["host"] == "b"
        _bring_back(cloud)
        _wait_runs(cloud, "tied", uuids["tied"], a)
        _wait_runs(cloud, "free", uuids["free"], b)
        watch.settle()
    cloud.zhao("vm", "stop", "late", "--force", "--wait")
    cloud.zhao("vm", "delete", "late", "--yes")
    assert {watch.most[uuid] for uuid in uuids.values()} == {1}
    assert {name: len(watch.seen[uuid] - before) for name, uuid in uuids.items()} == {"free": 1, "tied": 1}


def test_what_was_stopped_outlives_a_power_cut_and_comes_back(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuids = _uuids(cloud, "free", "tied")
    _drain(cloud, "stop")
    _wait_drained(cloud, uuids)
    before = _life(cloud)
    a.crash()
    a.boot()
    a.start_hostd()
    # Until it has entered itself anew, what is shown of it may still be of its life before the cut.
    wait_until(lambda: _life(cloud) != before and _host(cloud)["state"] == "drained", "its return", SOON, a.logs)
    time.sleep(8)
    assert (a.qemu_pids(), b.qemu_pids(uuids["free"])) == ([], [])
    with QemuWatch(cloud.lab.hosts) as watch:
        _bring_back(cloud)
        for name, uuid in uuids.items():
            _wait_runs(cloud, name, uuid, a)
        watch.settle()
    assert {len(watch.seen[uuid]) for uuid in uuids.values()} == {1}
    assert _host(cloud)["waiting"] == 0


def test_a_guest_with_a_system_ends_gently(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    cloud.add_sample()
    others = _uuids(cloud, "free", "tied")
    uuid = cloud.add_vm("guest", instance="sample", host=a)
    with a.serial(uuid) as console:
        console.wait_for_shell()
        console.shell("sed -i '2i echo ENDED GENT''LY >/dev/ttyS0' /etc/acpi/PWRF/00000080")
        _drain(cloud, "move")
        console.expect("ENDED GENTLY", 60)
    _wait_drained(cloud, others)
    _wait_runs(cloud, "guest", uuid, b)
    with b.serial(uuid) as console:
        console.wait_for_shell()
    _bring_back(cloud)
    _wait_runs(cloud, "tied", others["tied"], a)
    cloud.zhao("vm", "stop", "guest", "--force", "--wait")
    cloud.zhao("vm", "delete", "guest", "--yes")


@pytest.mark.parametrize(
    ("where", "point"),
    [
        ("a", "claimed"),
        ("a", "before_stop"),
        ("a", "after_stop"),
        ("a", "before_finish"),
        ("a", "finished"),
        ("b", "claimed"),
        ("b", "before_create"),
        ("b", "after_create"),
        ("b", "before_finish"),
    ],
)
def test_hostd_dies_in_the_middle(cloud: Cloud, where: str, point: str) -> None:
    a, b = cloud.lab.hosts
    mortal = a if where == "a" else b
    uuids = _uuids(cloud, "free", "tied")
    before = set(a.qemu_pids())
    mortal.kill_hostd()
    mortal.start_hostd({"HOSTD_CRASH_AT": point})
    cloud.wait_for_hosts()
    daemon = mortal.hostd
    assert daemon is not None
    with QemuWatch(cloud.lab.hosts) as watch:
        asked = a if mortal is b else b
        cloud.sysadm("host", "drain", "a", "--policy", "move", "--yes", "--no-wait", at=asked)

        def dead() -> bool:
            with contextlib.suppress(libvirt.libvirtError):
                connection = a.libvirt()
                for domain in connection.listAllDomains():
                    # Not before hostd has asked the guest: it is at the point then, or has passed it.
                    if mortal is b or point in ("after_stop", "before_finish", "finished"):
                        domain.destroy()
                connection.close()
            return not daemon.running

        wait_until(dead, f"hostd's death at {point}", SOON, lambda: _logs(cloud))
        mortal.hostd = None
        daemon.starter.wait(10)
        mortal.start_hostd()
        _wait_drained(cloud, uuids)
        _wait_runs(cloud, "free", uuids["free"], b)
        assert cloud.vm("tied")["state"] == "off"
        _bring_back(cloud)
        _wait_runs(cloud, "tied", uuids["tied"], a)
        watch.settle()
    assert {watch.most[uuid] for uuid in uuids.values()} == {1}
    assert {name: len(watch.seen[uuid] - before) for name, uuid in uuids.items()} == {"free": 1, "tied": 1}


def test_the_database_dies_while_a_host_is_emptied(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    lab = cloud.lab
    assert lab.mariadb is not None
    uuids = _uuids(cloud, "free", "tied")
    before = set(a.qemu_pids())
    with QemuWatch(lab.hosts) as watch:
        _drain(cloud, "move")
        # The lab's server writes its log to the disk once a second only.
        time.sleep(2)
        lab.mariadb.kill()
        time.sleep(3)
        lab.start_database()
        cloud.wait_for_hosts(states=("up", "draining", "drained"))
        _wait_drained(cloud, uuids)
        _wait_runs(cloud, "free", uuids["free"], b)
        _bring_back(cloud)
        _wait_runs(cloud, "tied", uuids["tied"], a)
        watch.settle()
    assert {watch.most[uuid] for uuid in uuids.values()} == {1}
    assert {name: len(watch.seen[uuid] - before) for name, uuid in uuids.items()} == {"free": 1, "tied": 1}
