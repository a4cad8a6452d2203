"""One host of the lab: a whole server in namespaces, with its own libvirtd and hostd."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from tests.lab.namespaces import HOST, Inside, World, tail, wait_until
from tests.lab.serial import Serial

REPOSITORY = Path(__file__).resolve().parents[2]
DOSVM = REPOSITORY / ".venv/bin/dosvm"
SOCKET = "run/libvirt/libvirt-sock"
QEMU = "qemu-system-x86_64"

# What fails is told by exceptions; on standard error it would only be noise.
libvirt.registerErrorHandler(lambda _context, _error: None, None)

#: What a host's own programs see: fresh /run, /dev without kvm, and its own directories in these places.
_PRIVATE = {
    "var": "/var/lib",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "etc": "/etc/libvirt",
    "srv": "/srv",
}
_BOOT = """\
hostname {name}
mount --make-rprivate /
mkdir -p {root}/dev
mount -t tmpfs tmpfs {root}/dev
mkdir {root}/dev/pts {root}/dev/shm {root}/dev/net
for device in null zero full random urandom tty; do cp -a /dev/$device {root}/dev/; done
for device in fuse net/tun; do if [ -e /dev/$device ]; then cp -a /dev/$device {root}/dev/$device; fi; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts {root}/dev/pts
mount -t tmpfs tmpfs {root}/dev/shm
ln -s pts/ptmx {root}/dev/ptmx
ln -s /proc/self/fd {root}/dev/fd
mount --rbind {root}/dev /dev
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/libvirt /run/lock
{binds}
mount --bind {root}/hosts /etc/hosts
cat /proc/sys/kernel/random/uuid >{root}/kernel-boot
mount --bind {root}/kernel-boot /proc/sys/kernel/random/boot_id
ip link set lo up
ip address add {address}/24 dev eth0
ip link set eth0 up
touch {root}/mounted
virtlogd -d
while :; do [ -e {root}/hold ] || libvirtd $(cat {root}/libvirtd.words) </dev/null || true; sleep 0.2; done &
exec cat >/dev/null
"""
_LIBVIRTD = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "{uuid}"
"""
# This machine has no cgroup controllers that libvirt could use, and a host is in namespaces already.
_QEMU_CONF = """\
namespaces = []
cgroup_controllers = []
security_driver = "none"
remember_owner = 0
"""


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The standard output as JSON data."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"{' '.join(self.words)} -> {self.code}\n{self.out}{self.err}"


def names_in(directory: Path) -> list[str]:
    """What is in a pool's directory, beside the mark that says whose it is."""
    return sorted(path.name for path in directory.iterdir() if path.name != ".dosvm-pool")


