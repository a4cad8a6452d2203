"""Two hosts on one NFS server and one target, each with a network, files and a libvirtd of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import QEMU
from tests.lab.lab import Lab
from tests.lab.namespaces import wait_until
from tests.storage.cloud import BOOT, begins
from tests.storage.here import Here
from tests.storage.initiators import NAME, initiators, own_initiators
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


def test_a_unit_of_a_target_is_of_one_host_at_a_time(cloud: Cloud, iscsi: IscsiServer) -> None:
    a, b = cloud.lab.hosts
    both = {NAME.format(host.name) for host in (a, b)}
    with own_initiators(cloud.lab.hosts, f"{_SERVER}:{ISCSI_PORT}"):
        (a.home / "value").write_text(CHAP_PASSWORD + "\n")
        secret = ["--display-name", "chap", "--kind", "iscsi", "--usage", "chap"]
        cloud.sysadm("secret", "add", "chap", *secret, "--value-file", str(a.home / "value"))
        words = ["--type", "iscsi", "--server", _SERVER, "--source", TARGET, "--capacity", "1GiB", "--project", "web"]
        cloud.sysadm("pool", "add", "san", *words, "--account", "alice", "--secret", "chap", "--wait")
        assert len(initiators(TARGET)) == 1, "one host has it so far"
        cloud.sysadm("pool", "refresh", "san", "--yes", "--wait")
        units = [row["name"] for row in cloud.zhao("volume", "list", "--filter", "pool=san", "-o", "json").data]
        assert len(units) == 2
        shape = ["--vcpus", "1", "--memory", "128MiB", "--boot", "cdrom", "--disk", _CD]
        cloud.zhao("instance", "add", "units", *shape, "--disk", f"volume=san/{units[0]}")
        uuid = cloud.add_vm("united", instance="units", host=a)
        with a.serial(uuid) as console:
            console.wait_for_shell(BOOT)
            console.shell("echo from-host-a >/tmp/x; dd if=/tmp/x of=/dev/vda bs=512 conv=sync,fsync", BOOT)
            assert begins(iscsi.units[0], "from-host-a")

            # The other unit is used by the other host, which logs in by its own name, and out again.
            cloud.zhao(
                "instance", "add", "beside", "--vcpus", "1", "--memory", "16MiB", "--disk", f"volume=san/{units[1]}"
            )
            beside = cloud.add_vm("beside", instance="beside", host=b)
            assert b.qemu_pids(beside)
            assert initiators(TARGET) == both

            # Below the rules there is no lock between hosts: they alone keep a second writer, and a second run, away.
            second = cloud.zhao(
                "instance", "add", "second", *shape, "--disk", f"volume=san/{units[0]}", at=b, check=False
            )
            assert second.code != 0
            assert "units" in second.err
            again = cloud.zhao("vm", "start", "united", "--host", "b", "--wait", at=b, check=False)
            assert again.code != 0
            assert "on already" in again.err
            assert not b.qemu_pids(uuid)

            cloud.zhao("vm", "stop", "beside", "--force", "--wait")
            b.run(["iscsiadm", "--mode", "node", "--targetname", TARGET, "--logout"])
            assert initiators(TARGET) == {NAME.format("a")}
            console.shell("echo still-host-a >/tmp/x; dd if=/tmp/x of=/dev/vda bs=512 conv=sync,fsync", BOOT)
            assert begins(iscsi.units[0], "still-host-a")

        cloud.zhao("vm", "stop", "united", "--force", "--wait")
        cloud.zhao("vm", "start", "united", "--host", "b", "--wait", at=b, seconds=BOOT)
        assert initiators(TARGET) == both
        assert b.qemu_pids(uuid)
        assert not a.qemu_pids(uuid)
        with b.serial(uuid) as console:
            console.wait_for_shell(BOOT)
            assert "still-host-a" in console.shell("head -c 12 /dev/vda", BOOT)
        cloud.remove_vms()
        for name in ("units", "beside"):
            cloud.zhao("instance", "delete", name, "--yes")
        for unit in units:
            cloud.sysadm("volume", "delete", f"san/{unit}", "--yes", "--wait")
        cloud.sysadm("pool", "delete", "san", "--yes", "--wait")
        # The other host hears of it.
        left = ["grep", "-r", CHAP_PASSWORD, "/etc/iscsi"]
        wait_until(
            lambda: not initiators(TARGET) and all(host.run(left, check=False).code == 1 for host in (a, b)),
            "both let go of the target, and of its password", 60,
            lambda: f"{initiators(TARGET)} {[host.run(left, check=False).out for host in (a, b)]}",
        )  # fmt: skip
