"""Encrypted volumes on a real libvirt and QEMU; the values of their secrets are looked for everywhere after use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from core.security.sealed import SealedSecret, purpose
from core.security.vault import Vault
from hostd.hypervisor.connection import Connection
from hostd.hypervisor.secrets import Secrets
from tests.engine.hostd import Hostd, until
from tests.engine.libvirt import PrivateLibvirt
from tests.lab.serial import Serial

pytestmark = [pytest.mark.engine, pytest.mark.timeout(500)]
MIB = 1024**2
#: LUKS spends seconds of processor time on each key; machines may be busy.
PATIENCE = 90.0
CANARY = "Canary-in-the-coal-mine-4711"
WRONG = "Quite-another-value-0815"
WRITTEN = "plain-text-that-must-not-be-on-the-disk"
SAMPLE = Path(__file__).resolve().parents[2] / ".cache/sample-image/dosvm-sample.iso"


class Watch:
    """Reads the arguments and the environment of every process again and again, and keeps those with a text in them."""

    def __init__(self, *texts: str) -> None:
        self._texts = [text.encode() for text in texts]
        self.found: set[str] = set()
        self.looks = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    for part in ("cmdline", "environ"):
                        try:
                            data = Path(entry.path, part).read_bytes()
                        except OSError:
                            continue
                        if any(text in data for text in self._texts):
                            self.found.add(f"{entry.path}/{part}: {data[:80]!r}")
            self.looks += 1
            self._end.wait(0.02)


def holds(root: Path, *texts: str) -> list[str]:
    """The files below a directory that contain one of the texts."""
    found = []
    for path in root.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        data = path.read_bytes()
        found += [str(path) for text in texts if text.encode() in data]
    return found


def dosvm(hostd: Hostd, *words: str) -> str:
    """A command as the system administrator; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "dosvm_tui.cli", *words, "--as", "sysadm"],
        env={**os.environ, "DOSVM_HOME": str(hostd.home), "DOSVM_PASSWORD": "Adm1n-secret-9"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def key(hostd: Hostd, tmp_path: Path) -> Iterator[str]:
    """The secret ``disk-key`` of project web, made by a command; and nothing of these tests stays."""
    file = tmp_path / "value"
    file.write_text(CANARY + "\n")
    said = dosvm(
        hostd, "secret", "add", "disk-key", "--display-name", "数据盘密钥", "--kind", "volume", "--usage", "web/disks",
        "--project", "web", "--value-file", str(file), "-o", "json",
    )  # fmt: skip
    assert CANARY not in said
    yield "disk-key"
    if not hostd.running:
        hostd.start()
        hostd.wait()
    hostd.clean()
    for row in hostd.zhao("volume.list")["rows"]:
        hostd.done("volume.delete", volume=row["reference"])
    hostd.admin("secret.delete", secret="disk-key")


def add(hostd: Hostd, name: str, **values: Any) -> None:
    """A small encrypted volume."""
    answer = hostd.zhao(
        "volume.add", **{"pool": "local", "name": name, "capacity": 32 * MIB, "secret": "disk-key", **values}
    )
    row = hostd.task(answer, seconds=PATIENCE)
    assert row["state"] == "done", row


def start(hostd: Hostd, vm: str) -> dict[str, Any]:
    """Start a VM; its task's row."""
    return hostd.task(hostd.zhao("vm.start", vm=vm), seconds=PATIENCE)


def in_libvirt(hostd: Hostd) -> list[str]:
    """The secrets that libvirt knows."""
    connection = libvirt.open(hostd.libvirt.url)
    return [secret.usageID() for secret in connection.listAllSecrets(0)]


def lists(hostd: Hostd) -> str:
    """Every list, and every row of it by itself, as both kinds of people see them."""
    from core.services.operation import OPERATIONS

    said = []
    for who in (hostd.admin, hostd.zhao):
        for name in sorted(OPERATIONS):
            if not name.endswith(".list"):
                continue
            noun = name.removesuffix(".list")
            try:
                rows = who(name)["rows"]
            except Exception as error:  # what is not for this role
                rows = []
                said.append(str(error))
            said.append(json.dumps(rows))
            for row in rows:
                for reference in (row.get("reference"), row["uuid"], row["name"]):
                    if f"{noun}.show" in OPERATIONS and reference:
                        try:
                            said.append(json.dumps(who(f"{noun}.show", **{noun.replace("-", "_"): reference})))
                        except Exception as error:
                            said.append(str(error))
    return "\n".join(said)


def test_a_guest_writes_to_encrypted_disks_and_the_value_is_found_nowhere(hostd: Hostd, key: str) -> None:
    pool = hostd.home / "pool"
    shutil.copy(SAMPLE, hostd.home / "acme" / "sample.iso")
    hostd.done("image.add", name="sample", file="sample.iso", format="iso")
    with Watch(CANARY, WRONG) as watch:
        for name, volume_format in (("one", "qcow2"), ("two", "raw")):
            add(hostd, name, format=volume_format)
            row = hostd.task(hostd.zhao("volume.grow", volume=f"local/{name}", capacity=48 * MIB), seconds=PATIENCE)
            assert row["state"] == "done", row
            assert hostd.zhao("volume.show", volume=f"local/{name}")["capacity"] == 48 * MIB
        assert in_libvirt(hostd) == []
        uuid = hostd.machine(
            "safe",
            memory=128 * MIB,
            boot=["cdrom"],
            disks=[{"volume": "local/one"}, {"volume": "local/two"}, {"device": "cdrom", "image": "sample"}],
        )
        assert start(hostd, "safe")["state"] == "done"
        assert in_libvirt(hostd) == [], "it is taken back as soon as QEMU has it"
        domain = libvirt.open(hostd.libvirt.url).lookupByUUIDString(uuid)
        descriptions = [domain.XMLDesc(flags) for flags in (0, libvirt.VIR_DOMAIN_XML_SECURE)]
        assert all("<encryption format='luks'" in text for text in descriptions)
        with Serial(hostd.libvirt.url, uuid) as console:
            console.wait_for_shell(240)
            for disk in ("vda", "vdb"):
                console.shell(f"echo {WRITTEN} > /dev/{disk}; sync")
            sectors = console.shell("cat /sys/class/block/vda/size /sys/class/block/vdb/size").split()
            assert sectors == [str(48 * MIB // 512)] * 2, "of what it is encrypted with the guest sees nothing"
            # A reset and a libvirtd that is restarted need the secret no more.
            hostd.libvirt.kill()
            hostd.libvirt.wait()
        until(lambda: hostd.vm("safe")["state"] == "running", 30, hostd.log_tail())
        hostd.done("vm.stop", vm="safe", force=True)
        assert hostd.task(hostd.zhao("vm.start", vm="safe"), seconds=PATIENCE)["state"] == "done"
        with Serial(hostd.libvirt.url, uuid) as console:
            console.wait_for_shell(240)
            for disk in ("vda", "vdb"):
                assert WRITTEN in console.shell(f"head -c 60 /dev/{disk}")
        hostd.done("vm.stop", vm="safe", force=True)

        # Another value opens nothing, which is said in words; the first one does again.
        hostd.admin("secret.edit", secret="disk-key", value=WRONG, even_if_used=True)
        row = start(hostd, "safe")
        assert row["state"] == "failed"
        assert "does not open" in hostd.error(row)
        assert "local/one (disk-key); local/two (disk-key)" in hostd.error(row)
        assert hostd.vm("safe")["start_error"]
        row = hostd.task(hostd.zhao("vm.stop", vm="safe", force=True))
        row = hostd.task(hostd.zhao("volume.grow", volume="local/one", capacity=64 * MIB), seconds=PATIENCE)
        assert row["state"] == "failed"
        assert "does not open" in hostd.error(row)
        hostd.admin("secret.edit", secret="disk-key", value=CANARY, even_if_used=True)
        assert start(hostd, "safe")["state"] == "done"
        hostd.done("vm.stop", vm="safe", force=True)
        verbs = (("secret", "list"), ("secret", "show", "disk-key"), ("volume", "list"), ("log", "list"))
        commands = [dosvm(hostd, *words, "-o", form) for form in ("json", "yaml", "table") for words in verbs]
    assert watch.looks > 50
    assert watch.found == set()
    assert in_libvirt(hostd) == []
    for told in (*descriptions, *commands, lists(hostd)):
        assert CANARY not in told
        assert WRONG not in told
    for name, volume_format in (("one", "qcow2"), ("two", "luks")):
        said = subprocess.run(
            ["qemu-img", "info", "-f", volume_format, str(pool / name)], check=True, capture_output=True, text=True
        ).stdout
        assert "encrypted: yes" in said
    assert holds(pool, WRITTEN, CANARY, WRONG) == []
    # Logs of hostd, libvirt and QEMU, the database and its journal, hostd's and libvirt's own files.
    assert hostd.rows("SELECT value FROM secret")[0][0].startswith("sealed:")
    assert holds(hostd.home, CANARY, WRONG) == []
    assert holds(hostd.libvirt.root, CANARY, WRONG) == []
    hostd.clean()
    hostd.done("image.delete", image="sample")


def test_a_hostd_that_died_takes_its_secret_back_at_the_next_start(hostd: Hostd, key: str) -> None:
    add(hostd, "one")
    hostd.machine("safe", disks=[{"volume": "local/one"}])
    hostd.stop()
    hostd.start({"HOSTD_CRASH_AT": "before_create"})
    hostd.wait()
    hostd.zhao("vm.start", vm="safe")
    until(lambda: not hostd.running, PATIENCE, "its death")
    assert [usage.split("/")[0] for usage in in_libvirt(hostd)] == ["dosvm"]
    # Somebody's own secret is nobody else's to remove.
    connection = libvirt.open(hostd.libvirt.url)
    theirs = connection.secretDefineXML(
        "<secret ephemeral='yes' private='no'><usage type='volume'><volume>/srv/theirs</volume></usage></secret>", 0
    )
    hostd.start()
    hostd.wait()
    hostd.wait_for("safe", "running", PATIENCE)
    until(lambda: in_libvirt(hostd) == ["/srv/theirs"], 20, hostd.log_tail())
    theirs.undefine()
    hostd.done("vm.stop", vm="safe", force=True)


@pytest.mark.parametrize("point", ["before_volume", "after_volume"])
def test_an_encrypted_volume_is_whole_after_hostd_died_while_it_was_made(hostd: Hostd, key: str, point: str) -> None:
    hostd.stop()
    hostd.start({"HOSTD_CRASH_AT": point})
    hostd.wait()
    task = hostd.zhao("volume.add", name="one", pool="local", capacity=32 * MIB, secret=key)
    until(lambda: not hostd.running, PATIENCE, "its death")
    hostd.start()
    hostd.wait()
    assert hostd.task(task, seconds=PATIENCE)["state"] == "done"
    until(lambda: in_libvirt(hostd) == [], 20, hostd.log_tail())
    hostd.machine("safe", disks=[{"volume": "local/one"}])
    assert start(hostd, "safe")["state"] == "done"


@pytest.fixture
def lender(private_libvirt: PrivateLibvirt) -> Iterator[tuple[Secrets, Connection]]:
    connection = Connection(private_libvirt.url)
    secrets = Secrets(connection, Vault(bytes(32)))
    secrets.start()
    connection.start()
    assert connection.wait(20)
    yield secrets, connection
    secrets.close()
    connection.close()


def sealed(number: int) -> SealedSecret:
    uuid = f"00000000-0000-4000-8000-00000000000{number}"
    return SealedSecret(uuid, f"key{number}", "volume", Vault(bytes(32)).seal(CANARY, purpose(uuid)))


def test_a_lent_secret_is_told_to_nobody(lender: tuple[Secrets, Connection], private_libvirt: PrivateLibvirt) -> None:
    secrets, _connection = lender
    secret = sealed(1)
    with secrets.lent(secret, None):
        for words in (("secret-get-value", secret.uuid), ("secret-dumpxml", secret.uuid), ("secret-list",)):
            said = subprocess.run(
                private_libvirt.command(["virsh", *words]), capture_output=True, text=True, check=False
            )
            assert CANARY not in said.stdout + said.stderr
        assert (
            "private"
            in subprocess.run(
                private_libvirt.command(["virsh", "secret-get-value", secret.uuid]),
                capture_output=True,
                text=True,
                check=False,
            ).stderr
        )
        assert holds(private_libvirt.root / "etc" / "secrets", CANARY) == []
        assert holds(private_libvirt.root / "run", CANARY) == []


def test_a_secret_is_there_as_long_as_the_last_who_needs_it(
    lender: tuple[Secrets, Connection], private_libvirt: PrivateLibvirt
) -> None:
    secrets, _connection = lender
    known = libvirt.open(private_libvirt.url)

    def uuids() -> set[str]:
        return {secret.UUIDString() for secret in known.listAllSecrets(0)}

    def lend_and_fail() -> None:
        with secrets.lent(sealed(1), sealed(2)):
            with secrets.lent(sealed(1)):
                secrets.sweep()
                assert uuids() == {sealed(1).uuid, sealed(2).uuid}
            assert uuids() == {sealed(1).uuid, sealed(2).uuid}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lend_and_fail()
    assert uuids() == set()


def test_libvirtd_may_go_away_while_a_secret_is_lent(
    lender: tuple[Secrets, Connection], private_libvirt: PrivateLibvirt
) -> None:
    secrets, connection = lender
    with secrets.lent(sealed(1)):
        private_libvirt.kill(stay_down=True)
        until(lambda: not connection.up, 30)
    (private_libvirt.root / "hold").unlink()
    private_libvirt.wait()
    assert connection.wait(30)
    with secrets.lent(sealed(1)):
        pass
    assert [s.UUIDString() for s in libvirt.open(private_libvirt.url).listAllSecrets(0)] == []


def test_the_daemon_writes_no_core_dumps(hostd: Hostd) -> None:
    children = Path(f"/proc/{hostd.pid}/task/{hostd.pid}/children").read_text().split()
    (line,) = [x for x in Path(f"/proc/{children[0]}/limits").read_text().splitlines() if x.startswith("Max core")]
    assert line.split()[4:6] == ["0", "0"]
