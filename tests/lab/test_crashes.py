"""hostd dies at any place of any action: everything still happens exactly once."""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hostd.faults import POINTS
from tests.lab.cloud import SYSADM, ZHAO, Cloud
from tests.lab.host import REPOSITORY, LabHost, names_in
from tests.lab.ledger import Ledger
from tests.lab.namespaces import wait_until
from tests.lab.test_migration import DEATHS
from tests.lab.watch import QemuWatch

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

#: Where each action comes by, in this order; the points of every task besides.
EVERY = ("claimed", "before_finish", "finished")
START = ("loaded", "prepared", "before_create", "after_create", "after_record")
STOP = ("before_stop", "after_stop")
VOLUME = ("before_volume", "after_volume")
MADE = ("before_volume", "volume_made", "after_volume")
POOL = ("before_pool", "after_pool")
IMAGE = ("before_image", "after_image")
REMOVAL = ("before_removal", "after_removal")


@pytest.fixture(scope="module")
def cloud(small_cloud: Cloud) -> Cloud:
    """A cloud with a VM ``one``."""
    small_cloud.add_vm("one")
    return small_cloud


@pytest.fixture
def ledger(cloud: Cloud) -> Ledger:
    """Counts the ends of tasks; hostd is stopped."""
    _stop_hostd(cloud.lab[0])
    return Ledger(cloud.lab)


def _stop_hostd(host: LabHost) -> None:
    if host.hostd is not None:
        host.kill_hostd()


def _bring(cloud: Cloud, verb: str, state: str) -> str:
    """Bring the VM ``one`` to a state before what is tested; its UUID. hostd is stopped afterwards."""
    host = cloud.lab[0]
    if host.hostd is None:
        host.start_hostd()
    row = cloud.vm("one")
    if row["state"] != state:
        cloud.zhao("vm", verb, "one", *(["--force"] if verb == "stop" else []), "--wait")
    host.kill_hostd()
    return str(row["uuid"])


def test_every_point_that_the_code_passes_is_tested_and_the_other_way_round() -> None:
    passed = set()
    for file in (REPOSITORY / "hostd").rglob("*.py"):
        passed.update(re.findall(r'\bpoint\("(\w+)"\)', file.read_text()))
    tested = {*EVERY, *START, *STOP, *VOLUME, *MADE, "merging", *POOL, *IMAGE, *REMOVAL}
    clearing = (REPOSITORY / "tests/engine/test_clearing.py").read_text()
    tested.update(re.findall(r'"HOSTD_CRASH_AT": f?"(\w+)', clearing))
    tested.update(point.partition(":")[0] for _, point in DEATHS)
    uploads = (REPOSITORY / "tests/engine/test_uploads.py").read_text()
    tested.update(re.findall(r'"(upload_\w+)(?::\d+)?"', uploads))
    assert set(POINTS) == passed == tested


def _dies(cloud: Cloud, point: str, ask: Callable[[], object]) -> None:
    """Ask for something at a hostd that dies at a point; then start it again and wait until no task is open."""
    host = cloud.lab[0]
    host.start_hostd({"HOSTD_CRASH_AT": point})
    daemon = host.hostd
    assert daemon is not None
    answer = ask()
    wait_until(lambda: not daemon.running, f"hostd's death at {point}", 15, lambda: f"{answer}\n{host.logs()}")
    host.hostd = None
    daemon.starter.wait(10)
    host.start_hostd()


def _tasks_end(cloud: Cloud, ledger: Ledger) -> None:
    wait_until(lambda: not ledger.open_tasks(), "the end of all tasks", 20, cloud.lab[0].logs)
    ledger.check()


