"""A hostd beside the private libvirtd, and a small cloud on it to work with."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from core.errors import DosvmError
from core.rpc.backend import HostdBackend
from core.rpc.client import Client
from core.rpc.signature import Signer, load_key
from core.setup import initialise
from tests.engine.libvirt import PrivateLibvirt

PASSWORD = "Adm1n-secret-9"
MIB = 1024**2
_ENDS = ("done", "failed", "cancelled")


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """Wait until a condition gives something true, and return it."""
    give_up = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < give_up, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)


class Hostd:
    """One hostd with its home; started and killed by the test."""

    def __init__(self, libvirt: PrivateLibvirt, home: Path) -> None:
        """Make a cloud in ``home``; :meth:`start` starts the daemon."""
        self.libvirt = libvirt
        self.home = home
        self.log = home / "hostd.log"
        # In a directory of its own: what is moved away goes as a whole, in one step, with its log.
        self.database = home / "data" / "cloud.db"
        self.database.parent.mkdir(0o700)
        initialise(f"sqlite:///{self.database}", home, PASSWORD)
        self._process: subprocess.Popen[bytes] | None = None
        self._backends: dict[str, HostdBackend] = {}

    def start(self, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()) -> None:
        """Start it, by the command ``prefix`` if one is given."""
        self._process = subprocess.Popen(
            self.libvirt.command([*prefix, sys.executable, "-m", "hostd", "-l", str(self.log)]),
            env={**os.environ, "DOSVM_HOME": str(self.home), **(environment or {})},
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
        )
        self._backends.clear()

    def wait(self, seconds: float = 40.0) -> None:
        """Wait until its host is up and libvirtd is known to it."""

        def up() -> bool:
            rows = self.admin("host.list")["rows"]
            return bool(rows) and rows[0]["state"] == "up" and bool(rows[0]["libvirt_version"])

        until(up, seconds, "host up")

    @property
    def pid(self) -> int:
        """Its process id, outside the namespace."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        # nsenter forks into the namespace of process ids: hostd is its child.
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
            # nsenter ends when its child has ended, and with it all that the child held.
        self._process.wait(10)

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM; its exit code."""
        assert self._process is not None
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGTERM)
        return self._process.wait(seconds)

    def backend(self, account: str, password: str = PASSWORD) -> HostdBackend:
        """The cloud through its socket, logged in."""
        if account not in self._backends:
            client = Client(str(self.home / "hostd.sock"), Signer(load_key(self.home / "cluster.key")))
            backend = HostdBackend(client, patience=40)
            backend.login(account, password)
            self._backends[account] = backend
        return self._backends[account]

    def admin(self, operation: str, **arguments: Any) -> Any:
        """An operation as the system administrator."""
        return self.backend("sysadm").call(operation, **arguments)

    def zhao(self, operation: str, **arguments: Any) -> Any:
        """An operation as the project's admin."""
        return self.backend("zhao").call(operation, **arguments)

    def task(self, answer: Mapping[str, Any], account: str = "zhao", *, seconds: float = 20.0) -> dict[str, Any]:
        """Wait for the task of an answer; its row."""
        give_up = time.monotonic() + seconds
        while True:
            rows = self.backend(account).wait(tasks=(answer["task"],), seconds=min(5.0, seconds))["tasks"]
            if rows and rows[0]["state"] in _ENDS:
                row: dict[str, Any] = rows[0]
                return row
            assert time.monotonic() < give_up, f"the task does not end: {rows}"

    def done(self, operation: str, account: str = "zhao", **arguments: Any) -> dict[str, Any]:
        """Run an operation and wait until its task is done."""
        row = self.task(self.backend(account).call(operation, **arguments), account)
        assert row["state"] == "done", row
        return row

    def furnish(self) -> None:
        """A project ``web`` with its admin ``zhao``, this host, the pool ``local``, and the group's directory."""
        (self.home / "acme").mkdir()
        self.wait()
        host = self.admin("host.list")["rows"][0]["name"]
        self.admin("project-group.add", name="acme", directory=str(self.home / "acme"))
        self.admin("project.add", name="web", group="acme")
        self.admin("host-group.add", name="all", hosts=[host])
        self.admin(
            "project.configure", project="web", max_instances=100, max_vcpus=200, max_memory=8 << 30,
            max_disk=8 << 30, max_images=20, max_image_bytes=1 << 30, max_snapshots=10, host_groups=["all"],
        )  # fmt: skip
        self.admin("user.add", account="zhao", project="web", new_password=PASSWORD, own_password=PASSWORD)
        self.done(
            "pool.add", "sysadm", name="local", type="dir", host=host, path=str(self.home / "pool"),
            capacity=4 << 30, projects=["web"],
        )  # fmt: skip

    def machine(self, name: str, **fields: Any) -> str:
        """A VM of a small instance of its own; its UUID."""
        values: dict[str, Any] = {"vcpus": 1, "memory": 16 * MIB, **fields}
        self.zhao("instance.add", name=name, **values)
        uuid: str = self.zhao("vm.add", name=name, instance=name)["uuid"]
        return uuid

    def vm(self, name: str) -> dict[str, Any]:
        """A VM's row."""
        row: dict[str, Any] = self.zhao("vm.show", vm=name)
        return row

    def wait_for(self, name: str, state: str, seconds: float = 10.0) -> float:
        """Wait until a VM shows a state; how long it took."""
        begin = time.monotonic()
        until(lambda: self.vm(name)["state"] == state, seconds, f"{name} {state}: {self.log_tail()}")
        return time.monotonic() - begin

    def log_tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:]) if self.log.exists() else ""

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Look into its database."""
        # Closed at once: a connection that lingers here has locks, which are lost when a test reads the file as bytes.
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Its database is away, and comes back afterwards."""
        data = self.database.parent
        aside = data.with_name("aside")
        data.rename(aside)
        try:
            yield
        finally:
            aside.rename(data)

    def clean(self) -> None:
        """Stop and delete every VM and instance."""
        for row in self.zhao("vm.list")["rows"]:
            if row["power"] == "on" or row["state"] not in ("off", "failed"):
                self.done("vm.stop", vm=row["name"], force=True)
            self.zhao("vm.delete", vm=row["name"])
        for row in self.zhao("instance.list")["rows"]:
            self.zhao("instance.delete", instance=row["name"])

    def error(self, row: Mapping[str, Any]) -> str:
        """What a failed task says."""
        text = row["error"]
        return json.dumps(text, ensure_ascii=False) if not isinstance(text, str) else text


