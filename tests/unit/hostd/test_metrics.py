"""Samples: what the numbers mean, and that they are bounded."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hostd import intervals
from hostd.hypervisor.errors import TooSlow
from hostd.metrics.collector import Collector
from hostd.metrics.host import HostSampler
from hostd.metrics.store import MOST, Ring, Store
from hostd.metrics.vm import Run, VmSampler
from hostd.runtime import Runtime
from tests.waiting import until


def test_a_ring_keeps_an_hour_in_its_order() -> None:
    ring = Ring(("a", "b"))
    for n in range(900):
        ring.add(n * 10.0, (n * 1.5, n * 2.0))
    assert [row["at"] for row in ring.since(0)] == [n * 10.0 for n in range(539, 900)]
    assert ring.since(8980) == [{"at": 8990.0, "a": 1348.5, "b": 1798.0}]
    assert ring.last() == {"at": 8990.0, "a": 1348.5, "b": 1798.0}


def test_a_ring_is_bounded_whatever_the_clock_does() -> None:
    ring = Ring(("a",))
    for n in range(3 * MOST):
        ring.add(1000.0 - n * 0.001, (1.0,))
    assert len(ring.since(-1)) == MOST
    assert ring.last() == {"at": 1000.0 - (3 * MOST - 1) * 0.001, "a": 1.0}


def test_the_store_forgets_what_is_gone() -> None:
    store = Store(("a",))
    store.add("x", 1, (1.0,))
    store.add("y", 1, (1.0,))
    store.keep({"y"})
    assert store.since("x", 0) == []
    assert store.last("y") is not None


def write_proc(proc: Path, busy: int, idle: int, octets: int) -> None:
    (proc / "net").mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n")
    (proc / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\n")
    head = "Inter-|   Receive\n face |bytes\n"
    line = "{}: {} 0 0 0 0 0 0 0 {} 0 0 0 0 0 0 0\n"
    (proc / "net/dev").write_text(head + line.format("eth0", octets, octets) + line.format("vnet0", 10**9, 10**9))


def test_a_hosts_load_is_that_since_the_sample_before(tmp_path: Path) -> None:
    write_proc(tmp_path, 100, 100, 0)
    sampler = HostSampler(tmp_path, proc=tmp_path, sys=tmp_path)
    first = sampler.sample()
    assert (first.cpu_percent, first.network_rate) == (0, 0)
    assert first.memory_percent == 75.0
    time.sleep(0.05)
    write_proc(tmp_path, 175, 125, 1000)
    second = sampler.sample()
    assert second.cpu_percent == 75.0
    assert 0 < second.network_rate <= 2000 / 0.05


@pytest.fixture
def busy() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process that looks like a VM's QEMU and burns one processor."""
    uuid = "6a1b7f6e-1111-4222-8333-444455556666"
    process = subprocess.Popen(["bash", "-c", f": qemu; exec -a qemu-{uuid} bash -c 'while :; do :; done' {uuid}"])
    yield uuid, process
    process.kill()
    process.wait()


