"""A libvirtd of its own for the engine tests, in namespaces of its own.

It has private ``/run``, ``/var/lib/libvirt``, ``/etc/libvirt`` and process ids; ``/dev/kvm`` is hidden.
Whatever happens to the tests, killing the namespace's init ends every process in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import libvirt

_START = """\
set -e
mount --make-rprivate /
mkdir -p {root}/dev
mount -t tmpfs tmpfs {root}/dev
mkdir -p {root}/dev/pts {root}/dev/shm {root}/dev/net
for device in null zero full random urandom tty fuse; do cp -a /dev/$device {root}/dev/ 2>/dev/null || true; done
cp -a /dev/net/tun {root}/dev/net/ 2>/dev/null || true
cp -a /dev/loop[0-9]* {root}/dev/ 2>/dev/null || true
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts {root}/dev/pts
ln -s pts/ptmx {root}/dev/ptmx; ln -s /proc/self/fd {root}/dev/fd
mount --rbind {root}/dev /dev
mount --bind {root}/run /run
mount --bind {root}/var /var/lib/libvirt
mount --bind {root}/cache /var/cache/libvirt
mount --bind {root}/log /var/log/libvirt
mount --bind {root}/etc /etc/libvirt
ip link set lo up
virtlogd -d
exec tini -- bash -c 'while [ ! -e {root}/stop ]; do [ -e {root}/hold ] || libvirtd || true; sleep 0.2; done'
"""

LIBVIRTD = """\
unix_sock_group = "root"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""

QEMU = """\
namespaces = []
cgroup_controllers = []
security_driver = "none"
remember_owner = 0
"""


class PrivateLibvirt:
    """One libvirtd; ``url`` reaches it from outside, :meth:`command` runs something beside it."""

    def __init__(self, root: Path) -> None:
        """``root`` is an empty directory, on a file system that may hold sockets (short path)."""
        self.root = root
        for name in ("run", "var", "cache", "log", "etc"):
            (root / name).mkdir(parents=True)
        for name in ("libvirt", "lock"):
            (root / "run" / name).mkdir()
        for name in ("qemu", "images", "dnsmasq", "network", "boot"):
            (root / "var" / name).mkdir()
        shutil.copytree("/etc/libvirt", root / "etc", dirs_exist_ok=True)
        (root / "etc/libvirtd.conf").write_text(LIBVIRTD)
        (root / "etc/qemu.conf").write_text(QEMU)
        # QEMU's user must be able to walk to its sockets below here.
        for path in (root, root / "var", root / "run"):
            path.chmod(0o755)
        shutil.rmtree(root / "etc/qemu/networks/autostart", ignore_errors=True)
        self._log = (root / "namespace.log").open("wb")
        self._unshare = subprocess.Popen(
            ["unshare", "-m", "-u", "-i", "-n", "-p", "-f", "--mount-proc", "--kill-child",
             "bash", "-c", _START.format(root=root)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        self.url = f"qemu+unix:///system?socket={root}/run/libvirt/libvirt-sock"
        self.wait()

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until libvirtd answers."""
        give_up = time.monotonic() + seconds
        while True:
            try:
                libvirt.open(self.url).close()
                return
            except libvirt.libvirtError as error:
                if time.monotonic() > give_up:
                    text = (self.root / "namespace.log").read_text(errors="replace")
                    raise AssertionError(f"libvirtd does not start: {error}\n{text}") from error
                time.sleep(0.05)

    @property
    def init(self) -> int:
        """The process id, outside, of the namespace's init."""
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        return int(children[0])

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs something inside."""
        return ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "--", *arguments]

    def processes(self, name: str) -> list[int]:
        """The process ids, outside, of the processes of this name inside."""
        inside = Path(f"/proc/{self.init}/ns/pid").readlink()
        found = []
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                same = Path(f"{entry.path}/ns/pid").readlink() == inside
                command = Path(f"{entry.path}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if same and Path(command[0].decode(errors="replace")).name == name:
                found.append(int(entry.name))
        return found

    def qemu(self, uuid: str) -> int | None:
        """The process id, outside, of a VM's QEMU."""
        for pid in self.processes("qemu-system-x86_64"):
            try:
                if uuid.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return pid
            except OSError:
                continue
        return None

    def kill(self, *, stay_down: bool = False) -> None:
        """``kill -9`` libvirtd; it is started again at once unless it shall stay down."""
        if stay_down:
            (self.root / "hold").touch()
        for pid in self.processes("libvirtd"):
            os.kill(pid, signal.SIGKILL)

    def release(self) -> None:
        """End staying down."""
        (self.root / "hold").unlink(missing_ok=True)
        self.wait()

    def close(self) -> None:
        """End everything inside."""
        (self.root / "stop").touch()
        try:
            os.kill(self.init, signal.SIGKILL)
        except (OSError, IndexError):
            pass
        self._unshare.kill()
        self._unshare.wait(10)
        self._log.close()
