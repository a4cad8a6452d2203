"""Two hosts that talk mutual TLS, and a machine that only has a console: what each sees, and who is kept out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cloud import SYSADM, ZHAO, Cloud
from tests.lab.host import Answer, LabHost
from tests.lab.lab import Lab
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.timeout(300)]
PORT = 5555

#: Run on a host: a TLS handshake with or without a certificate, and what became of it.
_KNOCK = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(sys.argv[2] + "/cacert.pem")
if len(sys.argv) > 3:
    context.load_cert_chain(sys.argv[2] + "/cert.pem", sys.argv[2] + "/key.pem")
try:
    connection = context.wrap_socket(socket.create_connection((sys.argv[1], 5555)), server_hostname=sys.argv[1])
    serial = connection.getpeercert()["serialNumber"]
    connection.sendall(b"POST /v1/hello HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
    print(serial, connection.recv(100).split(b"\\r\\n")[0].decode())
except OSError as error:
    print("refused", error)
"""


class Safe:
    """The cloud with certificates, and the home of a console on host b that has nothing but a certificate."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.a, self.b = cloud.lab.hosts
        self.ca = cloud.lab.root / "ca"
        shutil.rmtree(self.ca, ignore_errors=True)
        self.a.dosvm("cert", "init", "--ca", str(self.ca))
        for host in cloud.lab.hosts:
            self.a.dosvm("cert", "issue", host.name, "--ip", host.address, "--ca", str(self.ca))
            host.dosvm("cert", "hostd", str(self.ca / "issued" / host.name), "--install")
        self.desk = self.b.root / "people/desk"
        for name, address in (("desk", self.b.address), ("elsewhere", "10.77.0.77")):
            self.a.dosvm("cert", "issue", name, "--ip", address, "--console", "--ca", str(self.ca))
            shutil.copytree(self.ca / "issued" / name / "console", self.desk / name)

    def switch(self, host: LabHost, on: bool) -> None:
        """Write ``use_ssl``, and restart hostd."""
        file = host.home / "dosvm.toml"
        file.write_text(file.read_text().partition("\n[ssl]")[0] + f"\n[ssl]\nuse_ssl = {str(on).lower()}\n")
        if host.hostd is not None:
            host.kill_hostd()
        (host.root / "hostd.log").write_text("")
        host.start_hostd()

    def console(self, *words: str, account: tuple[str, str] = SYSADM, check: bool = True) -> Answer:
        """A command at the machine that has a console only."""
        environment = {"DOSVM_HOME": str(self.desk)}
        return self.b.dosvm(*words, account=account[0], password=account[1], check=check, environment=environment)

    def point(self, *hosts: LabHost, name: str = "desk", check: bool = True, extra: tuple[str, ...] = ()) -> Answer:
        """Name the hosts that the console asks."""
        place = self.desk / name
        files = ["--ssl-cert", str(place / "cert.pem"), "--ssl-key", str(place / "key.pem")]
        files += ["--ssl-ca", str(place / "cacert.pem")]
        addresses = ",".join(host.address for host in hosts)
        words = ["console-settings", "edit", "--hosts", addresses, "--use-ssl", *files, *extra]
        return self.console(*words, check=check)

    def knock(self, at: LabHost, to: LabHost, place: Path, *, certificate: bool = True) -> str:
        """A connection by hand from one host to another."""
        words = [str(Path(at.environment()["PATH"].split(":")[0]) / "python"), "-c", _KNOCK, to.address, str(place)]
        return at.run([*words, *(["certificate"] if certificate else [])]).out.strip()

    def logged(self, host: LabHost, text: str) -> None:
        """Wait until a host's log says something."""
        log = host.root / "hostd.log"
        wait_until(lambda: text in log.read_text(), f"{text!r} in the log of {host.name}", 30, host.logs)


@pytest.fixture(scope="module")
def safe(two_hosts: Lab) -> Iterator[Safe]:
    """A cloud whose hosts both have TLS on."""
    made = Safe(Cloud(two_hosts))
    for host in two_hosts.hosts:
        made.switch(host, True)
    made.cloud.wait_for_hosts()
    yield made
    two_hosts.mend()


@pytest.fixture(autouse=True)
def _mended(safe: Safe) -> Iterator[None]:
    yield
    for host in safe.cloud.lab.hosts:
        if host.hostd is None or not host.hostd.running:
            host.start_hostd()


def test_hosts_hear_each_other_over_tls(safe: Safe) -> None:
    safe.cloud.add_vm("web-b", host=safe.b)
    assert safe.cloud.vm("web-b", at=safe.b)["state"] == "running"
    rows = safe.cloud.sysadm("host", "list", "-o", "json").data
    assert {row["name"]: row["state"] for row in rows} == {"a": "up", "b": "up"}
    for host, other in ((safe.a, "b"), (safe.b, "a")):
        assert safe.cloud.sysadm("host", "samples", other, "-o", "json", at=host).data
    safe.cloud.remove_vms()


def test_nothing_else_listens(safe: Safe) -> None:
    for host in safe.cloud.lab.hosts:
        listening = [line.split()[3] for line in host.run(["ss", "-Hltn"]).out.splitlines()]
        assert listening == [f"{host.address}:{PORT}"]
        assert host.run(["ss", "-Hlun"]).out == ""


