"""A cloud on the lab's hosts, made by the command line as people make it, with a project that may use all of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import Any

from tests.lab.host import Answer, LabHost
from tests.lab.lab import SAMPLE, Lab
from tests.lab.namespaces import wait_until

SYSADM = ("sysadm", "Adm1n-secret-9")
ZHAO = ("zhao", "Zha0-secret-9")
#: Seconds in which a state must be seen that libvirt reports (the issue's 1 s), and some for a busy machine.
SEEN = 3.0


class Cloud:
    """Project ``web`` with its admin ``zhao``, and on each host X a pool ``pool-X`` in /srv/pool.

    Instances: ``tiny`` (16 MiB, nothing to boot) and, with ``sample``, ``sample`` (boots the sample image).
    """

    def __init__(self, lab: Lab) -> None:
        """Make the cloud and start hostd everywhere."""
        self.lab = lab
        lab.make_cloud(SYSADM[1])
        for host in lab.hosts:
            (host.srv / "acme").mkdir()
            (host.srv / "pool").mkdir()
        lab.start()
        self.wait_for_hosts()
        secret = lab.root / "zhao.pw"
        secret.write_text(ZHAO[1] + "\n")
        self.sysadm("project-group", "add", "acme", "--directory", "/srv/acme")
        self.sysadm("project", "add", "web", "--group", "acme")
        limits = {"instances": "1000", "vcpus": "1000", "memory": "32GiB", "disk": "8GiB", "images": "20"}
        limits |= {"image-bytes": "1GiB", "snapshots": "10"}
        quota = [word for name, value in limits.items() for word in (f"--max-{name}", value)]
        self.sysadm("project", "configure", "web", *quota)
        self.sysadm("user", "add", "zhao", "--project", "web", "--new-password-file", str(secret))
        hosts = [word for host in lab.hosts for word in ("--host", host.name)]
        self.sysadm("host-group", "add", "all", *hosts)
        self.sysadm("project", "configure", "web", "--add-host-group", "all")
        for host in lab.hosts:
            self.sysadm("host", "edit", host.name, "--max-vcpus", "1000")
            place = ["--host", host.name, "--path", "/srv/pool", "--capacity", "4GiB", "--project", "web"]
            self.sysadm("pool", "add", f"pool-{host.name}", "--type", "dir", *place)
        self.zhao("instance", "add", "tiny", "--vcpus", "1", "--memory", "16MiB")

    def sysadm(self, *words: str, at: LabHost | None = None, check: bool = True, seconds: float = 60.0) -> Answer:
        """Run a command as the system administrator, on the first host unless another is named."""
        return (at or self.lab[0]).dosvm(*words, account=SYSADM[0], password=SYSADM[1], check=check, seconds=seconds)

    def zhao(self, *words: str, at: LabHost | None = None, check: bool = True, seconds: float = 60.0) -> Answer:
        """Run a command as the project's admin, on the first host unless another is named."""
        return (at or self.lab[0]).dosvm(*words, account=ZHAO[0], password=ZHAO[1], check=check, seconds=seconds)

    @classmethod
    def with_migration(cls, lab: Lab, **config: object) -> Cloud:
        """A cloud on hosts of its own whose libvirtds reach each other; others want theirs closed.

        ``config`` is what else stands in each host's ``[config]``.
        """
        for host in lab.hosts:
            host.open_libvirtd()
        cloud = cls(lab)
        lines = "".join(f"{key} = {value}\n" for key, value in config.items())
        for host in lab.hosts:
            settings = host.home / "dosvm.toml"
            url = 'migration_url = "qemu+tcp://{address}/system"'
            settings.write_text(settings.read_text().replace("[config]\n", f"[config]\n{url}\n{lines}"))
            host.kill_hostd()
            host.start_hostd()
        cloud.wait_for_hosts()
        cloud.add_sample()
        return cloud

    def wait_for_hosts(self, seconds: float = 30.0, *, states: Sequence[str] = ("up",)) -> None:
        """Wait until all hosts are up; with ``states``, until each is in one of them."""

        def there() -> bool:
            rows = self.sysadm("host", "list", "-o", "json", check=False)
            return rows.code == 0 and [row["state"] in states for row in rows.data] == [True] * len(self.lab.hosts)

        wait_until(there, f"hosts {states}", seconds, lambda: "\n".join(host.logs() for host in self.lab.hosts))

    def add_sample(self) -> None:
        """Register the sample image and add the instance ``sample``."""
        for host in self.lab.hosts:
            shutil.copy(SAMPLE, host.srv / "acme/sample.iso")
        self.zhao("image", "add", "sample", "--file", "sample.iso", "--format", "raw")
        disk = ["--disk", "device=cdrom,image=sample,bus=sata", "--graphics", "vnc"]
        self.zhao("instance", "add", "sample", "--vcpus", "1", "--memory", "128MiB", "--boot", "cdrom", *disk)

    # -- VMs

    def vms(self, at: LabHost | None = None) -> dict[str, dict[str, Any]]:
        """The VMs by name, as ``vm list`` shows them."""
        return {row["name"]: row for row in self.zhao("vm", "list", "-o", "json", at=at).data}

    def vm(self, name: str, at: LabHost | None = None) -> dict[str, Any]:
        """One VM as ``vm show`` shows it."""
        row: dict[str, Any] = self.zhao("vm", "show", name, "-o", "json", at=at).data
        return row

    def add_vm(self, name: str, *, instance: str = "tiny", host: LabHost | None = None) -> str:
        """Add a VM; started on ``host`` when one is given. Its UUID."""
        self.zhao("vm", "add", name, "--instance", instance)
        if host is not None:
            self.zhao("vm", "start", name, "--host", host.name, "--wait")
        return str(self.vm(name)["uuid"])

    def wait_for_state(self, name: str, state: str, seconds: float = SEEN, at: LabHost | None = None) -> float:
        """Wait until a VM shows a state; the seconds that it took."""
        begin = time.monotonic()
        last: dict[str, Any] = {}

        def there() -> bool:
            last.update(self.vm(name, at=at))
            return bool(last["state"] == state)

        wait_until(there, f"{name} {state}", seconds, lambda: f"{last}\n" + "\n".join(h.logs() for h in self.lab.hosts))
        return time.monotonic() - begin

    def summed(self, name: str) -> dict[str, Any]:
        """An uploaded image as ``image show`` shows it when its SHA-256 is known."""
        row: dict[str, Any] = {}

        def known() -> bool:
            row.update(self.zhao("image", "show", name, "-o", "json").data)
            return bool(row["digest"])

        wait_until(known, f"the SHA-256 of {name}", 20)
        return row

    def remove_vms(self) -> None:
        """Stop and delete every VM, so that the next test begins with none."""
        for name, row in self.vms().items():
            if row["power"] == "on" or row["state"] not in ("off", "failed"):
                self.zhao("vm", "stop", name, "--force", "--wait")
            self.zhao("vm", "delete", name, "--yes", "--wait")
