"""A file system that fills up under a guest, a merge and a new volume: it is said, and nothing is lost or left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.hostd import MIB, Hostd, stop_qemu_img, until
from tests.fakes.loops import loop_device
from tests.lab.lab import SAMPLE
from tests.lab.serial import Serial

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

SIZE = 256 * MIB


@pytest.fixture
def small(hostd: Hostd, tmp_path: Path) -> Iterator[Path]:
    """The pool ``small`` on an ext4 of 256 MiB; its directory as it is seen from outside."""
    home = hostd.home / "small"
    home.mkdir()
    with loop_device(tmp_path / "disk", SIZE) as device:
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", device], check=True)
        number = os.stat(device).st_rdev
        script = f"[ -e {device} ] || mknod {device} b {os.major(number)} {os.minor(number)}; mount {device} {home}"
        subprocess.run(hostd.libvirt.command(["sh", "-ec", script]), check=True)
        try:
            (host,) = (row["name"] for row in hostd.admin("host.list")["rows"])
            place = {"host": host, "path": str(home), "capacity": 1 << 30, "projects": ["web"]}
            hostd.done("pool.add", "sysadm", name="small", type="dir", **place)
            yield Path(f"/proc/{hostd.libvirt.init}/root{home}")
            hostd.clean()
            for row in sorted(hostd.zhao("volume.list")["rows"], key=lambda row: not row["backing"]):
                hostd.done("volume.delete", volume=f"small/{row['name']}")
            hostd.done("pool.delete", "sysadm", pool="small")
        finally:
            subprocess.run(hostd.libvirt.command(["umount", str(home)]), check=True)
            home.rmdir()


@pytest.fixture
def sample(hostd: Hostd) -> Iterator[None]:
    """The image ``sample``, which boots from a CD."""
    shutil.copy(SAMPLE, hostd.home / "acme/sample.iso")
    hostd.done("image.add", name="sample", file="sample.iso", format="iso")
    yield
    hostd.clean()
    hostd.done("image.delete", image="sample")


def fill(place: Path, left: int) -> Path:
    """Somebody else's file takes all but so many bytes; where it is."""
    filler = place / ".filler"
    filler.unlink(missing_ok=True)
    space = os.statvfs(place)
    step = rest = space.f_bavail * space.f_frsize - left
    with filler.open("wb") as file:
        # What the file system needs to know where it is has to fit as well.
        while step >= space.f_frsize:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                rest -= step
                step = min(step, rest)
            except OSError:
                step //= 2
    return filler


@contextmanager
def guest(hostd: Hostd, volume: str) -> Iterator[Serial]:
    """A VM of that name boots from the sample with a volume as its disk; its console, at the shell."""
    cdrom = {"device": "cdrom", "image": "sample", "bus": "sata"}
    uuid = hostd.machine("guest", memory=128 * MIB, boot=["cdrom"], disks=[cdrom, {"volume": volume}])
    hostd.done("vm.start", vm="guest")
    with Serial(hostd.libvirt.url, uuid) as console:
        console.wait_for_shell(120)
        yield console


