"""B3: how long a guest stands still when it is migrated, beside libvirt's own migration of such a guest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import libvirt
import pytest

from tests.bench.figures import Figures, percentile
from tests.lab.cloud import Cloud
from tests.lab.guests import sample_domain
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

PAIRS = 5
_FLAGS = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_TUNNELLED
_UUID = "00000000-0000-4000-8000-000000000077"


class _Still:
    """Looks, as often as libvirt answers, on which of two hosts the processors of a VM run."""

    def __init__(self, source: LabHost, target: LabHost, uuid: str) -> None:
        self._hosts = (source, target)
        self._uuid = uuid
        self._ready = threading.Barrier(3)
        self._there = 0.0
        self._here = 0.0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._look, args=(place,), daemon=True) for place in (0, 1)]

    def measure(self, migrate: Callable[[], object]) -> float:
        """Milliseconds for which nothing ran."""
        for thread in self._threads:
            thread.start()
        self._ready.wait(20)
        migrate()
        wait_until(lambda: self._here > 0, "the VM on its new host", 60)
        self._end.set()
        for thread in self._threads:
            thread.join(10)
        return (self._here - self._there) * 1000

    def _look(self, place: int) -> None:
        connection = self._hosts[place].libvirt()
        self._ready.wait(20)
        while not self._end.wait(0.001):
            try:
                state = connection.lookupByUUIDString(self._uuid).state()[0]
            except libvirt.libvirtError:
                continue
            if state == libvirt.VIR_DOMAIN_RUNNING:
                if place == 0:
                    self._there = time.monotonic()
                elif not self._here:
                    self._here = time.monotonic()
        connection.close()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud on two hosts that send VMs to each other as fast as they can."""
    lab = Lab(hosts=2)
    yield Cloud.with_migration(lab)
    lab.close()


def test_a_guest_stands_still(cloud: Cloud, figures: Figures) -> None:
    a, b = cloud.lab.hosts
    wait_until(
        lambda: bool(cloud.lab.rows("SELECT migration_url FROM host WHERE name = ?", "b")[0][0]),
        "a libvirtd that listens",
        60,
    )
    uuid = cloud.add_vm("guest", instance="sample")
    ours, raw = [], []
    for _pair in range(PAIRS):
        raw.append(_libvirts(a, b))
        cloud.zhao("vm", "start", "guest", "--host", "a", "--wait")
        with a.serial(uuid) as console:
            console.wait_for_shell()
        ours.append(
            _Still(a, b, uuid).measure(
                lambda: cloud.sysadm("host", "drain", "a", "--policy", "migrate", "--yes", seconds=120)
            )
        )
        cloud.sysadm("host", "undrain", "a", "--yes")
        cloud.zhao("vm", "stop", "guest", "--force", "--wait")
    figures.add(
        "B3",
        "a guest of 128 MiB stands still when it is migrated, p50",
        percentile(ours, 50),
        "ms",
        peer=percentile(raw, 50),
        peer_is="libvirt's own migration",
        wanted="at most 100 ms more",
        raw={"ours": ours, "libvirt": raw},
    )


def _libvirts(a: LabHost, b: LabHost) -> float:
    connection = a.libvirt()
    domain = connection.createXML(sample_domain("raw", uuid=_UUID), 0)
    with a.serial(_UUID) as console:
        console.wait_for_shell()
    try:
        return _Still(a, b, _UUID).measure(lambda: domain.migrateToURI3(f"qemu+tcp://{b.address}/system", {}, _FLAGS))
    finally:
        connection.close()
        there = b.libvirt()
        there.lookupByUUIDString(_UUID).destroy()
        there.close()