def used(pid: int) -> float:
    """The processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_vms_processor_is_counted_against_its_own(busy: tuple[str, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    uuid, process = busy
    (tmp_path / "vm.pid").write_text(str(process.pid))
    sampler = VmSampler(run_directory=tmp_path)
    found: list[tuple[float, ...]] = []
    run = Run(uuid, "vm", 1, 2, ())
    until(lambda: sampler.sweep([run], lambda *_: None) == set() and sampler.pid(uuid), what="its process")
    # Looked at from outside just before and just after each sweep: however busy the machine, the truth lies between.
    begun, first = time.time(), used(process.pid)
    sampler.sweep([run], lambda *_: None)
    begun_after, first_after = time.time(), used(process.pid)
    while used(process.pid) < first_after + 0.3:
        time.sleep(0.05)
    ended, last = time.time(), used(process.pid)
    assert sampler.sweep([run], lambda _uuid, _at, values: found.append(values)) == set()
    ended_after, last_after = time.time(), used(process.pid)
    cpu, memory, *_rates = found[-1]
    tick = 2 / os.sysconf("SC_CLK_TCK")
    least = (last - first_after - tick) / (ended_after - begun) / run.vcpus * 100
    most = (last_after - first + tick) / (ended - begun_after) / run.vcpus * 100
    assert 0 < least <= cpu <= min(most, 100)
    assert memory > 1024**2


def test_a_stopped_process_is_silent_and_a_dead_one_too(
    busy: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    uuid, process = busy
    (tmp_path / "vm.pid").write_text(str(process.pid))
    sampler = VmSampler(run_directory=tmp_path)
    run = Run(uuid, "vm", 1, 1, ())
    until(lambda: not sampler.sweep([run], lambda *_: None), what="its process")
    os.kill(process.pid, 19)
    time.sleep(0.1)
    assert sampler.sweep([run], lambda *_: None) == {uuid}
    process.kill()
    process.wait()
    assert sampler.sweep([run], lambda *_: None) == {uuid}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("allowed", [20000, 100, 0])
def test_vms_that_are_gone_leave_no_file_open(
    busy: tuple[str, subprocess.Popen[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    """However few files hostd may have open, each VM is sampled."""
    uuid, process = busy
    (tmp_path / "vm.pid").write_text(str(process.pid))
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (allowed, allowed))
    before = open_files()
    sampler = VmSampler(run_directory=tmp_path)
    run, found = Run(uuid, "vm", 1, 1, ()), []  # type: ignore[var-annotated]
    until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"qemu-"), what="its process")
    for gone in (lambda: sampler.sweep([], lambda *_: None), sampler.close, lambda: (process.kill(), process.wait())):
        for _ in range(3):
            assert sampler.sweep([run], lambda *sample: found.append(sample)) == set()
        assert open_files() == before + (2 if allowed else 0)
        gone()
    assert found
    assert sampler.sweep([run], lambda *_: None) == {uuid}
    assert open_files() == before


def test_a_foreign_process_under_the_same_number_is_not_taken_for_the_vm(tmp_path: Path) -> None:
    (tmp_path / "vm.pid").write_text(str(os.getpid()))
    sampler = VmSampler(run_directory=tmp_path)
    assert sampler.sweep([Run("0" * 36, "vm", 1, 1, ())], lambda *_: None) == {"0" * 36}


def test_a_new_vm_is_asked_soon_again_until_it_has_told_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "SAMPLE_MONITOR_FIRST", 0.05)
    monkeypatch.setattr(intervals, "SAMPLE_MONITOR_PACE", 0.0)
    asked: dict[str, int] = {"new": 0, "mute": 0, "old": 0}
    begin = time.monotonic()

    def stats(uuid: str, *, limit: float) -> Any:
        asked[uuid] += 1
        if uuid == "new" and asked[uuid] == 1:
            raise TooSlow("QEMU does not answer.")
        known = uuid == "new" and asked[uuid] > 2
        return SimpleNamespace(guest_memory=7 if known else None, disk_allocation=9)

    domains: Any = SimpleNamespace(monitor_stats=stats)
    collector = Collector(tmp_path, domains, Runtime(), tmp_path / "journal")
    collector._runs = {uuid: Run(uuid, uuid, 1, 1, ()) for uuid in asked}
    ages = {"new": lambda: 0.0, "mute": lambda: time.monotonic() - begin, "old": lambda: 86400.0}
    monkeypatch.setattr(collector._vm_sampler, "age", lambda uuid: ages[uuid]())
    thread = threading.Thread(target=collector._slow)
    thread.start()
    try:
        until(lambda: asked["mute"] >= 5 and asked["new"] >= 3)
        time.sleep(0.3)
    finally:
        collector._closing.set()
        thread.join(5)
    assert (asked["new"], asked["old"]) == (3, 1), "then every five minutes, told or not"
    # Each pause is as long as it has run by then.
    assert asked["mute"] < 10
    assert collector._extra["new"] == {"guest_memory": 7, "disk_allocation": 9}


def test_a_vm_that_has_nothing_to_tell_is_asked_ever_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither disk nor balloon: it costs QEMU, libvirtd and hostd the same as one that has both."""
    monkeypatch.setattr(intervals, "SAMPLE_MONITOR_PACE", 0.0)
    asked: dict[str, int] = {"bare": 0, "disk": 0}
    began = time.monotonic()

    def stats(uuid: str, *, limit: float) -> Any:
        asked[uuid] += 1
        return SimpleNamespace(guest_memory=None, disk_allocation=9 if uuid == "disk" else None)

    domains: Any = SimpleNamespace(monitor_stats=stats)
    collector = Collector(tmp_path, domains, Runtime(), tmp_path / "journal", monitor=0.05)
    collector._runs = {uuid: Run(uuid, uuid, 1, 1, ()) for uuid in asked}
    monkeypatch.setattr(collector._vm_sampler, "age", lambda _uuid: time.monotonic() - began)
    thread = threading.Thread(target=collector._slow)
    thread.start()
    try:
        until(lambda: asked["disk"] >= 20)
    finally:
        collector._closing.set()
        thread.join(5)
    # At 0.05, 0.1, 0.2, 0.4 s of its life, and then after 0.6 s each time.
    assert 2 <= asked["bare"] <= 8
    assert collector._extra["bare"] == {}


