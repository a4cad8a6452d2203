"""What cannot be done: one sentence that says what is wrong and what to do, exit code 1, and nothing half-made."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import Answer
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

TABLES = ("machine", "instance", "volume", "image", "pool", "project", "user", "host_group", "project_group")
#: Names that are only names.
ODD_NAMES = ("[red]x", "'; DROP TABLE machine; --", "汉" * 64, "🦊", "a b", "${HOME}", "%s%n", "名 字")


@pytest.fixture(scope="module")
def cloud(small_cloud: Cloud) -> Cloud:
    """A cloud with a VM ``one``, a volume ``disk`` and the limits full but for a little."""
    small_cloud.add_vm("one")
    small_cloud.zhao("volume", "add", "disk", "--pool", "pool-a", "--capacity", "64MiB", "--wait")
    small_cloud.sysadm("project", "configure", "web", "--max-disk", "256MiB", "--max-images", "1")
    return small_cloud


def _everything(cloud: Cloud) -> dict[str, object]:
    """What must be the same after something was refused: all rows but logs and tasks, all files of pools and group."""
    rows: dict[str, object] = {
        table: sorted(map(str, cloud.lab.rows(f"SELECT name FROM {table}"))) for table in TABLES if table != "user"
    }
    rows["user"] = cloud.lab.rows("SELECT account FROM user ORDER BY account")
    srv = cloud.lab[0].srv
    rows["files"] = sorted(str(path.relative_to(srv)) for path in srv.rglob("*"))
    return rows


def _refused(answer: Answer, *words: str) -> str:
    """Check that it is one sentence, exit code 1, and that these words are in it."""
    assert answer.code == 1, str(answer)
    assert answer.out == "", str(answer)
    assert len(answer.err.splitlines()) == 1, str(answer)
    assert "Traceback" not in answer.err, str(answer)
    for word in words:
        assert word in answer.err, str(answer)
    return answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("volume add big --pool pool-a --capacity 1GiB", ["256 MiB", "832 MiB"]),
        ("volume add disk --pool pool-a --capacity 16MiB", ["disk"]),
        ("volume add other --pool nowhere --capacity 16MiB", ["nowhere"]),
        ("volume add ../../etc/passwd --pool pool-a --capacity 16MiB", ["NAME"]),
        ("volume grow pool-a/disk --capacity 64MiB", []),
        ("volume grow pool-a/none --capacity 128MiB", ["none"]),
        ("volume delete pool-a/none --yes", ["none"]),
        ("vm add one --instance tiny", ["one"]),
        ("vm add two --instance none", ["none"]),
        ("vm add a/b --instance tiny", ["NAME"]),
        ("vm start none", ["none"]),
        ("vm start one --host nowhere", ["nowhere"]),
        ("vm suspend one", []),
        ("vm delete none --yes", ["none"]),
        ("instance add tiny --vcpus 1 --memory 16MiB", ["tiny"]),
        ("instance add odd --vcpus 1 --memory 16MiB --disk volume=pool-a/none", ["none"]),
        ("instance add odd --vcpus 1 --memory 16MiB --disk image=none", ["none"]),
        ("instance delete tiny --yes", ["one"]),
        ("image add picture --file none.iso --format raw", ["none.iso"]),
        ("image add picture --file ../secret --format raw", []),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(cloud: Cloud, words: str, said: list[str]) -> None:
    before = _everything(cloud)
    _refused(cloud.zhao(*words.split(), check=False), *said)
    assert _everything(cloud) == before


@pytest.mark.parametrize(
    ("format_", "make", "said"),
    [
        ("qcow2", "text", ["qcow2"]),
        ("qcow2", "raw", ["qcow2"]),
        ("qcow2", "backing", ["/etc/passwd"]),
        ("qcow2", "data-file", []),
    ],
)
def test_an_image_that_is_not_what_it_says_is_not_registered(
    cloud: Cloud, format_: str, make: str, said: list[str]
) -> None:
    file = cloud.lab[0].srv / "acme/odd.img"
    file.unlink(missing_ok=True)
    _make(file, make)
    before = _everything(cloud)
    add = ("image", "add", "odd", "--file", "odd.img", "--format", format_, "--wait")
    _refused(cloud.zhao(*add, check=False), *said)
    assert _everything(cloud) == before
    for left in file.parent.iterdir():
        left.unlink()


def _make(file: Path, what: str) -> None:
    if what == "text":
        file.write_text("no disk\n" * 100)
    elif what == "raw":
        file.write_bytes(bytes(1 << 20))
    elif what == "backing":
        _qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", file, "1M")
    else:
        _qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={file}.data", file, "1M")


def _qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def test_a_vm_whose_volume_is_gone_does_not_start_and_says_why(cloud: Cloud) -> None:
    host = cloud.lab[0]
    disk = ["--disk", "volume=pool-a/disk,bus=virtio"]
    cloud.zhao("instance", "add", "with-disk", "--vcpus", "1", "--memory", "16MiB", *disk)
    cloud.zhao("vm", "add", "two", "--instance", "with-disk")
    file = host.srv / "pool/disk"
    aside = host.srv / "aside"
    file.rename(aside)
    try:
        _refused(cloud.zhao("vm", "start", "two", "--wait", check=False), "disk")
        row = cloud.vm("two")
        assert "disk" in str(row["start_error"])
        assert row["state"] in ("off", "failed")
        assert not host.qemu_pids(row["uuid"])
    finally:
        aside.rename(file)
    # It was asked to run: it does, as soon as it can.
    cloud.wait_for_state("two", "running", 20)
    cloud.zhao("vm", "stop", "two", "--force", "--wait")
    cloud.zhao("vm", "delete", "two", "--yes")
    cloud.zhao("instance", "delete", "with-disk", "--yes")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_only_names(cloud: Cloud, name: str) -> None:
    cloud.zhao("instance", "add", name, "--display-name", name, "--vcpus", "1", "--memory", "16MiB")
    row = cloud.zhao("instance", "show", name, "-o", "json").data
    assert (row["name"], row["display_name"]) == (name, name)
    assert name in cloud.zhao("instance", "list").out
    cloud.zhao("vm", "add", "odd", "--instance", name)
    assert cloud.vm("odd")["instance"] == name
    cloud.zhao("vm", "start", "odd", "--wait")
    assert cloud.vm("odd")["state"] == "running"
    cloud.zhao("vm", "stop", "odd", "--force", "--wait")
    cloud.zhao("vm", "delete", "odd", "--yes")
    cloud.zhao("instance", "delete", name, "--yes")
    assert name in cloud.sysadm("log", "list", "--search", name, "-o", "json").out


def test_commands_wait_for_a_hostd_that_is_gone_and_then_say_so(cloud: Cloud) -> None:
    host = cloud.lab[0]
    before = _everything(cloud)
    host.kill_hostd()
    try:
        begin = time.monotonic()
        _refused(cloud.zhao("vm", "start", "one", check=False), "hostd")
        assert time.monotonic() - begin < 25
    finally:
        host.start_hostd()
    assert _everything(cloud) == before
    assert cloud.vm("one")["power"] == "off"


def test_a_database_file_that_is_gone_stops_no_vm_and_works_again_when_it_is_back(cloud: Cloud) -> None:
    host = cloud.lab[0]
    cloud.zhao("vm", "start", "one", "--wait")
    pids = host.qemu_pids()
    here = host.home / "cloud.db"
    away = host.home / "away"
    away.mkdir()
    files = [path for path in (here, here.with_name("cloud.db-wal"), here.with_name("cloud.db-shm")) if path.exists()]
    for file in files:
        file.rename(away / file.name)
    try:
        _refused(cloud.zhao("vm", "list", check=False), "database")
        _refused(cloud.zhao("vm", "stop", "one", "--force", check=False), "database")
        time.sleep(2)
        assert host.qemu_pids() == pids
        assert not here.exists(), "an empty database was put in its place"
    finally:
        # The database itself comes last: nobody opens it beside a log that is not its own.
        for file in reversed(files):
            (away / file.name).rename(file)
        away.rmdir()
    wait_until(lambda: cloud.zhao("vm", "list", check=False).code == 0, "the database's return", 10, host.logs)
    assert cloud.vm("one")["state"] == "running"
    assert host.qemu_pids() == pids
    cloud.zhao("vm", "stop", "one", "--force", "--wait")


@pytest.fixture
def without_libvirtd(cloud: Cloud) -> Iterator[Cloud]:
    """The cloud while its host's libvirtd is dead."""
    host = cloud.lab[0]
    host.kill_libvirtd(stay_down=True)
    yield cloud
    host.start_libvirtd()