class LabHost:
    """One host; made and wired by :class:`tests.lab.lab.Lab`."""

    def __init__(self, name: str, address: str, uuid: str, root: Path, lab: World, names: Path) -> None:
        """Prepare the host's directories below ``root``; :meth:`boot` switches it on."""
        self.name = name
        self.address = address
        self.uuid = uuid
        self.root = root
        self.home = root / "home"
        self.srv = root / "srv"
        """What the host sees as /srv."""
        self.hostd: Inside | None = None
        self._lab = lab
        self._world: World | None = None
        self._cable = f"v-{name}"
        for directory in (*_PRIVATE, "home", "people"):
            (root / directory).mkdir(parents=True)
        for directory in ("qemu", "images", "dnsmasq", "network", "boot"):
            (root / "var/libvirt" / directory).mkdir(parents=True)
        shutil.copytree("/etc/libvirt", root / "etc", dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(root / "etc/qemu/networks/autostart", ignore_errors=True)
        (root / "etc/libvirtd.conf").write_text(_LIBVIRTD.format(uuid=uuid))
        (root / "etc/qemu.conf").write_text(_QEMU_CONF)
        (root / "hosts").symlink_to(names)
        (root / "libvirtd.words").touch()

    # -- the server

    def boot(self) -> None:
        """Switch it on, and wait until its libvirtd answers."""
        for mark in ("hold", "mounted"):
            (self.root / mark).unlink(missing_ok=True)
        binds = "\n".join(f"mount --bind {self.root}/{name} {place}" for name, place in _PRIVATE.items())
        script = _BOOT.format(name=self.name, root=self.root, binds=binds, address=self.address)
        self._world = World(["-n", *HOST], script, self.root / "boot.log", within=self._lab)
        # The kernel takes its time to take away the network of a host that was crashed.
        self._in_lab("ip", "link", "delete", self._cable, check=False)
        self._in_lab("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", str(self.init))
        self._in_lab("ip", "link", "set", self._cable, "master", "br0", "up")
        self._world.go()
        self.wait_for_libvirt()

    @property
    def world(self) -> World:
        """Its namespaces."""
        assert self._world is not None, f"{self.name} is switched off"
        return self._world

    @property
    def init(self) -> int:
        """The process id, outside, of its init."""
        return self.world.init

    @property
    def running(self) -> bool:
        """Whether it is switched on."""
        return self._world is not None

    def crash(self) -> None:
        """A power cut: every process is gone at once. :meth:`boot` brings the host back with its disks."""
        self.world.end()
        if self.hostd is not None:
            self.hostd.starter.wait(10)
        self._world = None
        self.hostd = None

    def partition(self) -> None:
        """Pull its network cable."""
        self._in_lab("ip", "link", "set", self._cable, "down")

    def heal(self) -> None:
        """Put the cable back."""
        self._in_lab("ip", "link", "set", self._cable, "up")

    def _in_lab(self, *arguments: str, check: bool = True) -> None:
        done = subprocess.run(self._lab.command(arguments, ["-n"]), capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"

    def logs(self) -> str:
        """The ends of its logs, for messages."""
        return "\n".join(tail(file) for file in (self.root / "boot.log", self.root / "hostd.log") if file.exists())

    # -- programs

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What programs on the host find in their environment."""
        return {
            "PATH": f"{DOSVM.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "DOSVM_HOME": str(self.home), "HOME": str(self.root / "people"),
            "LANG": "C.UTF-8", "TERM": "xterm-256color",
            **(extra or {}),
        }  # fmt: skip

    def run(
        self, arguments: Sequence[str], *, check: bool = True, seconds: float = 60.0,
        environment: Mapping[str, str] | None = None, stdin: str = "",
    ) -> Answer:  # fmt: skip
        """Run a program on the host and wait for its end.

        Raises:
            AssertionError: it fails although ``check``.
        """
        done = subprocess.run(
            self.world.command(arguments), input=stdin, capture_output=True, text=True, timeout=seconds,
            env=self.environment(environment), check=False,
        )  # fmt: skip
        answer = Answer(tuple(arguments), done.returncode, done.stdout, done.stderr)
        assert not check or done.returncode == 0, f"{answer}\n{self.logs()}"
        return answer

    def dosvm(
        self, *words: str, account: str = "", password: str = "", check: bool = True, seconds: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """Run the command line on the host as somebody."""
        who = {"DOSVM_ACCOUNT": account, "DOSVM_PASSWORD": password} if account else {}
        return self.run([str(DOSVM), *words], check=check, seconds=seconds, environment={**who, **(environment or {})})

    # -- libvirt

    @property
    def libvirt_url(self) -> str:
        """How its libvirtd is reached from outside."""
        return f"qemu+unix:///system?socket=/proc/{self.init}/root/{SOCKET}"

    def libvirt(self) -> libvirt.virConnect:
        """A fresh connection to its libvirtd."""
        # Until the host has mounted its own /run, the machine's own libvirtd is found at the socket's path.
        if not (self.root / "mounted").exists():
            raise libvirt.libvirtError(f"{self.name} is booting")
        connection = libvirt.open(self.libvirt_url)
        assert f"<uuid>{self.uuid}</uuid>" in connection.getCapabilities(), "this is not the host's own libvirtd"
        return connection

    def serial(self, uuid: str) -> Serial:
        """The serial console of a VM that runs here."""
        assert (self.root / "mounted").exists()
        return Serial(self.libvirt_url, uuid)

    def wait_for_libvirt(self, seconds: float = 30.0) -> None:
        """Wait until libvirtd answers."""

        def answers() -> bool:
            assert self.world.running, f"{self.name} ended\n{self.logs()}"
            try:
                self.libvirt().close()
            except libvirt.libvirtError:
                return False
            return True

        wait_until(answers, f"libvirtd of {self.name}", seconds, self.logs)

    def add_libvirtd_settings(self, lines: str) -> None:
        """Add lines to libvirtd.conf, and let libvirtd read them."""
        with (self.root / "etc/libvirtd.conf").open("a") as file:
            file.write(lines + "\n")
        self.kill_libvirtd()
        self.wait_for_libvirt()

    def own_etc(self) -> None:
        """Give it an /etc of its own, so that the machine's has no part in what is tried."""
        own = self.root / "own-etc"
        binds = [(own, "/etc"), (self.root / "etc", "/etc/libvirt"), (self.root / "hosts", "/etc/hosts")]
        mounts = [f"mount --bind {what} {where}" for what, where in binds]
        self.run(["sh", "-ec", "\n".join(["! mountpoint -q /etc || exit 0", f"cp -a /etc {own}", *mounts])])

    def open_libvirtd(self) -> None:
        """Let its libvirtd be reached from other hosts, by anybody: the lab's network has no others."""
        (self.root / "libvirtd.words").write_text("--listen\n")
        self.add_libvirtd_settings('listen_tls = 0\nlisten_tcp = 1\nauth_tcp = "none"')

    def kill_libvirtd(self, sign: signal.Signals = signal.SIGKILL, *, stay_down: bool = False) -> None:
        """Kill libvirtd; it is started again at once unless it shall stay down until :meth:`start_libvirtd`."""
        if stay_down:
            (self.root / "hold").touch()
        pids = self.world.processes("libvirtd")
        for pid in pids:
            os.kill(pid, sign)
        wait_until(lambda: not pids.keys() & self.world.processes("libvirtd").keys(), "the end of libvirtd", 20)

    def start_libvirtd(self) -> None:
        """End its staying down."""
        (self.root / "hold").unlink(missing_ok=True)
        self.wait_for_libvirt()

    def qemu_pids(self, uuid: str = "") -> list[int]:
        """The process ids, outside, of the QEMU processes that run here; of one VM when ``uuid`` is given."""
        return [pid for pid, words in self.world.processes(QEMU).items() if not uuid or uuid in words]

    # -- hostd

    def start_hostd(self, environment: Mapping[str, str] | None = None, *, wait: bool = True) -> None:
        """Start hostd, and wait until its socket answers."""
        assert self.hostd is None or not self.hostd.running, f"hostd of {self.name} runs already"
        self.hostd = self.world.spawn(
            [str(DOSVM), "hostd", "run"], self.environment(environment), self.root / "hostd.log"
        )
        if wait:
            self.wait_for_hostd()

    def wait_for_hostd(self, seconds: float = 30.0) -> None:
        """Wait until hostd listens on its socket."""
        import socket

        def answers() -> bool:
            assert self.hostd is not None
            assert self.hostd.running, f"hostd of {self.name} ended\n{self.logs()}"
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.home / "hostd.sock"))
            except OSError:
                return False
            return True

        wait_until(answers, f"hostd of {self.name}", seconds, self.logs)

    def kill_hostd(self, sign: signal.Signals = signal.SIGKILL) -> None:
        """Send hostd a signal and wait for its end."""
        assert self.hostd is not None
        self.hostd.kill(sign)
        self.hostd = None
