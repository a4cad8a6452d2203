"""A pool on a directory that all hosts share: any of them works on it, a VM's disk is where the VM is."""

from __future__ import annotations

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

SOON = 90.0
_PLACE = "/srv/dpfs"


def mount(cloud: Cloud, host: LabHost) -> None:
    """Mount what all hosts share, as an administrator would."""
    shared = cloud.lab.root / "dpfs"
    shared.mkdir(exist_ok=True)
    host.run(["mkdir", "-p", _PLACE])
    host.run(["mount", "--bind", str(shared), _PLACE])


def shown(cloud: Cloud, name: str = "dpfs") -> dict[str, object]:
    row: dict[str, object] = cloud.sysadm("pool", "show", name, "-o", "json").data
    return row


def has(host: LabHost) -> bool:
    """Whether the host's libvirtd has the pool ``dpfs``."""
    connection = host.libvirt()
    try:
        return any(pool.name().startswith("dpfs-") for pool in connection.listAllStoragePools())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def cloud(wide_cloud: Cloud) -> Cloud:
    """Two hosts that share /srv/dpfs, with the pool ``dpfs`` on it and a VM that can boot from a CD."""
    wide_cloud.lab.mend()
    wide_cloud.wait_for_hosts()
    for host in wide_cloud.lab.hosts:
        mount(wide_cloud, host)
    place = ["--path", f"{_PLACE}/vm", "--capacity", "1GiB", "--project", "web"]
    wide_cloud.sysadm("pool", "add", "dpfs", "--type", "dos", *place)
    wide_cloud.add_sample()
    return wide_cloud


def test_a_disk_in_it_is_written_on_one_host_and_read_on_the_other(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    assert shown(cloud)["host"] == ""
    cloud.zhao("volume", "add", "disk", "--pool", "dpfs", "--capacity", "16MiB", "--format", "qcow2", "--wait")
    disks = ["--disk", "device=cdrom,image=sample,bus=sata", "--disk", "volume=dpfs/disk"]
    cloud.zhao("instance", "add", "wanders", "--vcpus", "1", "--memory", "128MiB", "--boot", "cdrom", *disks)
    uuid = cloud.add_vm("wanderer", instance="wanders", host=a)
    with a.serial(uuid) as console:
        console.wait_for_shell()
        console.shell("echo from-host-a >/tmp/x; dd if=/tmp/x of=/dev/vda conv=fsync")
    cloud.zhao("vm", "stop", "wanderer", "--force", "--wait")
    cloud.zhao("vm", "start", "wanderer", "--host", "b", "--wait")
    with b.serial(uuid) as console:
        console.wait_for_shell()
        assert "from-host-a" in console.shell("dd if=/dev/vda bs=16 count=1")
    cloud.zhao("vm", "stop", "wanderer", "--force", "--wait")
    assert [host["name"] for host in shown(cloud)["hosts"]] == ["a", "b"]  # type: ignore[attr-defined]


def test_where_it_is_not_mounted_nothing_is_made_and_the_pool_says_so(cloud: Cloud) -> None:
    b = cloud.lab[1]
    cloud.zhao("vm", "start", "wanderer", "--host", "b", "--wait")
    cloud.zhao("vm", "stop", "wanderer", "--force", "--wait")
    b.run(["umount", _PLACE])
    b.run(["mkdir", "-p", f"{_PLACE}/vm"])
    refused = cloud.zhao("vm", "start", "wanderer", "--host", "b", "--wait", check=False)
    assert refused.code != 0
    assert "/srv/dpfs/vm" in refused.err
    said = str(shown(cloud)["error"])
    assert "/srv/dpfs/vm" in said
    # It is no reason not to run where it is mounted.
    cloud.zhao("volume", "add", "more", "--pool", "dpfs", "--capacity", "1MiB", "--format", "raw", "--wait")
    assert (cloud.lab.root / "dpfs/vm/more").exists()
    assert not any((b.srv / "dpfs/vm").iterdir())
    cloud.zhao("vm", "stop", "wanderer", "--force", "--wait", check=False)
    cloud.zhao("vm", "start", "wanderer", "--wait")
    assert cloud.vm("wanderer")["host"] == "a"
    cloud.zhao("vm", "stop", "wanderer", "--force", "--wait")
    (b.srv / "dpfs/vm").rmdir()
    mount(cloud, b)
    cloud.zhao("vm", "start", "wanderer", "--host", "b", "--wait")
    cloud.zhao("vm", "stop", "wanderer", "--force", "--wait")
    assert not shown(cloud)["error"]


def test_another_host_goes_on_where_one_dies(cloud: Cloud) -> None:
    a = cloud.lab[0]
    b = cloud.lab[1]
    row = cloud.zhao("volume", "show", "dpfs/disk", "-o", "json").data
    assert row["state"] == "present"
    for host, other, name in ((a, b, "first"), (b, a, "second")):
        host.kill_hostd()
        words = ["volume", "add", name, "--pool", "dpfs", "--capacity", "4MiB", "--format", "qcow2"]
        cloud.zhao(*words, "--wait", at=other, seconds=SOON)
        assert (cloud.lab.root / f"dpfs/vm/{name}").exists()
        host.start_hostd()
        cloud.wait_for_hosts()


def test_who_was_away_while_it_was_deleted_lets_go_of_it(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    assert has(a)
    assert has(b)
    cloud.zhao("vm", "delete", "wanderer", "--yes")
    cloud.zhao("instance", "delete", "wanders", "--yes")
    for name in ("disk", "more", "first", "second"):
        cloud.zhao("volume", "delete", f"dpfs/{name}", "--yes", "--wait")
    b.kill_hostd()
    cloud.sysadm("pool", "delete", "dpfs", "--yes", "--wait", seconds=SOON)
    assert not has(a)
    assert has(b)
    b.start_hostd()
    wait_until(lambda: not has(b), "b lets go of the pool", SOON, b.logs)
    assert list((cloud.lab.root / "dpfs/vm").iterdir()) == []