def test_a_guest_that_finds_no_room_stands_still_and_goes_on(hostd: Hostd, small: Path, sample: None) -> None:
    hostd.done("volume.add", name="disk", pool="small", capacity=64 * MIB, format="qcow2")
    with guest(hostd, "small/disk") as console:
        filler = fill(small, 8 * MIB)
        console.send("\ndd if=/dev/urandom of=/tmp/r bs=1M count=24 2>/dev/null; md5sum </tmp/r; echo SU''M\n")
        digest = console.expect(r"([0-9a-f]{32})  -\n.*SUM\n", 60)[1]
        console.send("dd if=/tmp/r of=/dev/vda bs=1M conv=fsync; echo WRIT''TEN\n")
        until(lambda: hostd.vm("guest")["state"] == "halted", 30, hostd.log_tail())
        row = hostd.vm("guest")
        assert row["power"] == "on"
        said = row["halt_error"]
        assert "no room" in said["message"]
        assert "vda (small/disk)" in said["parameters"]["disks"]
        assert "resume" in said["remedy"]
        assert [each["name"] for each in hostd.zhao("vm.list", filters={"state": "halted"})["rows"]] == ["guest"]

        # Resumed too early it stands still again, and says why again.
        hostd.zhao("vm.resume", vm=["guest"])
        time.sleep(2)
        until(lambda: hostd.vm("guest")["state"] == "halted", 30, hostd.log_tail())
        assert "WRITTEN" not in console.text

        filler.unlink()
        hostd.done("vm.resume", vm="guest")
        console.expect("WRITTEN", 60)
        row = hostd.vm("guest")
        assert (row["state"], row["halt_error"]) == ("running", "")
        # Not from the guest's memory.
        said = console.shell("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M count=24 2>/dev/null | md5sum", 60)
        assert digest in said


def test_a_merge_for_which_the_room_is_gone_halfway(hostd: Hostd, small: Path, sample: None) -> None:
    hostd.done("volume.add", name="base", pool="small", capacity=96 * MIB, format="raw")
    (small / "base").write_bytes(b"from the base".ljust(512, b"\0") + os.urandom(80 * MIB))
    hostd.done("volume.snapshot", volume="small/base", name="top")
    kept = (small / "top").read_bytes()

    answer = hostd.zhao("volume.merge", volume="small/top", name="whole")
    process = until(lambda: stop_qemu_img(answer["uuid"]), 20, "the qemu-img that writes it")
    filler = fill(small, 4 * MIB)
    os.kill(process, signal.SIGCONT)
    row = hostd.task(answer)
    assert row["state"] == "failed"
    said = hostd.error(row)
    assert "The file system {system} was full" in said
    assert str(hostd.home / "small") in said
    assert "whole" in said
    # Nothing is left of it, and what it was made from is as before.
    assert sorted(path.name for path in small.iterdir()) == [".dosvm-pool", ".filler", "base", "lost+found", "top"]
    rows = {each["name"]: (each["state"], each["backing"]) for each in hostd.zhao("volume.list")["rows"]}
    assert rows == {"base": ("present", ""), "top": ("present", "small/base")}
    assert (small / "top").read_bytes() == kept

    # What is known to be too large is not begun; nor is a volume made where nothing fits.
    row = hostd.task(hostd.zhao("volume.merge", volume="small/top", name="whole"))
    assert "more than are free" in hostd.error(row).replace('"\n', "")
    # A directory still finds room, and the tables of a volume do not.
    fill(small, 64 * 1024)
    row = hostd.task(hostd.zhao("volume.add", name="more", pool="small", capacity=8 * MIB, format="qcow2", thin=True))
    assert row["state"] == "failed"
    # There may be no room for its working directory, or too little for the file.
    assert "the file system {system}" in hostd.error(row).lower()
    assert str(hostd.home / "small") in hostd.error(row)
    assert sorted(path.name for path in small.iterdir()) == [".dosvm-pool", ".filler", "base", "lost+found", "top"]

    # The chain boots, and takes what is written once there is room.
    filler.unlink()
    with guest(hostd, "small/top") as console:
        assert "from the base" in console.shell("head -c 13 /dev/vda", 60)
        console.shell("echo on-top >/tmp/x; dd if=/tmp/x of=/dev/vda bs=512 conv=sync,fsync", 60)
    hostd.done("vm.stop", vm="guest", force=True)
    hostd.done("volume.merge", volume="small/top", name="whole")
    read = ["qemu-io", "-f", "qcow2", "-c", "read -v 0 16", str(small / "whole")]
    # It prints what is neither letter nor digit as a dot.
    assert b"on.top" in subprocess.run(read, capture_output=True, check=True).stdout