@pytest.mark.parametrize("point", [*EVERY, *START])
def test_a_start_interrupted_anywhere_starts_the_vm_once(cloud: Cloud, point: str) -> None:
    host = cloud.lab[0]
    uuid = _bring(cloud, "stop", "off")
    ledger = Ledger(cloud.lab)
    with QemuWatch([host]) as watch:
        _dies(cloud, point, lambda: cloud.zhao("vm", "start", "one", "--no-wait", check=False))
        cloud.wait_for_state("one", "running", 20)
        _tasks_end(cloud, ledger)
        watch.settle()
    assert watch.most == {uuid: 1}
    assert len(watch.seen[uuid]) == 1, "it was started, ended and started again"
    assert host.qemu_pids(uuid) == list(watch.seen[uuid])
    assert ledger.tasks() == [("machine.start", "done")]
    row = cloud.vm("one")
    assert (row["power"], row["host"], row["start_error"]) == ("on", "a", "")


@pytest.mark.parametrize("point", [*EVERY, *STOP])
def test_a_stop_interrupted_anywhere_leaves_the_vm_off(cloud: Cloud, point: str) -> None:
    host = cloud.lab[0]
    uuid = _bring(cloud, "start", "running")
    ledger = Ledger(cloud.lab)
    with QemuWatch([host]) as watch:
        _dies(cloud, point, lambda: cloud.zhao("vm", "stop", "one", "--force", "--no-wait", check=False))
        cloud.wait_for_state("one", "off", 20)
        _tasks_end(cloud, ledger)
        watch.settle(2.0)
    assert not host.qemu_pids()
    assert len(watch.seen.get(uuid, ())) == 1
    assert ledger.tasks() == [("machine.stop", "done")]
    assert cloud.vm("one")["power"] == "off"


@pytest.mark.parametrize("point", [*EVERY, *VOLUME])
def test_a_volume_made_grown_and_deleted_across_deaths_is_whole_or_gone(
    cloud: Cloud, ledger: Ledger, point: str
) -> None:
    host = cloud.lab[0]
    file = host.srv / "pool/disk"
    add = ("volume", "add", "disk", "--pool", "pool-a", "--capacity", "64MiB", "--format", "qcow2", "--no-wait")
    _dies(cloud, point, lambda: cloud.zhao(*add, check=False))
    _tasks_end(cloud, ledger)
    row = cloud.zhao("volume", "show", "pool-a/disk", "-o", "json").data
    assert (row["state"], row["capacity"]) == ("present", 64 << 20)
    wait_until(lambda: names_in(file.parent) == ["disk"], "no leftovers", 20)
    assert _virtual_size(host, "/srv/pool/disk") == 64 << 20

    host.kill_hostd()
    _dies(
        cloud,
        point,
        lambda: cloud.zhao("volume", "grow", "pool-a/disk", "--capacity", "128MiB", "--no-wait", check=False),
    )
    _tasks_end(cloud, ledger)
    assert cloud.zhao("volume", "show", "pool-a/disk", "-o", "json").data["capacity"] == 128 << 20
    assert _virtual_size(host, "/srv/pool/disk") == 128 << 20

    host.kill_hostd()
    _dies(cloud, point, lambda: cloud.zhao("volume", "delete", "pool-a/disk", "--yes", "--no-wait", check=False))
    _tasks_end(cloud, ledger)
    assert cloud.zhao("volume", "list", "-o", "json").data == []
    assert names_in(file.parent) == []


@pytest.mark.parametrize("point", REMOVAL)
def test_a_file_is_gone_wherever_its_removal_died(cloud: Cloud, ledger: Ledger, point: str) -> None:
    host = cloud.lab[0]
    directory = host.srv / "pool"
    host.start_hostd()
    cloud.zhao("volume", "add", "disk", "--pool", "pool-a", "--capacity", "64MiB", "--wait")
    wait_until(lambda: names_in(directory) == ["disk"], "no leftovers", 20)
    host.kill_hostd()
    _dies(cloud, point, lambda: cloud.zhao("volume", "delete", "pool-a/disk", "--yes", "--no-wait", check=False))
    _tasks_end(cloud, ledger)
    assert cloud.zhao("volume", "list", "-o", "json").data == []
    assert names_in(directory) == []


