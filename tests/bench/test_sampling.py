"""A1 to A4: what it costs to know what many VMs use."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.figures import Figures
from tests.bench.sweeps import GUESTS as SWEPT
from tests.bench.sweeps import SWEEPS
from tests.bench.vms import backend, cpu_seconds, ended, quiet, start
from tests.lab.cloud import Cloud
from tests.lab.host import REPOSITORY, LabHost
from tests.lab.lab import Lab

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

#: The goals are of 500, which take 20 GB: ``BENCH_GUESTS=500``.
GUESTS = int(os.environ.get("BENCH_GUESTS", "100"))
INTERVAL = 10.0
#: Long enough that what hostd asks once when it finds VMs running (each QEMU, within the first minute) is a part only.
WINDOW = 300.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud with that many real guests, paused."""
    lab = Lab(hosts=1)
    cloud = Cloud(lab)
    session = backend(lab[0])
    names = [f"vm-{number}" for number in range(GUESTS)]
    for name in names:
        session.call("vm.add", name=name, instance="tiny")
    # Those that run take the processor from those that start: not too many at a time.
    for some in (names[at : at + 50] for at in range(0, GUESTS, 50)):
        ended(session, [start(session, name) for name in some], 600)
        ended(session, [str(session.call("vm.suspend", vm=name)["task"]) for name in some], 600)
    assert len(lab[0].qemu_pids()) == GUESTS
    yield cloud
    lab.close()


def _used(host: LabHost, names: tuple[str, ...]) -> dict[str, float]:
    """Processor seconds so far of hostd, libvirtd and all QEMUs."""
    used = {name: cpu_seconds(host.world.processes(name)) for name in names}
    if host.hostd is not None:
        used["hostd"] = cpu_seconds([host.hostd.pid])
    return used


def _over(host: LabHost, seconds: float) -> dict[str, float]:
    names = ("libvirtd", "qemu-system-x86_64")
    before = _used(host, names)
    time.sleep(seconds)
    after = _used(host, names)
    return {name: (after[name] - before[name]) / seconds * 100 for name in after}


def _rss_mib(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def test_what_sampling_costs(cloud: Cloud, figures: Figures) -> None:
    host = cloud.lab[0]
    host.kill_hostd(signal.SIGTERM)
    quiet(host)
    rest = _over(host, 60.0)
    peer = []
    for _ in range(6):
        time.sleep(INTERVAL)  # as the goal has it, and as hostd does: after ten seconds no cache remembers
        before = _used(host, ("libvirtd", "qemu-system-x86_64"))
        begin = os.times()
        host.run(["virsh", "-q", "domstats"], seconds=120)
        end = os.times()
        client = end.children_user + end.children_system - begin.children_user - begin.children_system
        after = _used(host, ("libvirtd", "qemu-system-x86_64"))
        peer.append(client + sum(after.values()) - sum(before.values()))
    domstats = sum(peer) / len(peer) / INTERVAL * 100

    host.hostd = host.world.spawn(
        [sys.executable, "-m", "tests.bench.hostd_at", str(INTERVAL)],
        host.environment({"PYTHONPATH": str(REPOSITORY)}), host.root / "hostd.log",
    )  # fmt: skip
    host.wait_for_hostd()
    time.sleep(30)
    size = _rss_mib(host.hostd.pid)
    cost = _over(host, WINDOW)
    grown = _rss_mib(host.hostd.pid) - size
    total = sum(cost.values()) - sum(rest.values())
    raw = {"rest": rest, "cost": cost, "domstats": peer}
    what = f"{GUESTS} paused guests every {INTERVAL:g} s"
    figures.add(
        "A1", f"hostd, all it does, {what}", cost["hostd"], "% of a core", wanted="500 guests: at most 1 %", raw=raw
    )
    figures.add(
        "A2", f"hostd + libvirtd + QEMU, {what}", total, "% of a core", peer=domstats, peer_is="virsh domstats",
        wanted="at most 0.10",
    )  # fmt: skip
    figures.add("A3", "hostd's memory", size, "MiB", wanted="at most 80 MiB")
    figures.add("A3", f"hostd's growth in {WINDOW:g} s, soon after its start", grown, "MiB")


def test_ten_thousand_sweeps(figures: Figures, tmp_path: Path) -> None:
    """By a clock that goes as fast as the sweeps do, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.sweeps", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)
    # By the first thousand each VM has its hour of samples.
    grown = found["memory"][-1] - found["memory"][0]
    figures.add("A3", f"growth over {SWEEPS} sweeps", grown, "MiB", wanted="at most 1 MiB", raw=found)
    figures.add("A1", f"a sweep of {SWEPT} VMs and its share of what is written", found["sweep"], "ms of processor")


def test_a_stopped_qemu_delays_no_other_sample(cloud: Cloud, figures: Figures) -> None:
    host = cloud.lab[0]
    if host.hostd is not None:
        host.kill_hostd(signal.SIGTERM)
    host.start_hostd()
    session = backend(host)
    time.sleep(20)
    rows = session.call("vm.list", limit=GUESTS * 2)["rows"]
    victim = rows[0]
    (pid,) = host.qemu_pids(victim["uuid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.time()
        time.sleep(40)
        late, longest = 0, 0.0
        for row in rows[1:]:
            times = [s["at"] for s in session.call("vm.samples", vm=row["uuid"], since=begin - 10)["samples"]]
            gaps = [b - a for a, b in itertools.pairwise(times)]
            longest = max([longest, *gaps])
            late += sum(gap > 7.5 for gap in gaps)
            assert len(times) >= 6, f"{row['name']}: {times}"
    finally:
        os.kill(pid, signal.SIGCONT)
    figures.add("A4", f"late samples of {GUESTS - 1} guests beside a stopped one", late, "", wanted="0", raw=longest)
    figures.add("A4", "longest gap between two samples (interval 5 s)", longest, "s")
