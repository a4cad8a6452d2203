"""A start that libvirtd does not answer: QEMU may come up yet, so the VM runs nowhere else until that is known."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tests.lab.watch import QemuWatch

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

#: Seconds until hostd has found out that libvirtd does not answer, waited for it, and given a start up.
GIVEN_UP = 60.0


@pytest.fixture
def cloud(wide_cloud: Cloud) -> Iterator[Cloud]:
    """Two hosts without VMs."""
    wide_cloud.lab.mend()
    wide_cloud.wait_for_hosts()
    wide_cloud.remove_vms()
    yield wide_cloud
    wide_cloud.lab.mend()


@contextmanager
def stopped_in_the_middle_of_a_start(cloud: Cloud, name: str, host: LabHost) -> Iterator[str]:
    """libvirtd of a host stands still while it starts a VM; at the end of the block it goes on. The VM's UUID."""
    uuid = cloud.add_vm(name)
    daemons = list(host.world.processes("libvirtd"))
    cloud.zhao("vm", "start", name, "--host", host.name, "--no-wait")
    wait_until(lambda: host.qemu_pids(uuid), "QEMU", 20, host.logs)
    for pid in daemons:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert cloud.vm(name)["state"] == "starting", "it was answered before"
        yield uuid
    finally:
        for pid in daemons:
            with suppress(ProcessLookupError):  # it was killed
                os.kill(pid, signal.SIGCONT)


def told(cloud: Cloud, name: str) -> None:
    """Wait until the start is given up, and the VM's state is not known; before that nothing is known of any there."""
    wait_until(lambda: "libvirt" in str(cloud.vm(name)["start_error"]), "the start's error", GIVEN_UP)
    assert cloud.vm(name)["state"] == "unknown"


def refused_elsewhere(cloud: Cloud, name: str, host: LabHost) -> None:
    refused = cloud.zhao("vm", "start", name, "--host", host.name, "--wait", check=False)
    assert refused.code != 0
    assert f"may still run on another host than {host.name}" in refused.err


def test_it_is_started_nowhere_else_and_comes_up_once(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    with QemuWatch(cloud.lab.hosts) as watch:
        with stopped_in_the_middle_of_a_start(cloud, "late", a) as uuid:
            told(cloud, "late")
            refused_elsewhere(cloud, "late", b)
        cloud.wait_for_state("late", "running", 30)
        watch.settle(2.0)
    assert watch.most == {uuid: 1}
    row = cloud.vm("late")
    assert (row["host"], row["power"], row["start_error"]) == ("a", "on", "")


def test_one_that_is_switched_off_meanwhile_stays_off_and_may_go_elsewhere_then(cloud: Cloud) -> None:
    """hostd is killed as well: the next one knows that the answer is still to come."""
    a, b = cloud.lab.hosts
    with QemuWatch(cloud.lab.hosts) as watch:
        with stopped_in_the_middle_of_a_start(cloud, "off", a) as uuid:
            told(cloud, "off")
            cloud.zhao("vm", "stop", "off", "--force", "--no-wait", at=b)
            a.kill_hostd()
            a.start_hostd()
            time.sleep(5)
            refused_elsewhere(cloud, "off", b)
        cloud.wait_for_state("off", "off", 60)
        assert not a.qemu_pids(uuid)
        cloud.zhao("vm", "start", "off", "--host", "b", "--wait")
        watch.settle(2.0)
    assert watch.most == {uuid: 1}
    assert b.qemu_pids(uuid)


def test_a_libvirtd_that_dies_over_it_leaves_nothing_in_the_way(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    with QemuWatch(cloud.lab.hosts) as watch:
        with stopped_in_the_middle_of_a_start(cloud, "dies", a) as uuid:
            told(cloud, "dies")
            a.kill_libvirtd()
        a.wait_for_libvirt()
        cloud.wait_for_state("dies", "running", 60)
        watch.settle(2.0)
    assert watch.most == {uuid: 1}
    assert not b.qemu_pids(uuid)
