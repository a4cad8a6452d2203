"""B1, B2, B4, B5: what an action costs beside what libvirt itself costs for the same domain."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.bench.figures import Figures, percentile
from tests.bench.vms import ask_all, backend, ended, quiet, remove, start, twins
from tests.lab import statements
from tests.lab.cloud import Cloud
from tests.lab.host import LabHost
from tests.lab.lab import Lab

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

ROUNDS = 20
STORM, STORMS = 100, 2
QUEUE = 1000


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud on one host, its libvirtd telling when calls come in."""
    lab = Lab(hosts=1)
    host = lab[0]
    host.add_libvirtd_settings('log_filters="1:daemon.remote"\nlog_outputs="1:file:/var/log/libvirt/calls.log"')
    cloud = Cloud(lab)
    cloud.zhao("instance", "add", "screened", "--vcpus", "1", "--memory", "16MiB", "--graphics", "vnc")
    yield cloud
    lab.close()


def _timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def test_one_start_beside_virsh(cloud: Cloud, figures: Figures) -> None:
    host = cloud.lab[0]
    session = backend(host)
    cloud.add_vm("one", instance="screened", host=host)
    (twin,) = twins(cloud, "one", 1)
    cloud.zhao("vm", "stop", "one", "--force", "--wait")
    connection = host.libvirt()
    domain = connection.lookupByName(twin)
    ways: dict[str, Callable[[], object]] = {
        "virsh start": lambda: host.run(["virsh", "-q", "start", twin]),
        "libvirt's create()": domain.create,
        "dosvm vm start": lambda: cloud.zhao("vm", "start", "one", "--wait"),
        "the console's way": lambda: ended(session, [start(session, "one")]),
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, action in ways.items():
            time.sleep(0.2)
            took[way].append(_timed(action))
            if "console" in way or "dosvm" in way:
                cloud.zhao("vm", "stop", "one", "--force", "--wait")
            else:
                domain.destroy()
    connection.close()
    remove(host, [twin])
    nothing = [_timed(lambda: host.dosvm("--version")) for _ in range(10)]
    middle = {way: percentile(values, 50) for way, values in took.items()}
    figures.add(
        "B2", "`dosvm vm start --wait`, p50", middle["dosvm vm start"], "ms", peer=middle["virsh start"],
        peer_is="virsh start", wanted="1.10 x + 100 ms", raw=took,
    )  # fmt: skip
    figures.add(
        "B2", "start through a session (console), p50", middle["the console's way"], "ms",
        peer=middle["libvirt's create()"], peer_is="libvirt's create()", wanted="1.10 x",
    )  # fmt: skip
    figures.add("B2", "`dosvm --version`, p50", percentile(nothing, 50), "ms", wanted="about 100 ms of process start")


def test_from_the_queue_to_libvirt(cloud: Cloud, figures: Figures) -> None:
    host = cloud.lab[0]
    session = backend(host)
    cloud.add_vm("queued")
    gaps = []
    for _ in range(ROUNDS * 2):
        log = _calls(host)
        log.write_text("")
        task = start(session, "queued")
        ended(session, [task])
        created = datetime.fromisoformat(str(session.call("task.show", task=task)["created"]))
        gaps.append((_entered(log) - created.replace(tzinfo=None)).total_seconds() * 1000)
        ended(session, [str(session.call("vm.stop", vm="queued", force=True)["task"])])
    for percent, wanted in ((50.0, "p50 at most 10 ms"), (99.0, "p99 at most 40 ms")):
        figures.add(
            "B1", f"task queued to libvirt call, p{percent:g}", percentile(gaps, percent), "ms", wanted=wanted, raw=gaps
        )


def _calls(host: LabHost) -> Path:
    return host.root / "log/calls.log"


def _entered(log: Path) -> datetime:
    """When libvirtd received the call that makes a domain, by its own log (UTC)."""
    match = re.search(r"^(\S+ \S+)\+0000: .*remoteDispatchDomainCreateXML\w*Helper", log.read_text(), re.MULTILINE)
    assert match, f"no call in libvirtd's log:\n{log.read_text()[:2000]}"
    return datetime.fromisoformat(match[1])


def test_a_hundred_starts(cloud: Cloud, figures: Figures) -> None:
    host = cloud.lab[0]
    session = backend(host)
    names = [f"storm-{number}" for number in range(STORM)]
    for name in names:
        session.call("vm.add", name=name, instance="screened")
    ended(session, [start(session, names[0])])
    domains = twins(cloud, names[0], STORM)
    ended(session, [str(session.call("vm.stop", vm=names[0], force=True)["task"])])

    def all_at_once(verb: str, **arguments: Any) -> None:
        ended(session, [str(answer["task"]) for answer in ask_all(session, verb, names, **arguments)], 600)

    took: dict[int, list[float]] = {workers: [] for workers in (2, 4, 8, 0)}
    # In turn, and each several times: what else the machine does is shared by all. Ours of the last round stay.
    for storm in range(STORMS):
        if storm:
            all_at_once("stop", force=True)
        for workers, values in took.items():
            quiet(host)
            values.append(_timed(lambda w=workers: _xargs(host, domains, w) if w else all_at_once("start")))  # type: ignore[misc]
            assert len(host.qemu_pids()) == STORM
            if workers:
                _xargs(host, domains, 8, "destroy")
    remove(host, domains)
    mean = {workers: sum(values) / len(values) / 1000 for workers, values in took.items()}
    ours = mean.pop(0)
    best = min(mean, key=lambda workers: mean[workers])
    figures.add(
        "B5", f"{STORM} starts", ours, "s", peer=mean[best], peer_is=f"xargs -P {best} virsh start",
        wanted="1.05 x", raw=took,
    )  # fmt: skip


def test_a_thousand_starts_are_queued(cloud: Cloud, figures: Figures) -> None:
    """Queued on a hostd that begins with them at once, and taken back before most have begun."""
    session = backend(cloud.lab[0])
    cloud.sysadm("project", "configure", "web", "--max-vcpus", "2000", "--max-memory", "32GiB")
    cloud.sysadm("host", "edit", cloud.lab[0].name, "--max-vcpus", "2000")
    names = [f"queue-{number}" for number in range(QUEUE)]
    for name in names:
        session.call("vm.add", name=name, instance="tiny")
    begin = time.perf_counter()
    asked = ask_all(session, "start", names)
    queued = time.perf_counter() - begin
    assert len({answer["task"] for answer in asked}) == QUEUE
    begin = time.perf_counter()
    stops = [str(answer["task"]) for answer in ask_all(session, "stop", names, force=True)]
    stopped = time.perf_counter() - begin
    figures.add("B5", f"{QUEUE} starts queued", queued * 1000, "ms", wanted="1000 in at most 1 s")
    figures.add("B5", f"{QUEUE} stops queued", stopped * 1000, "ms", wanted="1000 in at most 1 s")
    ended(session, stops, 600)


def _xargs(host: LabHost, names: list[str], workers: int, verb: str = "start") -> None:
    host.run(["xargs", "-P", str(workers), "-n", "1", "virsh", "-q", verb], stdin="\n".join(names), seconds=900)


def test_statements_of_an_action(figures: Figures) -> None:
    """Counted by MariaDB itself, while hostd asks nothing else but what it does once a minute: hence the median."""
    lab = Lab(hosts=1, database="mariadb")
    try:
        cloud = Cloud(lab)
        cloud.add_vm("one")
        statements.rest(cloud)
        rounds = statements.of_actions(cloud, backend(lab[0]), 10)
        for verb, found in rounds.items():
            counts = [len(seen) for seen in found]
            figures.add(
                "B4", f"statements of vm.{verb}, p50", percentile(counts, 50), "each", wanted="at most 8", raw=counts
            )
    finally:
        lab.close()