def test_without_libvirtd_a_start_says_so_and_nothing_is_half_made(without_libvirtd: Cloud) -> None:
    cloud = without_libvirtd
    host = cloud.lab[0]
    before = _everything(cloud)
    wait_until(lambda: cloud.sysadm("host", "show", "a", "-o", "json").data["hypervisor_error"], "the host's error", 10)
    _refused(cloud.zhao("vm", "start", "one", "--wait", check=False), "libvirtd")
    assert cloud.vm("one")["power"] == "off"
    assert _everything(cloud) == before
    # The volumes of a directory are files: they need no libvirtd.
    cloud.zhao("volume", "add", "other", "--pool", "pool-a", "--capacity", "16MiB", "--wait")
    cloud.zhao("volume", "delete", "pool-a/other", "--yes", "--wait")
    assert _everything(cloud) == before
    host.start_libvirtd()
    wait_until(lambda: not cloud.sysadm("host", "show", "a", "-o", "json").data["hypervisor_error"], "libvirtd", 10)
    cloud.zhao("vm", "start", "one", "--wait")
    assert len(host.qemu_pids()) == 1
    cloud.zhao("vm", "stop", "one", "--force", "--wait")


def test_nothing_of_all_this_left_a_traceback_in_the_log(cloud: Cloud) -> None:
    log = (cloud.lab[0].root / "hostd.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
