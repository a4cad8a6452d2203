"""The parameters of the cloud reach hosts while they run: nobody looks dead meanwhile, ports move, samples stay."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.cloud import Cloud
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

#: What a change must take at most: the doorbell's moment, or a heartbeat of 2 s; and some for a busy machine.
SOON = 8.0


@pytest.fixture
def cloud(wide_cloud: Cloud) -> Iterator[Cloud]:
    """The cloud with all its parts up; its parameters are put back afterwards."""
    wide_cloud.lab.mend()
    wide_cloud.wait_for_hosts()
    before = shown(wide_cloud)
    yield wide_cloud
    settle(wide_cloud, **{key: value for key, value in before.items() if key.replace("_", "-") in OPTIONS})


OPTIONS = {
    "vm-sample-interval", "vm-flush-interval", "host-sample-interval", "host-history-interval", "heartbeat-interval",
    "scheduling-interval", "missed-heartbeats", "port", "temporary-directory",
}  # fmt: skip


def shown(cloud: Cloud, host: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = cloud.sysadm("settings", "show", "-o", "json", at=cloud.lab[host]).data
    return row


def change(cloud: Cloud, **values: Any) -> None:
    words = [word for key, value in values.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    cloud.sysadm("settings", "edit", *words)


def settle(cloud: Cloud, seconds: float = SOON, **values: Any) -> float:
    """Change parameters and wait until every host lives by them; the seconds that took."""
    change(cloud, **values)
    begin = time.monotonic()
    wait_until(
        lambda: shown(cloud)["not_taken_over_by"] == [], f"hosts that live by {values}", seconds, lambda: logs(cloud)
    )
    return time.monotonic() - begin


def logs(cloud: Cloud) -> str:
    return "\n".join(host.logs() for host in cloud.lab.hosts)


def host(cloud: Cloud, name: str, at: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = cloud.sysadm("host", "show", name, "-o", "json", at=cloud.lab[at]).data
    return row


@contextmanager
def states_watched(cloud: Cloud) -> Iterator[set[tuple[int, str, str]]]:
    """Everything that each host said of each while the body ran: (who was asked, about whom, state)."""
    seen: set[tuple[int, str, str]] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for number in range(len(cloud.lab.hosts)):
                answer = cloud.sysadm("host", "list", "-o", "json", at=cloud.lab[number], check=False)
                if answer.code == 0:
                    seen.update((number, row["name"], row["state"]) for row in answer.data)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def test_hearts_change_their_pace_and_nobody_looks_dead(cloud: Cloud) -> None:
    with states_watched(cloud) as seen:
        settle(cloud, heartbeat_interval=9, missed_heartbeats=1)
        time.sleep(25)  # longer than a watcher that went on expecting 2 s would wait
        settle(cloud, heartbeat_interval=2)
        time.sleep(8)
    assert {state for _at, _name, state in seen} == {"up"}, seen
    assert {(at, name) for at, name, _state in seen} == {(at, name) for at in (0, 1) for name in ("a", "b")}


def test_a_change_reaches_a_slow_heart_by_the_doorbell(cloud: Cloud) -> None:
    settle(cloud, heartbeat_interval=60)
    assert settle(cloud, heartbeat_interval=2) < 15, "it waited for the heartbeat"


def test_who_dies_with_a_slow_heart_is_found_by_its_own_pace(cloud: Cloud) -> None:
    settle(cloud, heartbeat_interval=4, missed_heartbeats=1)
    cloud.lab[1].kill_hostd()
    try:
        wait_until(lambda: host(cloud, "b")["state"] == "down", "b down", 30, lambda: logs(cloud))
    finally:
        cloud.lab[1].start_hostd()
    wait_until(lambda: host(cloud, "b")["state"] == "up", "b up", 30, lambda: logs(cloud))


def test_the_port_moves_while_hosts_run_and_each_finds_the_other(cloud: Cloud) -> None:
    settle(cloud, port=6001)
    assert {host(cloud, name)["port"] for name in ("a", "b")} == {6001}
    for lab_host in cloud.lab.hosts:
        listening = lab_host.run(["ss", "-ltnH"]).out
        assert f"{lab_host.address}:6001" in listening, listening
    # Samples of the other host come over that port.
    for asked, name in ((0, "b"), (1, "a")):
        wait_until(
            lambda asked=asked, name=name: cloud.sysadm(  # type: ignore[misc]
                "host", "samples", name, "-o", "json", at=cloud.lab[asked], check=False
            ).code == 0,
            f"samples of {name}", 15, lambda: logs(cloud),
        )  # fmt: skip


def test_a_port_that_is_taken_on_one_host_is_told_and_taken_over_once_it_is_free(cloud: Cloud) -> None:
    b = cloud.lab[1]
    script = "import socket, time; s = socket.socket(); s.bind(('0.0.0.0', 6002)); s.listen(); time.sleep(300)"
    taker = b.world.spawn(["python3", "-c", script], b.environment(), b.root / "taker.log")
    try:
        wait_until(lambda: ":6002" in b.run(["ss", "-ltnH"]).out, "the port's taker", 10, b.logs)
        old = host(cloud, "b")["port"]
        change(cloud, port=6002)
        wait_until(lambda: bool(host(cloud, "b")["port_error"]), "the error in b's row", 20, lambda: logs(cloud))
        row = host(cloud, "b")
        assert (row["state"], row["port"]) == ("up", old)
        assert row["port_error"]["parameters"]["port"] == 6002
        wait_until(lambda: shown(cloud)["not_taken_over_by"] == ["b"], "b as the only one", 15, lambda: logs(cloud))
        assert host(cloud, "a")["port"] == 6002
        assert "cannot live by the parameter port" in (b.root / "hostd.log").read_text()
    finally:
        taker.kill(signal.SIGKILL)
    wait_until(lambda: shown(cloud)["not_taken_over_by"] == [], "b at the new port", 20, lambda: logs(cloud))
    assert host(cloud, "b")["port"] == 6002


def test_the_temporary_directory_holds_new_overlays_and_old_ones_go_where_they_are(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    if "sample" not in {row["name"] for row in cloud.zhao("instance", "list", "-o", "json").data}:
        cloud.add_sample()
    disk = ["--disk", "device=disk,image=sample,bus=virtio"]
    cloud.zhao("instance", "add", "overlaid", "--vcpus", "1", "--memory", "32MiB", *disk)
    first = cloud.add_vm("overlaid-1", instance="overlaid", host=a)
    places = {name: a.srv / name for name in ("new", "file")}
    places["file"].write_text("")
    settle(cloud, temporary_directory="/srv/new")
    second = cloud.add_vm("overlaid-2", instance="overlaid", host=a)
    assert [path.name for path in places["new"].glob("*.qcow2")] == [f"{second}-0.qcow2"]
    old = list((a.home / "tmp").glob("*.qcow2"))
    assert [path.name for path in old] == [f"{first}-0.qcow2"]
    change(cloud, temporary_directory="/srv/file")
    wait_until(lambda: bool(host(cloud, "a")["temporary_error"]), "the error in a's row", 20, lambda: logs(cloud))
    assert b.running
    a.kill_hostd()
    a.start_hostd()
    cloud.wait_for_hosts()
    for name in ("overlaid-1", "overlaid-2"):
        cloud.zhao("vm", "stop", name, "--force", "--wait")
        cloud.zhao("vm", "delete", name, "--yes", "--wait")
    assert [*(a.home / "tmp").glob("*.qcow2"), *places["new"].glob("*.qcow2")] == []
    cloud.zhao("instance", "delete", "overlaid", "--yes")
    places["file"].unlink()


def test_samples_outlive_a_killed_hostd_but_for_one_interval(cloud: Cloud) -> None:
    a = cloud.lab[0]
    settle(cloud, vm_sample_interval=2, vm_flush_interval=4)
    uuid = cloud.add_vm("sampled", host=a)
    try:
        time.sleep(20)
        before = samples(cloud, "sampled")
        assert len(before) >= 6
        a.kill_hostd()
        killed = time.time()
        a.start_hostd()
        cloud.wait_for_hosts()
        wait_until(lambda: bool(samples(cloud, "sampled")), "samples", 20, a.logs)
        after = {round(sample["at"], 3) for sample in samples(cloud, "sampled")}
        lost = [sample for sample in before if round(sample["at"], 3) not in after]
        assert all(killed - sample["at"] <= 4 + 3 for sample in lost), f"{len(lost)} of {len(before)} lost, {uuid}"
        assert len(lost) < len(before) / 2
    finally:
        cloud.zhao("vm", "stop", "sampled", "--force", "--wait")
        cloud.zhao("vm", "delete", "sampled", "--yes", "--wait")


def samples(cloud: Cloud, vm: str) -> list[dict[str, Any]]:
    answer = cloud.zhao("vm", "samples", vm, "-o", "json", check=False)
    found: list[dict[str, Any]] = json.loads(answer.out) if answer.code == 0 else []
    return found
