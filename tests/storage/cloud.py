"""A cloud of one host, used as people use it: by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.engine.hostd import PASSWORD, Hostd
from tests.lab.lab import SAMPLE
from tests.lab.serial import Serial
from tests.storage.here import Here

_DOSVM = Path(__file__).resolve().parents[2] / ".venv/bin/dosvm"
#: Seconds that a guest takes to its shell; everything here is emulated twice.
BOOT = 120.0


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The standard output as JSON data."""
        return json.loads(self.out)


class Cloud(Hostd):
    """The host ``storage`` with its hostd; project ``web`` with its admin ``zhao``, and the pool ``local``."""

    libvirt: Here  # type: ignore[assignment]

    def __init__(self, here: Here, home: Path) -> None:
        """Make a cloud in ``home``."""
        home.mkdir(parents=True)
        super().__init__(here, home)  # type: ignore[arg-type]

    def wait(self, seconds: float = 180.0) -> None:
        """Wait until its host is up; libvirtd asks QEMU what it can, which takes long here."""
        try:
            super().wait(seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.admin('host.list')}\n{self.log_tail()}") from error

    def dosvm(self, *words: str, account: str = "sysadm", check: bool = True, seconds: float = 90.0) -> Said:
        """Run a command as somebody; ``check`` refuses one that fails."""
        who = {"DOSVM_HOME": str(self.home), "DOSVM_ACCOUNT": account, "DOSVM_PASSWORD": PASSWORD}
        done = subprocess.run(
            [_DOSVM, *words], env={**os.environ, **who}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{words} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return Said(done.returncode, done.stdout, done.stderr)

    def add_sample(self) -> None:
        """Register the sample image, which boots from a CD."""
        shutil.copy(SAMPLE, self.home / "acme/sample.iso")
        self.done("image.add", name="sample", file="sample.iso", format="raw")

    def boot(self, name: str, *volumes: str) -> Serial:
        """Start a VM from the sample CD with volumes as its disks; its serial console, at the shell."""
        cdrom = {"device": "cdrom", "image": "sample", "bus": "sata"}
        self.machine(name, memory=128 << 20, boot=["cdrom"], disks=[cdrom, *({"volume": each} for each in volumes)])
        self.done("vm.start", vm=name)
        console = Serial(self.libvirt.url, str(self.vm(name)["uuid"]))
        try:
            console.wait_for_shell(BOOT)
        except BaseException:
            console.close()
            raise
        return console

    def task(self, answer: Mapping[str, Any], account: str = "zhao", *, seconds: float = BOOT) -> dict[str, Any]:
        """Wait for the task of an answer; its row."""
        return super().task(answer, account, seconds=seconds)

    def write_in_a_guest(self, name: str, volume: str) -> str:
        """A guest boots with a volume, writes to it, and is stopped; what it wrote at its start."""
        text = f"kept by {name}"
        with self.boot(name, volume) as console:
            write(console, text)
        self.done("vm.stop", vm=name, force=True)
        return text

    def volume(self, name: str, pool: str, *, form: str = "raw") -> None:
        """Make a volume of 16 MiB by the command line."""
        words = ["--pool", pool, "--capacity", "16MiB", "--format", form, "--wait"]
        self.dosvm("volume", "add", name, *words, account="zhao")

    def add_secret(self, name: str, kind: str, value: str) -> None:
        """Add a security object for storage, by the command line."""
        words = ["--display-name", name, "--kind", kind, "--usage", name]
        self.dosvm("secret", "add", name, *words, "--value-file", self._kept(value))

    def change_secret(self, name: str, value: str) -> None:
        """Give a security object another value."""
        self.dosvm("secret", "edit", name, "--value-file", self._kept(value))

    def _kept(self, value: str) -> str:
        file = self.home / "value"
        file.write_text(value + "\n")
        return str(file)

    def pool(self, name: str) -> dict[str, Any]:
        """A pool's row."""
        row: dict[str, Any] = self.admin("pool.show", pool=name)
        return row

    def found(self, pool: str) -> list[str]:
        """The names of the volumes that a refresh of a pool finds."""
        self.dosvm("pool", "refresh", pool, "--yes", "--wait")
        rows = self.zhao("volume.list", filters={"pool": pool})["rows"]
        assert {row["state"] for row in rows} <= {"present"}
        return sorted(row["name"] for row in rows)

    def forget(self, pool: str) -> None:
        """Delete all VMs and instances, the records of a pool's volumes, which others made, and the pool."""
        self.clean()
        for row in self.zhao("volume.list", filters={"pool": pool})["rows"]:
            self.dosvm("volume", "delete", f"{pool}/{row['name']}", "--yes", "--wait")
        self.dosvm("pool", "delete", pool, "--yes", "--wait")

    def remove(self, pool: str) -> None:
        """Delete all VMs and instances, and a pool with its volumes."""
        self.clean()
        for row in self.zhao("volume.list", filters={"pool": pool})["rows"]:
            self.dosvm("volume", "delete", f"{pool}/{row['name']}", "--yes", "--wait", account="zhao")
        self.dosvm("pool", "delete", pool, "--yes", "--wait")


def write(console: Serial, text: str, disk: str = "vda") -> None:
    """Write a text to the start of a guest's disk."""
    console.shell(f"echo '{text}' >/tmp/x; dd if=/tmp/x of=/dev/{disk} bs=512 conv=sync,fsync", BOOT)


def begins(file: Path, text: str) -> bool:
    """Whether a disk, a file of plain bytes, begins with a text."""
    with file.open("rb") as disk:
        return disk.read(512).rstrip(b"\0").decode(errors="replace").rstrip("\n") == text
