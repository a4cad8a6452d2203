"""Servers of storage, set up as administrators set them up, and taken away as networks take them away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.storage.here import Here

#: Where each server keeps what it offers.
NFS_EXPORT = Path("/srv/nfs/disk-pool")
#: The name of the iSCSI target.
TARGET = "iqn.2026-11.test:disks"
#: What version 4 calls that: its paths begin at the export that is marked as their root.
NFS4_SOURCE = "/disk-pool"
CIFS_SHARE = Path("/srv/smb/disks")
#: What ``alice`` has to say to each.
CIFS_PASSWORD, CHAP_PASSWORD = "Al1ce-share-secret", "chap-secret-12"
NFS_PORT, CIFS_PORT, ISCSI_PORT = 2049, 445, 3260

_SMB_CONF = """\
[global]
  workgroup = LAB
  server role = standalone server
  interfaces = lo
  log file = /run/smbd.log
  load printers = no
  disable spoolss = yes
[disks]
  path = {path}
  read only = no
  valid users = alice
"""


@contextmanager
def silent(here: Here, *ports: int) -> Iterator[None]:
    """While it lasts, the packets to servers get lost: nobody refuses, nobody answers."""
    rule = ("INPUT", "-p", "tcp", "-m", "multiport", "--dports", ",".join(map(str, ports)), "-j", "DROP")
    here.run("iptables-legacy", "-A", *rule)
    try:
        yield
    finally:
        here.run("iptables-legacy", "-D", *rule)


class NfsServer:
    """The kernel's NFS server with one export, and more by :meth:`export`; NFSv4 can be switched off."""

    def __init__(self, here: Here) -> None:
        """Start what every version needs; :meth:`start` starts the server."""
        self._here = here
        NFS_EXPORT.parent.mkdir(parents=True)
        # The machine's own files are layers, which NFS cannot export.
        here.run("mount", "-t", "tmpfs", "nfs", str(NFS_EXPORT.parent))
        NFS_EXPORT.mkdir()
        for name in ("v4recovery", "rpc_pipefs", "sm", "sm.bak"):
            Path("/var/lib/nfs", name).mkdir(parents=True, exist_ok=True)
        self._lines = ""
        Path("/etc/exports").write_text("")
        for name in ("etab", "rmtab"):
            Path("/var/lib/nfs", name).write_text("")
        # After a start, nobody gets a lock for this long, so that those who had one before can have it again.
        here.run("sysctl", "-q", "fs.nfs.nlm_grace_period=1")
        here.run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
        here.run("mount", "-t", "rpc_pipefs", "rpc_pipefs", "/var/lib/nfs/rpc_pipefs")
        here.run("rpcbind", "-w")
        here.run("rpc.statd")
        here.serve("rpc.mountd", "--foreground")
        for path in (NFS_EXPORT.parent, NFS_EXPORT):
            self.export(path, "no_root_squash")

    def export(self, path: Path, *options: str) -> None:
        """Offer another directory."""
        words = ",".join(("rw", "no_subtree_check", "insecure", f"fsid={self._lines.count(chr(10))}", *options))
        self._lines += f"{path} *({words})\n"
        Path("/etc/exports").write_text(self._lines)
        self._here.run("exportfs", "-ra")

    def small(self, name: str, size: str, *options: str) -> Path:
        """Offer a file system of its own, of a size as mount(8) writes it; its place. Version 4 has it as ``/NAME``."""
        path = NFS_EXPORT.parent / name
        path.mkdir()
        # What is below an export on the same file system would have that one's options.
        self._here.run("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", name, str(path))
        self.export(path, *(options or ("no_root_squash",)))
        return path

    def start(self, *, only_v3: bool = False) -> None:
        """Serve, as version 4 and 3, or as 3 only."""
        for name in ("nfsv4leasetime", "nfsv4gracetime"):
            Path("/proc/fs/nfsd", name).write_text("10\n")
        self._here.run("rpc.nfsd", *(("-N", "4") if only_v3 else ()), "2")
        Path("/proc/fs/nfsd/v4_end_grace").write_text("Y\n")

    def stop(self) -> None:
        """Serve no more: connections are refused."""
        self._here.run("rpc.nfsd", "0")


class CifsServer:
    """Samba with the share ``disks`` for the account ``alice``."""

    def __init__(self, here: Here) -> None:
        """Start it."""
        self._here = here
        CIFS_SHARE.mkdir(parents=True)
        here.run("useradd", "--no-create-home", "alice")
        shutil.chown(CIFS_SHARE, "alice")
        conf = Path("/etc/samba/smb.conf")
        conf.write_text(_SMB_CONF.format(path=CIFS_SHARE))
        for place in ("/run/samba", "/var/lib/samba/private", "/var/log/samba", "/var/cache/samba"):
            Path(place).mkdir(parents=True, exist_ok=True)
        words = Path("/run/alice")
        words.write_text(f"{CIFS_PASSWORD}\n{CIFS_PASSWORD}\n")
        here.run("sh", "-c", f"smbpasswd -s -a alice <{words}")
        words.unlink()
        here.serve("smbd", "--foreground", "--no-process-group")
        here.wait_for_port(CIFS_PORT)


def loop_disk(here: Here, name: str, size: int = 128 << 20) -> str:
    """A disk of the machine, in a file; its path."""
    file = Path("/run", f"{name}.disk")
    with file.open("wb") as disk:
        disk.truncate(size)
    return here.run("losetup", "--find", "--show", "--partscan", str(file)).strip()


class IscsiServer:
    """A target with two units, files, for who knows the password of ``alice`` (CHAP)."""

    def __init__(self, here: Here) -> None:
        """Start it, and the initiator's daemon."""
        self.units = [Path("/run/unit1"), Path("/run/unit2")]
        here.serve("tgtd", "-f", "--iscsi", f"portal=0.0.0.0:{ISCSI_PORT}")
        here.wait_for_port(ISCSI_PORT)
        admin = ("tgtadm", "--lld", "iscsi", "--op")
        here.run(*admin, "new", "--mode", "target", "--tid", "1", "-T", TARGET)
        for number, unit in enumerate(self.units, 1):
            with unit.open("wb") as disk:
                disk.truncate(32 << 20)
            here.run(*admin, "new", "--mode", "logicalunit", "--tid", "1", "--lun", str(number), "-b", str(unit))
        here.run(*admin, "bind", "--mode", "target", "--tid", "1", "-I", "ALL")
        here.run(*admin, "new", "--mode", "account", "--user", "alice", "--password", CHAP_PASSWORD)
        here.run(*admin, "bind", "--mode", "account", "--tid", "1", "--user", "alice")
        Path("/etc/iscsi/initiatorname.iscsi").write_text("InitiatorName=iqn.2026-11.test:here\n")
        conf = Path("/etc/iscsi/iscsid.conf")
        lines = [line for line in conf.read_text().splitlines() if not line.startswith("iscsid.startup")]
        # There is no systemd to ask for it, and it runs.
        conf.write_text("\n".join([*lines, "iscsid.startup = /bin/true"]) + "\n")
        Path("/run/lock/iscsi").mkdir(parents=True, exist_ok=True)
        here.serve("iscsid", "-f")