@pytest.mark.parametrize("point", [*MADE, "merging"])
def test_a_snapshot_and_its_merge_across_deaths_are_whole_or_gone(cloud: Cloud, ledger: Ledger, point: str) -> None:
    host = cloud.lab[0]
    directory = host.srv / "pool"
    add = ("volume", "add", "base", "--pool", "pool-a", "--capacity", "64MiB", "--no-wait")
    snapshot = ("volume", "snapshot", "pool-a/base", "top", "--no-wait")
    merge = ("volume", "merge", "pool-a/top", "whole", "--no-wait")
    for step in (add, snapshot, merge):
        if point == "merging" and step is not merge:
            host.start_hostd()
            cloud.zhao(*step[:-1], "--wait")
        else:
            _dies(cloud, point, lambda step=step: cloud.zhao(*step, check=False))  # type: ignore[misc]
            _tasks_end(cloud, ledger)
        host.kill_hostd()
    host.start_hostd()
    rows = {row["name"]: row for row in cloud.zhao("volume", "list", "-o", "json").data}
    assert {name: (row["state"], row["backing"]) for name, row in rows.items()} == {
        "base": ("present", ""), "top": ("present", "pool-a/base"), "whole": ("present", "")
    }  # fmt: skip
    wait_until(lambda: names_in(directory) == ["base", "top", "whole"], "no leftovers", 20)
    assert _virtual_size(host, "/srv/pool/whole") == 64 << 20
    for name in ("whole", "top", "base"):
        cloud.zhao("volume", "delete", f"pool-a/{name}", "--yes", "--wait")
    assert names_in(directory) == []
    host.kill_hostd()


@pytest.mark.parametrize("point", [*EVERY, *POOL])
def test_a_pool_made_and_deleted_across_deaths_is_whole_or_gone(cloud: Cloud, ledger: Ledger, point: str) -> None:
    host = cloud.lab[0]
    place = ["--host", "a", "--path", "/srv/second", "--capacity", "1GiB"]
    _dies(
        cloud, point, lambda: cloud.sysadm("pool", "add", "second", "--type", "dir", *place, "--no-wait", check=False)
    )
    _tasks_end(cloud, ledger)
    assert cloud.sysadm("pool", "show", "second", "-o", "json").data["state"] in ("active", "present", "up")
    host.kill_hostd()
    _dies(cloud, point, lambda: cloud.sysadm("pool", "delete", "second", "--yes", "--no-wait", check=False))
    _tasks_end(cloud, ledger)
    assert [row["name"] for row in cloud.sysadm("pool", "list", "-o", "json").data] == ["pool-a"]
    connection = host.libvirt()
    assert len(connection.listAllStoragePools()) <= 1
    connection.close()


@pytest.mark.parametrize("point", [*EVERY, *IMAGE])
def test_an_image_registered_and_deleted_across_deaths_is_whole_or_gone(
    cloud: Cloud, ledger: Ledger, point: str
) -> None:
    host = cloud.lab[0]
    file = host.srv / "acme/disk.raw"
    file.write_bytes(bytes(1 << 20))
    add = ("image", "add", "picture", "--file", "disk.raw", "--format", "raw", "--no-wait")
    # A check only looks: there is nothing of which it could come after.
    _dies(cloud, "before_image" if point == "after_image" else point, lambda: cloud.zhao(*add, check=False))
    _tasks_end(cloud, ledger)
    assert [row["name"] for row in cloud.zhao("image", "list", "-o", "json").data] == ["picture"]
    host.kill_hostd()
    _dies(cloud, point, lambda: cloud.zhao("image", "delete", "picture", "--yes", "--no-wait", check=False))
    _tasks_end(cloud, ledger)
    assert cloud.zhao("image", "list", "-o", "json").data == []
    assert not file.exists()


