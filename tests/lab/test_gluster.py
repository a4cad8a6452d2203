"""Pools on GlusterFS, replicated over three hosts: as a network file system, and as the directory that all share."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.namespaces import wait_until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("glusterd") is None, reason="GlusterFS is not installed"),
]

SOON = 90.0


def _succeeds(host: LabHost, words: list[str]) -> bool:
    return host.run(words, check=False).code == 0


def serve(hosts: list[LabHost]) -> None:
    """A volume ``gv`` of three bricks, one on each host, as an administrator sets it up."""
    for host in hosts:
        for place in ("/var/lib/glusterd", "/run/gluster", "/srv/brick"):
            host.run(["mkdir", "-p", place])
        host.run(["glusterd"])
    first = hosts[0]
    for host in hosts[1:]:
        probe = ["gluster", "peer", "probe", host.name]
        wait_until(partial(_succeeds, first, probe), f"the peer {host.name}", SOON)

    def connected() -> bool:
        return first.run(["gluster", "pool", "list"]).out.count("Connected") == len(hosts)

    wait_until(connected, "all peers", SOON)
    bricks = [f"{host.name}:/srv/brick" for host in hosts]
    first.run(["gluster", "--mode=script", "volume", "create", "gv", "replica", "3", *bricks, "force"])
    first.run(["gluster", "--mode=script", "volume", "start", "gv"])


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Three hosts that serve GlusterFS to each other."""
    lab = Lab(hosts=3)
    try:
        cloud = Cloud(lab)
        cloud.add_sample()
        serve(lab.hosts)
        yield cloud
    finally:
        lab.close()


def pool(cloud: Cloud, name: str) -> dict[str, object]:
    row: dict[str, object] = cloud.sysadm("pool", "show", name, "-o", "json").data
    return row


def boot(cloud: Cloud, name: str, volume: str, host: LabHost) -> str:
    """A VM that boots from the CD with a volume as its disk; its UUID."""
    disks = ["--disk", "device=cdrom,image=sample,bus=sata", "--disk", f"volume={volume}"]
    cloud.zhao("instance", "add", name, "--vcpus", "1", "--memory", "128MiB", "--boot", "cdrom", *disks)
    return cloud.add_vm(name, instance=name, host=host)


def test_a_guest_goes_on_when_a_brick_is_killed(cloud: Cloud) -> None:
    a, b, _c = cloud.lab.hosts
    place = ["--server", "a", "--source", "gv", "--path", "/srv/gnet", "--capacity", "1GiB", "--project", "web"]
    cloud.sysadm("pool", "add", "gnet", "--type", "netfs", "--format", "glusterfs", *place)
    cloud.zhao("volume", "add", "disk", "--pool", "gnet", "--capacity", "16MiB", "--format", "qcow2", "--wait")
    uuid = boot(cloud, "gluster", "gnet/disk", b)
    with b.serial(uuid) as console:
        console.wait_for_shell()
        console.shell("echo before >/tmp/x; dd if=/tmp/x of=/dev/vda conv=fsync")
        for pid in a.world.processes("glusterfsd"):
            os.kill(pid, signal.SIGKILL)
        console.shell("echo after- >/tmp/x; dd if=/tmp/x of=/dev/vda seek=1 conv=fsync", SOON)
    assert cloud.vm("gluster")["state"] == "running"
    assert pool(cloud, "gnet")["state"] == "active"
    cloud.zhao("vm", "stop", "gluster", "--force", "--wait")
    a.run(["gluster", "--mode=script", "volume", "start", "gv", "force"])
    cloud.zhao("vm", "start", "gluster", "--host", "a", "--wait")
    with a.serial(str(uuid)) as console:
        console.wait_for_shell()
        read = console.shell("dd if=/dev/vda bs=512 count=2 | strings")
        assert "before" in read
        assert "after-" in read
    cloud.zhao("vm", "stop", "gluster", "--force", "--wait")


def test_after_a_power_cut_it_is_mounted_again_when_it_is_needed(cloud: Cloud) -> None:
    b = cloud.lab[1]
    assert "/srv/gnet" in b.run(["cat", "/proc/mounts"]).out
    b.crash()
    b.boot()
    b.run(["glusterd"])
    b.start_hostd()
    cloud.wait_for_hosts()
    cloud.zhao("vm", "start", "gluster", "--host", "b", "--wait", seconds=SOON)
    cloud.zhao("vm", "stop", "gluster", "--force", "--wait")


def test_a_directory_on_it_is_one_that_all_hosts_share(cloud: Cloud) -> None:
    for host in cloud.lab.hosts:
        host.run(["mkdir", "-p", "/srv/dpfs"])
        host.run(["mount", "-t", "glusterfs", f"{host.name}:/gv", "/srv/dpfs"])
    place = ["--path", "/srv/dpfs/vm", "--capacity", "1GiB", "--project", "web"]
    cloud.sysadm("pool", "add", "dpfs", "--type", "dos", *place)
    for host in cloud.lab.hosts:
        name = f"on-{host.name}"
        cloud.zhao("volume", "add", name, "--pool", "dpfs", "--capacity", "4MiB", "--format", "raw", "--wait", at=host)
    uuid = boot(cloud, "shared", "dpfs/on-a", cloud.lab[2])
    assert cloud.lab[2].qemu_pids(uuid)
    cloud.zhao("vm", "stop", "shared", "--force", "--wait")
    assert {host["name"] for host in pool(cloud, "dpfs")["hosts"]} >= {"c"}  # type: ignore[attr-defined, index]


def test_what_is_wrong_is_said_and_nothing_waits(cloud: Cloud) -> None:
    words = ["--type", "netfs", "--format", "glusterfs", "--path", "/srv/bad", "--capacity", "1GiB"]
    silent = cloud.sysadm("pool", "add", "bad", *words, "--server", "10.255.255.1", "--source", "gv", check=False)
    assert silent.code != 0
    assert "does not answer" in silent.err
    missing = cloud.sysadm(
        "pool", "add", "bad", *words, "--server", "a", "--source", "nosuch", check=False, seconds=150
    )
    assert missing.code != 0
    assert "nosuch" in missing.err
    assert "bad" not in {row["name"] for row in cloud.sysadm("pool", "list", "-o", "json").data}