def stop_qemu_img(volume: str) -> int:
    """Stop the qemu-img that writes a volume (its UUID) until SIGCONT; its process id, or 0 when there is none yet."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(b"qemu-img") and volume.encode() in command:
                os.kill(int(entry.name), signal.SIGSTOP)
                return int(entry.name)
    return 0


def refused(call: Callable[[], Any]) -> DosvmError:
    """The error that a call raises."""
    try:
        call()
    except DosvmError as error:
        return error
    raise AssertionError("it was not refused")


def on_host(hostd: Hostd, *command: str) -> str:
    """Run a command where hostd runs: with its mounts."""
    return subprocess.run(hostd.libvirt.command(list(command)), check=True, capture_output=True, text=True).stdout


@contextmanager
def file_system(hostd: Hostd, name: str, size: str) -> Iterator[Path]:
    """A directory of this name in hostd's home with a file system of its own, which only hostd sees."""
    place, disk = hostd.home / name, hostd.home / f"{name}.img"
    place.mkdir()
    on_host(hostd, "truncate", "-s", size, str(disk))
    on_host(hostd, "mkfs.ext4", "-q", str(disk))
    on_host(hostd, "mount", "-o", "loop", str(disk), str(place))
    yield place
    on_host(hostd, "umount", str(place))
    disk.unlink()
    place.rmdir()
