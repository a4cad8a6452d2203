"""Snapshots and merges by a real hostd: VMs run from them, what they rest on stays, nothing stays of what failed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from core.errors import sentence
from tests.engine.hostd import Hostd, stop_qemu_img, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]
MIB = 1024**2


def io(path: Path, kind: str, command: str) -> str:
    """What a guest would do, by qemu-io."""
    done = subprocess.run(
        ["qemu-io", "-f", kind, "-c", command, str(path)], check=False, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def names(hostd: Hostd) -> list[str]:
    """What is in the pool's directory."""
    return sorted(path.name for path in (hostd.home / "pool").iterdir() if path.name != ".dosvm-pool")


def remove(hostd: Hostd, *volumes: str) -> None:
    """Delete volumes, in this order."""
    for volume in volumes:
        hostd.done("volume.delete", volume=f"local/{volume}")
    until(lambda: names(hostd) == [], 10, str(names(hostd)))


@pytest.mark.parametrize("kind", ["qcow2", "raw", "qed", "vmdk"])
def test_a_vm_runs_from_a_snapshot_and_the_base_stays_as_it_was(hostd: Hostd, kind: str) -> None:
    pool = hostd.home / "pool"
    hostd.done("volume.add", name="base", pool="local", capacity=32 * MIB, format=kind)
    assert "wrote" in io(pool / "base", kind, "write -P 7 0 64k")
    before = (pool / "base").read_bytes()
    hostd.done("volume.snapshot", volume="local/base", name="one")
    hostd.done("volume.snapshot", volume="local/one", name="two")
    hostd.machine("vm", disks=[{"volume": "local/two"}])
    hostd.done("vm.start", vm="vm")
    hostd.wait_for("vm", "running")
    # Past all rules: QEMU's lock keeps a second writer out.
    assert "lock" in io(pool / "two", "qcow2", "write -P 9 0 64k")
    assert "lock" in io(pool / "base", kind, "write -P 9 0 64k")
    hostd.done("vm.stop", vm="vm", force=True)
    hostd.done("volume.merge", volume="local/two", name="whole")
    assert "Pattern verification failed" not in io(pool / "whole", "qcow2", "read -P 7 0 64k")
    assert (pool / "base").read_bytes() == before
    row = hostd.zhao("volume.show", volume="local/whole")
    assert (row["state"], row["backing"]) == ("present", "")
    hostd.clean()
    remove(hostd, "whole", "two", "one", "base")


@pytest.mark.timeout(400)  # keys cost seconds of a processor each, and merges let everybody else go first
def test_an_encrypted_chain_starts_and_merges(hostd: Hostd) -> None:
    hostd.admin(
        "secret.add",
        name="chain-key",
        display_name="Chain",
        kind="volume",
        usage="chain",
        value="Correct-horse-7",
        project="web",
    )
    hostd.done("volume.add", name="base", pool="local", capacity=32 * MIB, secret="chain-key")
    hostd.done("volume.snapshot", volume="local/base", name="one")
    assert hostd.zhao("volume.show", volume="local/one")["secret"] == "chain-key"
    hostd.machine("vm", disks=[{"volume": "local/one"}])
    hostd.done("vm.start", vm="vm")
    hostd.wait_for("vm", "running", 30)
    hostd.done("vm.stop", vm="vm", force=True)
    row = hostd.task(hostd.zhao("volume.merge", volume="local/one", name="whole"), seconds=300)
    assert row["state"] == "done", row
    info = subprocess.run(
        ["qemu-img", "info", "-U", str(hostd.home / "pool/whole")], check=True, capture_output=True, text=True
    ).stdout
    assert "encrypted: yes" in info
    hostd.clean()
    remove(hostd, "whole", "one", "base")
    hostd.admin("secret.delete", secret="chain-key")


def test_a_merge_that_is_cancelled_leaves_nothing(hostd: Hostd) -> None:
    pool = hostd.home / "pool"
    hostd.done("volume.add", name="base", pool="local", capacity=1024 * MIB, format="raw")
    # Random bytes: enough that it lasts, for nothing can be left out.
    with (pool / "base").open("rb+") as file, Path("/dev/urandom").open("rb") as source:
        for _ in range(512):
            file.write(source.read(MIB))
    hostd.done("volume.snapshot", volume="local/base", name="one")
    answer = hostd.zhao("volume.merge", volume="local/one", name="whole")
    until(lambda: stop_qemu_img(answer["uuid"]), 20, "qemu-img at work")
    hostd.zhao("task.cancel", task=answer["task"])
    row = hostd.task(answer, seconds=60)
    assert row["state"] == "cancelled", row
    assert names(hostd) == ["base", "one"]
    assert hostd.zhao("volume.show", volume="local/one")["state"] == "present"
    assert sorted(volume["name"] for volume in hostd.zhao("volume.list")["rows"]) == ["base", "one"]
    remove(hostd, "one", "base")


