"""The lab itself: hosts are apart, guests answer, and nothing is left over."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.guests import sample_domain, tiny_domain
from tests.lab.host import REPOSITORY
from tests.lab.lab import Lab
from tests.lab.namespaces import processes, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


def test_each_host_has_its_own_libvirt_and_knows_the_other_by_name(two_hosts: Lab) -> None:
    a, b = two_hosts.hosts
    for host in (a, b):
        connection = host.libvirt()
        assert connection.getHostname() == host.name
        assert f"<uuid>{host.uuid}</uuid>" in connection.getCapabilities()
        connection.close()
    assert b.address in a.run(["getent", "hosts", "b"]).out
    assert a.run(["test", "-e", "/dev/kvm"], check=False).code != 0
    (a.srv / "only-here").touch()
    assert "only-here" in a.run(["ls", "/srv"]).out.split()
    assert "only-here" not in b.run(["ls", "/srv"]).out.split()
    (a.srv / "only-here").unlink()


def test_hosts_reach_the_database_and_each_other_until_the_cable_is_pulled(two_hosts: Lab) -> None:
    a, b = two_hosts.hosts
    reach = ["bash", "-c", "timeout 2 bash -c ': > /dev/tcp/10.77.0.254/3306'"]
    for host in (a, b):
        host.run(reach)
    b.partition()
    try:
        assert b.run(reach, check=False).code != 0
        a.run(reach)
    finally:
        b.heal()
    wait_until(lambda: b.run(reach, check=False).code == 0, "the network's return", 10)


def test_a_guest_answers_on_its_serial_console(one_host: Lab) -> None:
    host = one_host[0]
    connection = host.libvirt()
    domain = connection.createXML(sample_domain())
    uuid = domain.UUIDString()
    try:
        assert len(host.qemu_pids(uuid)) == 1
        with host.serial(uuid) as console:
            console.wait_for_shell()
            assert console.shell("echo $((6 * 7))").strip() == "42"
    finally:
        domain.destroy()
        connection.close()
    wait_until(lambda: not host.qemu_pids(uuid), "the end of QEMU", 5)


def test_vms_live_on_when_libvirtd_is_killed_and_end_with_the_host(one_host: Lab) -> None:
    host = one_host[0]
    connection = host.libvirt()
    uuid = connection.createXML(tiny_domain()).UUIDString()
    before = host.qemu_pids(uuid)
    host.kill_libvirtd()
    host.wait_for_libvirt()
    again = host.libvirt()
    assert again.lookupByUUIDString(uuid).isActive()
    assert host.qemu_pids(uuid) == before
    again.close()
    host.crash()
    assert not one_host.world.processes("qemu-system-x86_64")
    host.boot()
    fresh = host.libvirt()
    assert fresh.listAllDomains() == []
    fresh.close()


def test_nothing_is_left_over_when_a_lab_closes() -> None:
    lab = Lab(hosts=1)
    connection = lab[0].libvirt()
    connection.createXML(tiny_domain())
    connection.close()
    root, namespaces = lab.root, {lab.world.identity, lab[0].world.identity}
    assert processes(namespaces)
    lab.close()
    assert not processes(namespaces)
    assert not root.exists()
    assert str(root) not in Path("/proc/mounts").read_text()


def test_nothing_lives_on_when_the_tests_are_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from tests.lab.lab import Lab\n"
        "lab = Lab(hosts=1, database='mariadb')\n"
        "print(lab.root, lab.world.identity, lab[0].world.identity, lab.mariadb._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as tests:
        assert tests.stdout is not None
        root, *namespaces, server = tests.stdout.readline().split()
        tests.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes(namespaces), "the end of its processes", 20, lambda: str(processes(namespaces)))
    wait_until(lambda: not Path(f"/proc/{server}/cmdline").exists(), "the end of its database", 20)
    subprocess.run(["rm", "-rf", root], check=True)
