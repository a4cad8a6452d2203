"""VMs are migrated as they run while a host is emptied: they never run twice, and whatever dies, none is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import libvirt
import pytest

from tests.lab.cloud import Cloud
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.namespaces import wait_until
from tests.lab.serial import Serial
from tests.lab.watch import Watch

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

SOON = 90.0
#: MiB per second: slow enough that a migration takes some seconds, and something can happen in the middle.
SPEED = 12
#: For libvirtd's qemu.conf: that the other one is gone is noticed within 6 s, instead of half a minute.
_KEEPALIVE = "keepalive_interval = 2\nkeepalive_count = 2\n"
#: Has some memory that must be sent, and counts on the console, ten times a second.
_TICKS = (
    "dd if=/dev/urandom of=/tmp/x bs=1M count=24; (while :; do i=$((i+1)); echo tick-$i-; usleep 100000; done) & true"
)
#: Where hostd dies, on the host that the VM leaves (a) or on the other one; all but the first three are for soaking.
DEATHS = (
    ("a", "moving"),
    ("a", "after_hand_over"),
    ("b", "before_arrival"),
    ("b", "claimed"),
    ("b", "before_finish"),
    ("a", "before_move"),
    ("a", "after_move"),
    ("a", "before_finish"),
    ("b", "before_finish:2"),
)


class RunWatch(Watch):
    """Watches by libvirt itself where a VM's processors run; ``twice`` says whether they ever did on two hosts."""

    def __init__(self, hosts: list[LabHost], uuid: str) -> None:
        super().__init__("run-watch")
        self._hosts = hosts
        self._uuid = uuid
        self.twice = 0
        self.looks = 0

    def _run(self) -> None:
        open_: dict[str, libvirt.virConnect] = {}
        while not self._end.wait(0.01):
            running = []
            for host in self._hosts:
                try:
                    if not host.running:
                        open_.pop(host.name, None)
                        continue
                    if host.name not in open_:
                        open_[host.name] = host.libvirt()
                    state = open_[host.name].lookupByUUIDString(self._uuid).state()[0]
                except AssertionError:
                    continue  # it lost its power at this very moment
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                        open_.pop(host.name, None)
                    continue
                if state == libvirt.VIR_DOMAIN_RUNNING:
                    running.append(host.name)
            self.looks += 1
            if len(running) > 1 and self._really(open_):
                self.twice += 1
        for connection in open_.values():
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()

    def _really(self, open_: dict[str, libvirt.virConnect]) -> bool:
        """Between two looks it may have gone from one to the other: whether both say so still, asked backwards."""
        for host in reversed(self._hosts):
            try:
                state = open_[host.name].lookupByUUIDString(self._uuid).state()[0]
            except (libvirt.libvirtError, KeyError):
                return False
            if state != libvirt.VIR_DOMAIN_RUNNING:
                return False
        return True


@pytest.fixture(scope="module")
def open_cloud() -> Iterator[Cloud]:
    """See :meth:`Cloud.with_migration`."""
    lab = Lab(hosts=2)
    for host in lab.hosts:
        with (host.root / "etc/qemu.conf").open("a") as file:
            file.write(_KEEPALIVE)
    cloud = Cloud.with_migration(lab, migration_speed=SPEED)
    yield cloud
    lab.close()


@pytest.fixture
def cloud(open_cloud: Cloud) -> Cloud:
    """All its parts up, and ``guest`` running on host a, its system ready."""
    cloud = open_cloud
    cloud.lab.mend()
    cloud.wait_for_hosts(states=("up", "draining", "drained"))
    if _host(cloud)["drain"]:
        _bring_back(cloud)
    if "guest" not in cloud.vms():
        cloud.add_vm("guest", instance="sample")
    wait_until(lambda: not _open_tasks(cloud), "the end of all tasks", SOON, lambda: _logs(cloud))
    if cloud.vm("guest")["power"] == "on":
        cloud.zhao("vm", "stop", "guest", "--force", "--wait")
    cloud.zhao("vm", "start", "guest", "--host", "a", "--wait")
    wait_until(lambda: bool(_url(cloud)), "a libvirtd that listens", 60, lambda: _logs(cloud))
    return cloud