def test_a_vm_that_had_nothing_to_tell_is_asked_when_its_devices_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "SAMPLE_MONITOR_FIRST", 0.05)
    asked: list[str] = []

    def stats(uuid: str, *, limit: float) -> Any:
        asked.append(uuid)
        return SimpleNamespace(guest_memory=None, disk_allocation=None)

    run = Run("bare", "bare", 1, 1, ())
    domains: Any = SimpleNamespace(monitor_stats=stats)
    collector = Collector(tmp_path, domains, Runtime(), tmp_path / "journal")
    collector._runs = {"bare": run}
    monkeypatch.setattr(collector._vm_sampler, "age", lambda _uuid: 86400.0)
    thread = threading.Thread(target=collector._slow)
    thread.start()
    try:
        until(lambda: asked)
        collector.changed("bare")
        with collector._guard:
            collector._runs["bare"] = run  # it was described anew
        until(lambda: len(asked) == 2)
    finally:
        collector._closing.set()
        thread.join(5)


def test_hundreds_that_hostd_finds_running_are_not_asked_in_one_burst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "SAMPLE_MONITOR_FIRST", 0.05)
    monkeypatch.setattr(intervals, "SAMPLE_MONITOR_PACE", 0.05)
    asked: list[str] = []

    def stats(uuid: str, *, limit: float) -> Any:
        asked.append(uuid)
        return SimpleNamespace(guest_memory=7, disk_allocation=9)

    domains: Any = SimpleNamespace(monitor_stats=stats)
    collector = Collector(tmp_path, domains, Runtime(), tmp_path / "journal")
    collector._runs = {str(number): Run(str(number), str(number), 1, 1, ()) for number in range(400)}
    thread = threading.Thread(target=collector._slow)
    thread.start()
    time.sleep(1)
    collector._closing.set()
    thread.join(5)
    assert 1 <= len(asked) <= 40
    assert len(set(asked)) == len(asked)


def test_the_age_of_a_vm_is_that_of_its_process(tmp_path: Path) -> None:
    uuid = "00000000-0000-4000-8000-00000000000a"
    process = subprocess.Popen(["sh", "-c", "read line", uuid], stdin=subprocess.PIPE)
    try:
        (tmp_path / "vm.pid").write_text(str(process.pid))
        sampler = VmSampler(run_directory=tmp_path)
        assert sampler.age(uuid) == float("inf")
        # A process that was just begun has no command line for a moment.
        until(lambda: not sampler.sweep([Run(uuid, "vm", 1, 1, ())], lambda *_: None))
        time.sleep(0.2)
        assert 0.1 < sampler.age(uuid) < 30
    finally:
        process.kill()
        process.wait()
