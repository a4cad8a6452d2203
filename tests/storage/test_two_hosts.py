"""Two hosts on one NFS server and one target, each with a network, files and a libvirtd of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import QEMU, LabHost
from tests.lab.lab import Lab
from tests.storage.cloud import BOOT, begins
from tests.storage.here import Here
from tests.storage.servers import (
    CHAP_PASSWORD,
    ISCSI_PORT,
    NFS4_SOURCE,
    NFS_EXPORT,
    TARGET,
    IscsiServer,
    NfsServer,
)

pytestmark = [pytest.mark.storage, pytest.mark.timeout(400)]

#: This machine, where the server is, on the network of the lab.
_SERVER = "10.77.0.253"
_CD = "device=cdrom,image=sample,bus=sata"


@pytest.fixture(scope="module")
def cloud(here: Here, nfs: NfsServer) -> Iterator[Cloud]:
    """A cloud of two hosts, with the pool ``nas`` and the sample image."""
    nfs.start()
    lab = Lab(hosts=2)
    try:
        # A cable from the lab's switch to this machine.
        here.run("ip", "link", "add", "nas0", "type", "veth", "peer", "name", "v-nas", "netns", str(lab.world.init))
        here.run(*lab.world.command(["ip", "link", "set", "v-nas", "master", "br0", "up"], ["-n"]))
        here.run("ip", "address", "add", f"{_SERVER}/24", "dev", "nas0")
        here.run("ip", "link", "set", "nas0", "up")
        cloud = Cloud(lab)
        cloud.add_sample()
        words = ["--type", "netfs", "--format", "nfs", "--server", _SERVER, "--source", NFS4_SOURCE]
        cloud.sysadm("pool", "add", "nas", *words, "--path", "/srv/nas", "--capacity", "1GiB", "--project", "web")
        yield cloud
    finally:
        lab.close()
        nfs.stop()


def test_what_one_writes_the_other_reads_and_two_never_write(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    cloud.zhao("volume", "add", "disk", "--pool", "nas", "--capacity", "16MiB", "--format", "raw", "--wait", at=a)
    shape = ["--vcpus", "1", "--memory", "128MiB", "--boot", "cdrom", "--disk", _CD]
    cloud.zhao("instance", "add", "wanders", *shape, "--disk", "volume=nas/disk")
    cloud.zhao("vm", "add", "wanderer", "--instance", "wanders")
    uuid = str(cloud.vm("wanderer")["uuid"])
    cloud.zhao("vm", "start", "wanderer", "--host", "a", "--wait", seconds=BOOT)
    with a.serial(uuid) as console:
        console.wait_for_shell(BOOT)
        console.shell("echo from-host-a >/tmp/x; dd if=/tmp/x of=/dev/vda bs=512 conv=sync,fsync", BOOT)
    assert begins(NFS_EXPORT / "disk", "from-host-a")

    # The rules refuse a second writer, and a second run of the VM.
    second = cloud.zhao("instance", "add", "second", *shape, "--disk", "volume=nas/disk", at=b, check=False)
    assert second.code != 0
    assert "wanders" in second.err
    again = cloud.zhao("vm", "start", "wanderer", "--host", "b", "--wait", at=b, check=False)
    assert again.code != 0
    assert "on already" in again.err
    # Past the rules, the image's lock: the server tells b what a's QEMU has locked.
    cloud.zhao("volume", "add", "other", "--pool", "nas", "--capacity", "1MiB", "--format", "raw", "--wait", at=b)
    cloud.zhao("instance", "add", "on-b", "--vcpus", "1", "--memory", "16MiB", "--disk", "volume=nas/other")
    cloud.add_vm("on-b", instance="on-b", host=b)
    past = b.run(
        [QEMU, "-machine", "accel=tcg", "-display", "none", "-drive", "file=/srv/nas/disk,format=raw,if=virtio"],
        check=False,
        seconds=BOOT,
    )
    assert past.code != 0
    assert 'Failed to get "write" lock' in past.err

    # The longer a file stays as it is, the longer b believes what it heard of it: that it belongs to QEMU's user. After
    # the stop it is root's again, and b has to ask.
    b.run(["sh", "-c", "for i in $(seq 20); do stat -c %u /srv/nas/disk; sleep 0.5; done"])
    cloud.zhao("vm", "stop", "wanderer", "--force", "--wait")
    cloud.zhao("vm", "start", "wanderer", "--host", "b", "--wait", seconds=BOOT)
    assert b.qemu_pids(uuid)
    assert b.run(["head", "-c", "11", "/srv/nas/disk"]).out == "from-host-a"
    for name in ("wanderer", "on-b"):
        cloud.zhao("vm", "stop", name, "--force", "--wait")
    assert {host["name"] for host in cloud.sysadm("pool", "show", "nas", "-o", "json").data["hosts"]} == {"a", "b"}


@contextmanager
def logged_in(here: Here, hosts: Sequence[LabHost]) -> Iterator[None]:
    """Both hosts have the target, by one session: to one kernel all network namespaces are one initiator."""
    node = ["iscsiadm", "--mode", "node", "--targetname", TARGET, "--portal", f"{_SERVER}:{ISCSI_PORT}"]
    here.run(*node, "--op", "new")
    account = {"authmethod": "CHAP", "username": "alice", "password": CHAP_PASSWORD}
    for name, value in account.items():
        here.run(*node, "--op", "update", "--name", f"node.session.auth.{name}", "--value", value)
    here.run(*node, "--login")
    here.run("udevadm", "settle")
    try:
        for link in Path("/dev/disk/by-path").glob(f"ip-{_SERVER}:{ISCSI_PORT}-iscsi-*"):
            disk = link.resolve()
            number = disk.stat().st_rdev
            for host in hosts:
                make = [f"mknod {disk} b {os.major(number)} {os.minor(number)}", f"mkdir -p {link.parent}"]
                host.run(["sh", "-ec", "\n".join([*make, f"ln -s {disk} {link}"])])
        yield
    finally:
        here.run(*node, "--logout")
        here.run(*node, "--op", "delete")


def test_a_unit_of_a_target_is_of_one_host_at_a_time(cloud: Cloud, here: Here, iscsi: IscsiServer) -> None:
    a, b = cloud.lab.hosts
    with logged_in(here, cloud.lab.hosts):
        words = ["--type", "iscsi", "--server", _SERVER, "--source", TARGET, "--capacity", "1GiB", "--project", "web"]
        cloud.sysadm("pool", "add", "san", *words)
        cloud.sysadm("pool", "refresh", "san", "--yes", "--wait")
        unit = cloud.zhao("volume", "list", "--filter", "pool=san", "-o", "json").data[0]["name"]
        shape = ["--vcpus", "1", "--memory", "128MiB", "--boot", "cdrom", "--disk", _CD]
        cloud.zhao("instance", "add", "units", *shape, "--disk", f"volume=san/{unit}")
        uuid = cloud.add_vm("united", instance="units", host=a)
        with a.serial(uuid) as console:
            console.wait_for_shell(BOOT)
            console.shell("echo from-host-a >/tmp/x; dd if=/tmp/x of=/dev/vda bs=512 conv=sync,fsync", BOOT)
        assert begins(iscsi.units[0], "from-host-a")

        # Below the rules there is no lock between hosts: they alone keep a second writer, and a second run, away.
        second = cloud.zhao("instance", "add", "second", *shape, "--disk", f"volume=san/{unit}", at=b, check=False)
        assert second.code != 0
        assert "units" in second.err
        again = cloud.zhao("vm", "start", "united", "--host", "b", "--wait", at=b, check=False)
        assert again.code != 0
        assert "on already" in again.err
        assert not b.qemu_pids(uuid)

        cloud.zhao("vm", "stop", "united", "--force", "--wait")
        cloud.zhao("vm", "start", "united", "--host", "b", "--wait", at=b, seconds=BOOT)
        assert b.qemu_pids(uuid)
        assert not a.qemu_pids(uuid)
        with b.serial(uuid) as console:
            console.wait_for_shell(BOOT)
            assert "from-host-a" in console.shell("head -c 11 /dev/vda", BOOT)
        cloud.zhao("vm", "stop", "united", "--force", "--wait")