def _url(cloud: Cloud) -> object:
    return cloud.lab.rows("SELECT migration_url FROM host WHERE name = ?", "b")[0][0]


def _open_tasks(cloud: Cloud) -> int:
    return int(cloud.lab.rows("SELECT COUNT(*) FROM task WHERE state IN ('queued', 'running')")[0][0])


def _host(cloud: Cloud, at: int = 0) -> dict[str, object]:
    row: dict[str, object] = cloud.sysadm("host", "show", "a", "-o", "json", at=cloud.lab[at]).data
    return row


def _tasks(cloud: Cloud, uuid: str) -> list[dict[str, object]]:
    """The tasks of a VM, the newest first."""
    words = ["--filter", f"target={uuid}", "--sort", "-created", "--limit", "9", "-o", "json"]
    rows: list[dict[str, object]] = cloud.sysadm("task", "list", *words).data
    return rows


def _logs(cloud: Cloud) -> str:
    return "\n".join(host.logs() for host in cloud.lab.hosts)


def _drain(cloud: Cloud, at: int = 0) -> None:
    cloud.sysadm("host", "drain", "a", "--policy", "migrate", "--yes", "--no-wait", at=cloud.lab[at])


def _bring_back(cloud: Cloud, at: int = 0) -> None:
    cloud.sysadm("host", "undrain", "a", "--yes", at=cloud.lab[at])


def _ticking(host: LabHost, uuid: str) -> None:
    with host.serial(uuid) as console:
        console.wait_for_shell()
        console.shell(_TICKS)
        console.expect(r"tick-\d+-", 20)


def _tick(host: LabHost, uuid: str) -> int:
    """The number that the guest counts now; it must count on, of this run."""
    with host.serial(uuid) as console:
        return _next(console)


def _next(console: Serial) -> int:
    match = console.expect(r"tick-(\d+)-", 30)
    return int(match[1])


def _wait_runs(cloud: Cloud, uuid: str, host: LabHost, at: int = 0) -> None:
    def runs() -> bool:
        row = cloud.vm("guest", at=cloud.lab[at])
        return bool(row["state"] == "running" and row["host"] == host.name and len(host.qemu_pids(uuid)) == 1)

    wait_until(runs, f"guest on {host.name}", SOON, lambda: f"{cloud.vm('guest', at=cloud.lab[at])}\n{_logs(cloud)}")


def _only(cloud: Cloud, uuid: str, host: LabHost) -> None:
    """Nothing of it is left on the other host."""
    other = cloud.lab[1] if host is cloud.lab[0] else cloud.lab[0]
    wait_until(lambda: not other.qemu_pids(uuid), f"no copy on {other.name}", SOON, lambda: _logs(cloud))


