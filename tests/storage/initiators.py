"""Lab hosts as iSCSI initiators of their own: to one kernel, with its one iscsid, they are one.

Each has open-iscsi's files for itself, and its ``iscsiadm`` logs in by a name of the host's own: a session and devices
of its own. Of the kernel's sessions and disks it sees those: the part of udev is taken by a thread.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.host import LabHost

_SESSIONS = Path("/sys/class/iscsi_session")
#: How the target knows a host.
NAME = "iqn.2026-11.test:host-{}"
_ISCSIADM = Path("/usr/sbin/iscsiadm")
#: iscsid answers in the network namespace that it is in, and it can be in the first one only.
_SCRIPT = """\
#!/bin/bash
case " $* " in *" node "*) set -- "$@" --interface {interface} ;; esac
nsenter --net={root}/first-net {root}/iscsiadm "$@" || exit
# What the kernel has by now is seen here a moment later.
seen() {{ [ -n "$(ls {sessions})" ]; }}
case " $* " in
	*" --login "*) until seen; do sleep 0.05; done ;;
	*" --logout "*) while seen; do sleep 0.05; done ;;
esac
"""
_SET_UP = """\
printf 'InitiatorName={name}\\n' >/etc/iscsi/initiatorname.iscsi
mkdir -p /etc/iscsi/ifaces /run/lock/iscsi
printf '%s\\n' '# BEGIN RECORD' 'iface.iscsi_ifacename = {interface}' 'iface.transport_name = tcp' \\
	'iface.initiatorname = {name}' '# END RECORD' >/etc/iscsi/ifaces/{interface}
touch {root}/first-net
mount -n --no-canonicalize --bind /proc/self/fd/{net} {root}/first-net
cp {iscsiadm} {root}/iscsiadm
mount --bind {root}/own-iscsiadm {iscsiadm}
mount -t tmpfs none {sessions}
"""


def initiators(target: str) -> set[str]:
    """The names of those who are logged in at a target."""
    found = set()
    for session in _SESSIONS.glob("session*"):
        with contextlib.suppress(OSError):  # it ends at this moment
            if (session / "targetname").read_text().strip() == target:
                found.add((session / "initiatorname").read_text().strip())
    return found


@contextmanager
def own_initiators(hosts: Sequence[LabHost], portal: str) -> Iterator[None]:
    """Hosts log in for themselves while this lasts, at a portal (``ADDRESS:PORT``)."""
    over = threading.Event()
    net = os.open("/proc/self/ns/net", os.O_RDONLY)
    for host in hosts:
        host.own_etc()
        wrapper = host.root / "own-iscsiadm"
        # iscsid tells sessions of one target apart by their interfaces.
        own = {"root": host.root, "sessions": _SESSIONS, "interface": f"host-{host.name}"}
        wrapper.write_text(_SCRIPT.format(**own))
        wrapper.chmod(0o755)
        script = _SET_UP.format(name=NAME.format(host.name), net=net, iscsiadm=_ISCSIADM, **own)
        subprocess.run(host.world.command(["sh", "-ec", script]), pass_fds=[net], check=True)
    os.close(net)
    udev = threading.Thread(target=_show, args=(hosts, portal, over))
    udev.start()
    try:
        yield
    finally:
        over.set()
        udev.join()
        if _SESSIONS.exists() and any(_SESSIONS.iterdir()):
            # What failed leaves no session to others.
            subprocess.run(["iscsiadm", "--mode", "session", "--logout"], check=True, stdout=subprocess.DEVNULL)


def _show(hosts: Sequence[LabHost], portal: str, over: threading.Event) -> None:
    """Let each host see its own sessions and their disks, as they come and go."""
    seen: dict[str, dict[str, set[str]]] = {host.name: {} for host in hosts}
    while not over.wait(0.05):
        for host in hosts:
            mine, lines = seen[host.name], list[str]()
            sessions = {session.name: session for session in _SESSIONS.glob("session*") if _is_of(session, host)}
            for name in mine.keys() - sessions.keys():
                lines.append(f"rm {_SESSIONS / name}")
                del mine[name]
            for name, session in sessions.items():
                disks = {block.name: block for block in (session / "device").glob("target*/*/block/*")}
                for disk in sorted(disks.keys() - mine.get(name, set())):
                    lines += _nodes(session, disks[disk], portal)
                if disks and name not in mine:
                    # open-iscsi goes by what the link says.
                    lines.append(f"ln -s {session.readlink()} {_SESSIONS / name}")
                if disks:
                    mine[name] = set(disks)
            if lines:
                host.run(["sh", "-ec", "\n".join(lines)])


def _is_of(session: Path, host: LabHost) -> bool:
    try:
        return (session / "initiatorname").read_text().strip() == NAME.format(host.name)
    except OSError:
        return False  # it ends at this moment


def _nodes(session: Path, disk: Path, portal: str) -> list[str]:
    """What makes the node of a session's disk, and the name by which it lasts."""
    number, unit = (disk / "dev").read_text().strip().replace(":", " "), disk.parts[-3].rpartition(":")[2]
    link = f"/dev/disk/by-path/ip-{portal}-iscsi-{(session / 'targetname').read_text().strip()}-lun-{unit}"
    make = [f"rm -f /dev/{disk.name}", f"mknod /dev/{disk.name} b {number}", "mkdir -p /dev/disk/by-path"]
    return [*make, f"ln -sfn /dev/{disk.name} {link}"]