@pytest.mark.timeout(600)
def test_hostd_killed_twenty_times_at_random_while_people_work(cloud: Cloud, ledger: Ledger) -> None:
    host = cloud.lab[0]
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    host.start_hostd()
    names = [f"vm{number}" for number in range(4)]
    uuids = {name: cloud.add_vm(name) for name in names}
    end = threading.Event()
    workers = [
        threading.Thread(target=_work, args=(host, name, end, random.Random(seed + n))) for n, name in enumerate(names)
    ]
    workers.append(threading.Thread(target=_store, args=(host, end)))
    with QemuWatch([host]) as watch:
        for worker in workers:
            worker.start()
        try:
            # On a busy machine the first twenty may leave no time for any start: then they come ever more seldom.
            for kill in itertools.count():
                if kill >= 20 and watch.most:
                    break
                assert kill < 60, f"no VM ever ran (seed {seed})\n{cloud.vms()}\n{host.logs()}"
                time.sleep(dice.uniform(0.05, 1.2) if kill < 20 else dice.uniform(1.0, 12.0))
                host.kill_hostd()
                host.start_hostd(wait=False)
        finally:
            end.set()
            for worker in workers:
                worker.join(120)
        host.wait_for_hostd()
        wait_until(lambda: not ledger.open_tasks(), "the end of all tasks", 120, host.logs)

        def settled() -> bool:
            rows = cloud.vms()
            return all(
                (rows[name]["state"] == "running") == (rows[name]["power"] == "on") == bool(host.qemu_pids(uuid))
                for name, uuid in uuids.items()
            )

        wait_until(settled, f"VMs as they were asked to be (seed {seed})", 120, lambda: f"{cloud.vms()}\n{host.logs()}")
        watch.settle(1.0)
    assert max(watch.most.values()) == 1, f"a VM ran twice at one time (seed {seed})"
    ledger.check()
    rows = {row["name"] for row in cloud.zhao("volume", "list", "-o", "json").data}
    assert rows == set(names_in(host.srv / "pool")), f"volumes without files or files without volumes (seed {seed})"
    for name in rows:
        cloud.zhao("volume", "delete", f"pool-a/{name}", "--yes", "--wait")


def _work(host: LabHost, name: str, end: threading.Event, dice: random.Random) -> None:
    """Somebody who switches a VM on and off and does not mind what is answered."""
    while not end.is_set():
        verb = dice.choice((("start",), ("stop", "--force")))
        host.dosvm("vm", verb[0], name, *verb[1:], "--no-wait", account=ZHAO[0], password=ZHAO[1], check=False)
        end.wait(dice.uniform(0, 0.5))


def _store(host: LabHost, end: threading.Event) -> None:
    """Somebody who makes and deletes volumes."""
    number = 0
    while not end.is_set():
        number += 1
        for words in (
            ("add", f"d{number}", "--pool", "pool-a", "--capacity", "16MiB"),
            ("delete", f"pool-a/d{number}", "--yes"),
        ):
            host.dosvm("volume", *words, "--no-wait", account=ZHAO[0], password=ZHAO[1], check=False)
            end.wait(0.2)


def _virtual_size(host: LabHost, path: str) -> int:
    import json

    # The file is not in use: nothing runs on it.
    size: int = json.loads(host.run(["qemu-img", "info", "-f", "qcow2", "--output=json", path]).out)["virtual-size"]
    return size


def test_no_password_is_in_any_log_or_file(cloud: Cloud) -> None:
    host = cloud.lab[0]
    files = [path for path in host.root.rglob("*") if path.is_file() and not path.is_symlink() and _ours(path)]
    assert files
    for file in files:
        content = file.read_bytes()
        for _account, password in (SYSADM, ZHAO):
            assert password.encode() not in content, f"a password is in {file}"


def _ours(path: Path) -> bool:
    return path.suffix in (".log", ".db", ".toml", ".json", ".db-wal", "") and path.stat().st_size < 64 << 20
