"""A project is deleted for good while hostd dies: its files and its rows go together, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import names_in
from tests.lab.lab import SAMPLE
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture
def cloud(small_cloud: Cloud) -> Cloud:
    """A cloud with a second project that has a VM, volumes and an image; hostd runs."""
    host = small_cloud.lab[0]
    if host.hostd is None:
        host.start_hostd()
    shutil.copy(SAMPLE, host.srv / "acme/keep.iso")
    shutil.copy(SAMPLE, host.srv / "acme/go.iso")
    small_cloud.zhao("volume", "add", "first", "--pool", "pool-a", "--capacity", "64MiB")
    small_cloud.zhao("volume", "add", "second", "--pool", "pool-a", "--capacity", "64MiB")
    small_cloud.zhao("image", "add", "go", "--file", "go.iso", "--format", "raw")
    small_cloud.zhao("instance", "add", "disked", "--vcpus", "1", "--memory", "16MiB", "--disk", "volume=pool-a/first")
    small_cloud.add_vm("disked-1", instance="disked", host=host)
    return small_cloud


def test_deleted_restored_and_deleted_for_good_across_deaths(cloud: Cloud) -> None:
    host = cloud.lab[0]
    refused = cloud.sysadm("project", "delete", "web", "--yes", check=False)
    assert refused.code == 1
    assert "disked-1" in refused.err
    assert "pool-a/first" in refused.err

    # Deleted: the guest is stopped, nothing is seen, the files are there.
    cloud.sysadm("project", "delete", "web", "--everything", "--yes", seconds=120)
    assert cloud.sysadm("vm", "list", "-o", "json").data == []
    assert cloud.zhao("vm", "list", check=False).code == 1
    assert not host.qemu_pids()
    assert names_in(host.srv / "pool") == ["first", "second"]

    # Restored: all is as it was, the VM off; it starts again.
    cloud.sysadm("trash", "restore", "web")
    assert cloud.vm("disked-1")["power"] == "off"
    cloud.zhao("vm", "start", "disked-1", "--wait")

    # Deleted for good, and hostd dies in the middle of each file.
    cloud.zhao("vm", "stop", "disked-1", "--force", "--wait")
    cloud.sysadm("project", "delete", "web", "--everything", "--yes", "--no-wait")
    for point in ("before_volume", "after_volume", "before_image", "after_image", "before_finish"):
        if host.hostd is not None:
            host.kill_hostd()
        host.start_hostd({"HOSTD_CRASH_AT": point})
        daemon = host.hostd
        assert daemon is not None
        if point == "before_volume":
            # It may die of it before it has answered.
            cloud.sysadm("trash", "purge", "web", "--yes", "--no-wait", check=False)
        wait_until(lambda daemon=daemon: not daemon.running or not _left(cloud), "hostd's death", 30, host.logs)
        if daemon.running:
            break
        host.hostd = None
        daemon.starter.wait(10)
    if host.hostd is None:
        host.start_hostd()
    wait_until(lambda: not cloud.sysadm("trash", "list", "-o", "json").data, "an empty trash", 60, host.logs)
    assert not _left(cloud)
    assert names_in(host.srv / "pool") == []
    assert {path.name for path in (host.srv / "acme").iterdir()} == {"keep.iso"}
    assert not host.qemu_pids()
    cloud.sysadm("pool", "delete", "pool-a", "--yes")
    cloud.sysadm("project-group", "delete", "acme", "--yes")


def _left(cloud: Cloud) -> int:
    """How many rows of the project there still are in the database."""
    tables = ("machine", "instance", "volume", "image")
    return sum(int(cloud.lab.rows(f"SELECT COUNT(*) FROM {table}")[0][0]) for table in tables)