def test_a_refresh_finds_what_somebody_copied_there_and_a_vm_runs_from_it(hostd: Hostd) -> None:
    pool = hostd.home / "pool"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(pool / "copied"), "16M"], check=True)
    thief = [
        "qemu-img",
        "create",
        "-q",
        "-u",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        "/etc/shadow",
        str(pool / "thief"),
        "1M",
    ]
    subprocess.run(thief, check=True)
    told = hostd.done("pool.refresh", pool="local")
    assert sentence(told["outcome"]) == "New: 2, missing: 0, back again: 0."
    rows = {row["name"]: row for row in hostd.zhao("volume.list")["rows"]}
    assert {name: row["state"] for name, row in rows.items()} == {"copied": "foreign", "thief": "foreign"}
    row = hostd.task(hostd.admin("volume.accept", volume="local/thief", format="qcow2"), "sysadm")
    assert row["state"] == "failed"
    hostd.done("volume.accept", "sysadm", volume="local/copied", format="qcow2")
    hostd.machine("vm", disks=[{"volume": "local/copied"}])
    hostd.done("vm.start", vm="vm")
    hostd.wait_for("vm", "running")
    hostd.done("vm.stop", vm="vm", force=True)
    hostd.clean()
    (pool / "thief").unlink()
    hostd.done("pool.refresh", pool="local")
    assert hostd.zhao("volume.show", volume="local/thief")["state"] == "missing"
    for name in ("copied", "thief"):
        hostd.done("volume.delete", "sysadm", volume=f"local/{name}")


def test_a_full_disk_fails_a_merge_with_a_reason_and_leaves_nothing(hostd: Hostd, tiny: Path) -> None:
    host = hostd.admin("host.list")["rows"][0]["name"]
    hostd.done(
        "pool.add",
        "sysadm",
        name="tiny",
        type="dir",
        host=host,
        path=str(hostd.home / "tiny"),
        capacity=1 << 30,
        projects=["web"],
    )
    hostd.done("volume.add", name="base", pool="tiny", capacity=18 * MIB, format="raw")
    with (tiny / "base").open("rb+") as file:
        file.write(b"x" * (12 * MIB))
    hostd.done("volume.snapshot", volume="tiny/base", name="one")
    row = hostd.task(hostd.zhao("volume.merge", volume="tiny/one", name="whole"))
    assert row["state"] == "failed"
    assert "not enough room" in hostd.error(row)
    assert sorted(path.name for path in tiny.iterdir()) == [".dosvm-pool", "base", "one"]
    # Nor does it hurt when the room is gone only while it is written.
    filler = tiny / ".filler"
    filler.write_bytes(b"x" * (4 * MIB))
    row = hostd.task(hostd.zhao("volume.add", name="late", pool="tiny", capacity=16 * MIB, format="qcow2", thin=True))
    _fill(filler)
    row = hostd.task(hostd.zhao("volume.add", name="more", pool="tiny", capacity=16 * MIB, format="qcow2", thin=True))
    assert row["state"] == "failed", row
    assert "more" not in [volume["name"] for volume in hostd.zhao("volume.list")["rows"]]
    filler.unlink()
    assert not (tiny / "more").exists()
    for name in ("late", "one", "base"):
        hostd.done("volume.delete", volume=f"tiny/{name}")
    hostd.done("pool.delete", "sysadm", pool="tiny")


def _fill(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


@pytest.fixture
def tiny(hostd: Hostd) -> Any:
    """A file system of 20 MB that hostd sees."""
    place = hostd.home / "tiny"
    place.mkdir()
    mount = hostd.libvirt.command(["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(place)])
    subprocess.run(mount, check=True)
    yield Path(f"/proc/{hostd.libvirt.init}/root{place}")
    subprocess.run(hostd.libvirt.command(["umount", str(place)]), check=True)
    place.rmdir()