def test_a_guest_counts_on(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    started = cloud.vm("guest")["started"]
    plan = cloud.sysadm("host", "drain-plan", "a", "-o", "json").data
    assert plan["migrate"] == [{"name": "guest", "host": "b"}]
    last = _tick(a, uuid)
    with RunWatch(cloud.lab.hosts, uuid) as watch:
        _drain(cloud)
        _wait_runs(cloud, uuid, b)
        time.sleep(1)
    assert watch.twice == 0
    assert watch.looks > 20
    assert _tick(b, uuid) > last
    _only(cloud, uuid, b)
    row = cloud.vm("guest")
    assert (row["power"], row["moves_to"], row["waits_for"], row["started"]) == ("on", "", "", started)
    assert row["vnc_port"]
    wait_until(lambda: _host(cloud)["state"] == "drained", "an empty host", 20, lambda: _logs(cloud))
    assert [(task["kind"], task["state"]) for task in _tasks(cloud, uuid)[:3]] == [
        ("machine.arrive", "done"),
        ("machine.migrate", "done"),
        ("machine.receive", "done"),
    ]


def _counts_on(cloud: Cloud, uuid: str, last: int, host: LabHost, at: int = 0) -> None:
    """It runs on a host, once, and it is still the run that counted to ``last``."""
    _wait_runs(cloud, uuid, host, at)
    _only(cloud, uuid, host)
    assert _tick(host, uuid) > last


def _under_way(host: LabHost, uuid: str) -> bool:
    connection = host.libvirt()
    try:
        return bool(connection.lookupByUUIDString(uuid).jobStats().get("memory_total"))
    except libvirt.libvirtError:
        return False
    finally:
        connection.close()


def _in_the_middle(cloud: Cloud, uuid: str, seconds: float = 1.5) -> None:
    """Empty host a, and return when the VM's memory is being sent."""
    _drain(cloud)
    wait_until(lambda: _under_way(cloud.lab[0], uuid), "a migration under way", 30, lambda: _logs(cloud))
    time.sleep(seconds)


@pytest.mark.parametrize(
    ("where", "point"),
    [*DEATHS[:3], *(pytest.param(*death, marks=pytest.mark.soak) for death in DEATHS[3:])],
)
def test_hostd_dies_in_the_middle(cloud: Cloud, where: str, point: str) -> None:
    a, b = cloud.lab.hosts
    mortal, other = (a, 1) if where == "a" else (b, 0)
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    last = _tick(a, uuid)
    mortal.kill_hostd()
    mortal.start_hostd({"HOSTD_CRASH_AT": point})
    cloud.wait_for_hosts()
    daemon = mortal.hostd
    assert daemon is not None
    with RunWatch(cloud.lab.hosts, uuid) as watch:
        _drain(cloud, at=other)
        wait_until(lambda: not daemon.running, f"hostd's death at {point}", SOON, lambda: _logs(cloud))
        mortal.hostd = None
        daemon.starter.wait(10)
        mortal.start_hostd()
        _counts_on(cloud, uuid, last, b)
    assert watch.twice == 0
    wait_until(lambda: not _open_tasks(cloud), "the end of all tasks", SOON, lambda: _logs(cloud))


def test_taken_back_in_the_middle_it_stays_and_counts_on(cloud: Cloud) -> None:
    a = cloud.lab[0]
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    last = _tick(a, uuid)
    with RunWatch(cloud.lab.hosts, uuid) as watch:
        _in_the_middle(cloud, uuid)
        _bring_back(cloud)
        wait_until(lambda: not _open_tasks(cloud), "the end of all tasks", 20, lambda: _logs(cloud))
        _counts_on(cloud, uuid, last, a)
    assert watch.twice == 0
    assert cloud.vm("guest")["moves_to"] == ""


@pytest.mark.soak
def test_powered_off_in_the_middle_it_is_off(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    _in_the_middle(cloud, uuid)
    cloud.zhao("vm", "stop", "guest", "--force", "--wait")
    wait_until(lambda: not a.qemu_pids(uuid) and not b.qemu_pids(uuid), "its end", 20, lambda: _logs(cloud))
    time.sleep(8)
    assert (a.qemu_pids(uuid), b.qemu_pids(uuid)) == ([], [])
    assert cloud.vm("guest")["state"] == "off"


def test_the_network_is_cut_in_the_middle(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    last = _tick(a, uuid)
    with RunWatch(cloud.lab.hosts, uuid) as watch:
        _in_the_middle(cloud, uuid)
        b.partition()
        log, logged = a.root / "hostd.log", (a.root / "hostd.log").stat().st_size
        try:
            # It goes on where it is as long as nobody knows more; then it is stopped, because the host shall be empty.
            assert _tick(a, uuid) > last
            wait_until(lambda: _host(cloud)["state"] == "drained", "an empty host", 60, lambda: _logs(cloud))
            assert cloud.vm("guest")["waits_for"] == "a"
        finally:
            b.heal()
        (ended,) = [task for task in _tasks(cloud, uuid) if task["kind"] == "machine.migrate"][:1]
        assert (ended["state"], "other host broke" in str(ended["error"])) == ("failed", True), ended
        said = log.read_text()[logged:]
        assert "libvirtd went away" not in said, "it is the other one that is gone"
        assert said.count("libvirtd does not answer url=qemu+tcp") <= 1, "who does not answer is asked once"
        _wait_runs(cloud, uuid, b)
        _only(cloud, uuid, b)
    assert watch.twice == 0


@pytest.mark.soak
@pytest.mark.parametrize("where", ["a", "b"])
def test_libvirtd_dies_in_the_middle(cloud: Cloud, where: str) -> None:
    a, b = cloud.lab.hosts
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    with RunWatch(cloud.lab.hosts, uuid) as watch:
        _in_the_middle(cloud, uuid)
        (a if where == "a" else b).kill_libvirtd()
        _wait_runs(cloud, uuid, b)
        _only(cloud, uuid, b)
    assert watch.twice == 0
    wait_until(lambda: _host(cloud)["state"] == "drained", "an empty host", SOON, lambda: _logs(cloud))


@pytest.mark.soak
def test_the_target_loses_its_power_in_the_middle(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    _in_the_middle(cloud, uuid)
    b.crash()
    wait_until(lambda: _host(cloud)["state"] == "drained", "an empty host", 180, lambda: _logs(cloud))
    b.boot()
    b.start_hostd()
    _wait_runs(cloud, uuid, b)
    _only(cloud, uuid, b)


@pytest.mark.soak
def test_the_source_loses_its_power_in_the_middle(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    with RunWatch(cloud.lab.hosts, uuid) as watch:
        _in_the_middle(cloud, uuid)
        a.crash()
        time.sleep(10)
        a.boot()
        a.start_hostd()
        _wait_runs(cloud, uuid, b, at=1)
        _only(cloud, uuid, b)
    assert watch.twice == 0


@pytest.mark.soak
def test_the_database_dies_in_the_middle(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    lab = cloud.lab
    assert lab.mariadb is not None
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    last = _tick(a, uuid)
    with RunWatch(lab.hosts, uuid) as watch:
        # The lab's server writes its log to the disk once a second only.
        _in_the_middle(cloud, uuid, 2.0)
        lab.mariadb.kill()
        # It cannot be handed over now: it stands still on the other host, and goes on when it can.
        wait_until(lambda: not a.qemu_pids(uuid), "the end of the migration", SOON, lambda: _logs(cloud))
        time.sleep(3)
        lab.start_database()
        cloud.wait_for_hosts(states=("up", "draining", "drained"))
        _counts_on(cloud, uuid, last, b)
    assert watch.twice == 0


@pytest.mark.soak
def test_a_target_whose_libvirtd_is_dead(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    uuid = str(cloud.vm("guest")["uuid"])
    _ticking(a, uuid)
    b.kill_libvirtd(stay_down=True)
    try:
        _drain(cloud)
        wait_until(lambda: _host(cloud)["state"] == "drained", "an empty host", SOON, lambda: _logs(cloud))
        assert not a.qemu_pids(uuid)
    finally:
        b.start_libvirtd()
    _wait_runs(cloud, uuid, b)


def test_over_tls_by_the_certificates_that_dosvm_made(cloud: Cloud) -> None:
    a, b = cloud.lab.hosts
    authority = cloud.lab.root / "migration-ca"
    a.dosvm("cert", "init", "--ca", str(authority))
    for host in cloud.lab.hosts:
        host.own_etc()
        a.dosvm("cert", "issue", host.name, "--ip", host.address, "--ca", str(authority))
        host.dosvm("cert", "libvirt", str(authority / "issued" / host.name), "--install")
        host.kill_libvirtd()
        host.wait_for_libvirt()
        settings = host.home / "dosvm.toml"
        # Where it is not written, it is TLS.
        lines = [line for line in settings.read_text().splitlines() if not line.startswith("migration_url")]
        settings.write_text("\n".join(lines) + "\n")
        host.kill_hostd()
        host.start_hostd()
    cloud.wait_for_hosts()
    wait_until(lambda: _url(cloud) == f"qemu+tls://{b.address}/system", "TLS", 60, lambda: _logs(cloud))
    uuid = str(cloud.vm("guest")["uuid"])
    cloud.wait_for_state("guest", "running", 30)
    _ticking(a, uuid)
    last = _tick(a, uuid)
    with RunWatch(cloud.lab.hosts, uuid) as watch:
        _drain(cloud)
        _counts_on(cloud, uuid, last, b)
    assert watch.twice == 0