def test_without_a_certificate_or_with_that_of_another_address_nobody_is_let_in(safe: Safe) -> None:
    assert "certificate required" in safe.knock(safe.b, safe.a, safe.desk / "desk", certificate=False)
    assert safe.knock(safe.b, safe.a, safe.desk / "desk").endswith("200 OK")
    assert safe.knock(safe.b, safe.a, safe.desk / "elsewhere").endswith("403 Refused")
    safe.logged(safe.a, "it showed no certificate")
    safe.logged(safe.a, "does not name this address")
    # A certificate that was stolen from b is worth nothing at a.
    assert safe.knock(safe.a, safe.b, safe.desk / "desk").endswith("403 Refused")


def test_a_machine_with_only_a_console_drives_the_cloud(safe: Safe) -> None:
    said = safe.point(safe.a)
    assert f"{safe.a.address}:{PORT}" in said.out
    assert not (safe.desk / "cluster.key").exists()
    assert {row["name"] for row in safe.console("host", "list", "-o", "json").data} == {"a", "b"}
    safe.console("vm", "add", "far", "--instance", "tiny", account=ZHAO)
    safe.console("vm", "start", "far", "--host", "a", "--wait", account=ZHAO)
    assert safe.cloud.vm("far")["state"] == "running"
    logged = safe.cloud.sysadm("log", "list", "--sort", "-at", "-o", "json").data
    assert {row["address"] for row in logged if row["target"] == "far" or row["name"] == "far"} == {safe.b.address}
    safe.cloud.remove_vms()


def test_a_wrong_password_is_wrong_there_as_well_and_in_no_log(safe: Safe) -> None:
    safe.point(safe.a)
    answer = safe.console("host", "list", account=("sysadm", "canary-4711-wrong"), check=False)
    assert answer.code == 1
    assert "wrong" in answer.err
    for host in safe.cloud.lab.hosts:
        text = (host.root / "hostd.log").read_text()
        assert "canary" not in text
        assert SYSADM[1] not in text
    safe.console("host", "list")  # ends the row of wrong ones


def test_what_does_not_answer_is_not_saved_unless_told(safe: Safe) -> None:
    safe.point(safe.a)
    before = (safe.desk / "console.toml").read_text()
    refused = safe.point(safe.a, name="elsewhere", check=False)
    assert refused.code == 1
    assert "elsewhere" in refused.err
    assert safe.b.address in refused.err
    assert len(refused.err.splitlines()) == 1
    assert (safe.desk / "console.toml").read_text() == before
    safe.point(safe.a, name="elsewhere", extra=("--anyway",))
    assert "elsewhere" in safe.console("host", "list", check=False).err
    safe.point(safe.a)


def test_when_one_hostd_is_gone_the_next_is_asked(safe: Safe) -> None:
    safe.point(safe.a, safe.b)
    safe.a.kill_hostd()
    rows = safe.console("host", "list", "-o", "json").data
    assert {row["name"] for row in rows} == {"a", "b"}
    tried = safe.console("console-settings", "test", check=False)
    assert tried.code == 0
    assert "does not answer" in tried.out
    assert f"{safe.b.address}:{PORT}" in tried.out


def test_one_side_without_tls_is_told_on_both_sides(safe: Safe) -> None:
    safe.switch(safe.b, False)
    try:
        safe.cloud.sysadm("project", "edit", "web", "--description", "from a", at=safe.a)
        safe.logged(safe.a, "talks without TLS, and this side with it")
        safe.logged(safe.b, "it talks TLS, and use_ssl is off here")
        safe.cloud.sysadm("project", "edit", "web", "--description", "from b", at=safe.b)
        safe.logged(safe.b, "talks TLS only, and this side without it")
        safe.logged(safe.a, "it talks without TLS, and use_ssl is on here")
        refused = safe.point(safe.b, check=False)
        assert refused.code == 1
        assert "talks without TLS" in refused.err
    finally:
        safe.switch(safe.b, True)
    safe.cloud.wait_for_hosts()


def test_a_certificate_is_renewed_while_hostd_runs(safe: Safe) -> None:
    assert safe.a.hostd is not None
    pid = safe.a.hostd.pid
    before = safe.knock(safe.b, safe.a, safe.desk / "desk").split()[0]
    safe.a.dosvm("cert", "issue", "a", "--renew", "--ca", str(safe.ca))
    safe.a.dosvm("cert", "hostd", str(safe.ca / "issued/a"), "--install", "--renew")
    after = safe.knock(safe.b, safe.a, safe.desk / "desk")
    assert after.endswith("200 OK")
    assert after.split()[0] != before
    assert safe.a.hostd.pid == pid
    assert safe.a.hostd.running
    findings = json.loads(safe.a.dosvm("doctor", "-o", "json", check=False).out)
    assert {finding["level"] for finding in findings if finding["check"] == "TLS"} == {"ok"}


def test_libvirtd_takes_what_was_put_in_its_place_and_a_console_is_not_let_in(safe: Safe) -> None:
    try:
        for host in (safe.a, safe.b):
            host.own_etc()
            host.dosvm("cert", "libvirt", str(safe.ca / "issued" / host.name), "--install")
        safe.a.kill_libvirtd(stay_down=True)
        daemon = safe.a.world.spawn(["libvirtd", "--listen"], safe.a.environment(), safe.a.root / "libvirtd.log")
        safe.a.wait_for_libvirt()
        virsh = ["virsh", "-q", "-c", "qemu+tls://a/system", "hostname"]
        assert safe.b.run(virsh).out.strip() == "a"
        for name in ("cert", "key"):
            place = "private/" if name == "key" else ""
            shutil.copy(safe.desk / f"desk/{name}.pem", safe.b.root / f"own-etc/pki/libvirt/{place}client{name}.pem")
        assert safe.b.run(virsh, check=False).code != 0
        daemon.kill()
    finally:
        safe.a.start_libvirtd()
