"""hostd as a process: how it starts, ends, answers and what it does not do."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import DosvmError, HostdUnavailable
from core.rpc.calls import HELLO
from core.rpc.client import Client
from core.rpc.signature import Signer, load_key
from hostd.faults import POINTS
from tests.engine.hostd import PASSWORD, Hostd, refused, until
from tests.engine.libvirt import PrivateLibvirt

pytestmark = [pytest.mark.engine, pytest.mark.timeout(150)]


@pytest.fixture
def fresh(private_libvirt: PrivateLibvirt) -> Iterator[Hostd]:
    """A hostd of its own that does not run yet."""
    home = Path(tempfile.mkdtemp(prefix="dosvm-home-"))
    daemon = Hostd(private_libvirt, home)
    yield daemon
    if daemon.running:
        daemon.kill()
    shutil.rmtree(home, ignore_errors=True)


def test_it_answers_soon_after_it_was_started_and_says_what_the_host_is(fresh: Hostd) -> None:
    fresh.start()
    begin = time.monotonic()
    fresh.admin("cloud.status")
    assert time.monotonic() - begin < 40  # one second on a machine with nothing else to do
    fresh.wait()
    row = until(lambda: next((r for r in fresh.admin("host.list")["rows"] if r["accelerator"]), None), 15)
    assert row["accelerator"] == "tcg"
    assert "/dev/kvm" in row["accelerator_reason"]
    assert row["cores"] == os.cpu_count()
    assert row["max_memory"] < row["memory"]


def test_it_answers_while_libvirtd_is_down_and_finds_it_later(fresh: Hostd) -> None:
    fresh.libvirt.kill(stay_down=True)
    try:
        fresh.start()
        row = until(lambda: fresh.admin("host.list")["rows"], 10)[0]
        assert row["state"] == "impaired"
        assert row["hypervisor_error"]
    finally:
        fresh.libvirt.release()
    fresh.wait()


def test_two_cannot_run_for_one_host(fresh: Hostd) -> None:
    fresh.start()
    fresh.admin("cloud.status")
    second = subprocess.run(
        fresh.libvirt.command([sys.executable, "-m", "hostd", "-d"]),
        env={**os.environ, "DOSVM_HOME": str(fresh.home)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert "runs for this host already" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    fresh.admin("cloud.status")


def test_it_ends_at_sigterm_and_takes_its_socket_along(fresh: Hostd) -> None:
    fresh.start()
    fresh.admin("cloud.status")
    begin = time.monotonic()
    assert fresh.stop() == 0
    assert time.monotonic() - begin < 20
    assert not (fresh.home / "hostd.sock").exists()
    with pytest.raises(HostdUnavailable):
        Client(str(fresh.home / "hostd.sock"), Signer(load_key(fresh.home / "cluster.key"))).request(HELLO, {})


def test_its_log_has_no_traceback_when_it_ends_with_consoles_open(fresh: Hostd) -> None:
    fresh.start()
    fresh.wait()

    heard = fresh.backend("sysadm").wait(seconds=0)["revision"]
    answers = []

    def listen() -> None:
        with contextlib.suppress(DosvmError):
            answers.append(fresh.backend("sysadm").wait(since=heard, seconds=30))

    listeners = [threading.Thread(target=listen) for _ in range(3)]
    for listener in listeners:
        listener.start()
    time.sleep(1)
    assert not answers, "they listen"
    assert fresh.stop() == 0
    fresh.start()
    for listener in listeners:
        listener.join(60)
    fresh.wait()
    assert "Traceback" not in fresh.log.read_text(), fresh.log_tail()


def test_it_ends_in_bounded_time_while_libvirtd_hangs(fresh: Hostd) -> None:
    fresh.start()
    fresh.furnish()
    fresh.machine("one")
    stopped = fresh.libvirt.processes("libvirtd")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        task = fresh.zhao("vm.start", vm="one")
        until(lambda: fresh.zhao("task.show", task=task["task"])["state"] == "running", 15, "the hanging call")
        begin = time.monotonic()
        assert fresh.stop(40) == 0
        assert time.monotonic() - begin < 30
        assert not (fresh.home / "hostd.sock").exists()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    fresh.start()
    # The task may have been told that libvirtd did not answer; that the VM shall run holds all the same.
    assert fresh.task(task, seconds=60)["state"] in ("done", "failed")
    fresh.wait_for("one", "running", 60)
    fresh.clean()


def test_it_works_with_no_more_rights_than_its_systemd_unit_leaves_it(fresh: Hostd) -> None:
    unit = (Path(__file__).resolve().parents[2] / "packaging/hostd.service").read_text()
    (rights,) = re.findall(r"^CapabilityBoundingSet=(.+)$", unit, re.MULTILINE)
    kept = ",".join(["-all", *(f"+{right.removeprefix('CAP_').lower()}" for right in rights.split())])
    fresh.start(prefix=["setpriv", "--no-new-privs", "--bounding-set", kept, "--"])
    fresh.furnish()
    fresh.done("volume.add", name="disk", pool="local", capacity=16 << 20, format="qcow2")
    fresh.machine("one", disks=[{"volume": "local/disk"}])
    fresh.done("vm.start", vm="one")
    until(lambda: "memory" in str(fresh.zhao("vm.samples", vm="one")["samples"]), 30, "samples of the VM")
    fresh.clean()
    fresh.done("volume.delete", volume="local/disk")


def test_a_run_of_another_place_is_watched_before_it_is_followed(fresh: Hostd) -> None:
    """The directory was moved or put back from a backup, or the machine was switched on again: nobody beats."""
    fresh.start()
    fresh.wait()
    fresh.kill()
    runs = fresh.home / "state/runs.json"
    runs.write_text(runs.read_text().replace('"place": "', '"place": "elsewhere '))
    fresh.start()
    until(lambda: fresh.admin("host.list")["rows"][0]["state"] == "up", 60, fresh.log_tail())
    assert "looking whether another hostd works as this host" in fresh.log.read_text()
    assert len(fresh.admin("host.list")["rows"]) == 1


def test_without_a_cluster_it_listens_on_no_port(fresh: Hostd) -> None:
    settings = fresh.home / "dosvm.toml"
    settings.write_text(settings.read_text().replace('localhost = ""', 'localhost = "127.0.0.1"'))
    fresh.start()
    fresh.admin("cloud.status")
    sockets = subprocess.run(fresh.libvirt.command(["ss", "-ltnup"]), capture_output=True, text=True, check=True).stdout
    assert "python" not in sockets


def test_a_kill_9_leaves_nothing_in_the_way_of_the_next_start(fresh: Hostd) -> None:
    fresh.start()
    fresh.admin("cloud.status")
    fresh.kill()
    fresh.start()
    fresh.admin("cloud.status")


def test_mistakes_in_the_settings_are_one_line(fresh: Hostd) -> None:
    with (fresh.home / "dosvm.toml").open("a") as file:
        file.write("\n[nonsense]\n")
    done = subprocess.run(
        [sys.executable, "-m", "hostd", "-d"],
        env={**os.environ, "DOSVM_HOME": str(fresh.home)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"hostd: {fresh.home}/dosvm.toml: nonsense: there is no such section."]


def test_no_password_is_in_its_log(fresh: Hostd) -> None:
    fresh.start()
    fresh.furnish()
    refused(lambda: fresh.admin("user.add", account="x", new_password=PASSWORD, own_password="wrong-" + PASSWORD))
    assert PASSWORD not in fresh.log.read_text()


def test_every_place_where_it_can_be_made_to_die_is_known_once() -> None:
    assert len(set(POINTS)) == len(POINTS)


def test_it_dies_where_it_is_told_to_and_goes_on_after_it(fresh: Hostd) -> None:
    fresh.start()
    fresh.furnish()
    fresh.stop()
    fresh.start({"HOSTD_CRASH_AT": "after_volume"})
    task = fresh.zhao("volume.add", name="disk", pool="local", capacity=16 << 20, format="qcow2")
    until(lambda: not fresh.running, 10, "its death")
    assert (fresh.home / "pool/disk").exists()
    fresh.start()
    row = fresh.task(task)
    assert (row["state"], row["attempts"]) == ("done", 2)
    assert fresh.zhao("volume.show", volume="local/disk")["state"] == "present"
