"""Network file systems: who serves them, how libvirt is to mount them, and what is wrong when it cannot.

libvirtd mounts, not hostd: its mounts are seen by QEMU, and what serves them lives as long as they do. But a server
that is silent is found out before: libvirtd would hold what all its pools need while it waits.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from core.errors import DosvmError, EngineError, Refused
from core.i18n import N_
from core.rules.pools import AUTO, CIFS, GLUSTERFS, ISCSI, ISCSI_PORT, NFS, PORTS
from core.specs.pool import PoolOrder
from hostd import intervals, shared
from hostd.access import qemu_user

#: What libvirt calls the program that failed stands before its own words.
_CHILD = "unexpected exit status"


def answers(server: str, port: int) -> str:
    """Why nobody takes up at a port; empty when somebody does."""
    try:
        socket.create_connection((server, port), intervals.STORAGE_SERVER).close()
    except OSError as error:
        return "timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return ""


def reached(pool: PoolOrder) -> PoolOrder:
    """The pool with its format found out, when its server answers.

    Raises:
        EngineError: it does not.
    """
    formats = (NFS, GLUSTERFS, CIFS) if pool.format == AUTO else (pool.format,)
    if pool.format == AUTO and pool.port:
        # Nobody but the server knows what is at an unusual port; a path with a slash is how NFS writes one.
        usual = [known for known, port in PORTS.items() if port == pool.port]
        formats = (usual[0] if usual else NFS if pool.source.startswith("/") else CIFS,)
    reason = ""
    for found in formats:
        port = pool.port or (ISCSI_PORT if pool.kind == ISCSI else PORTS[found])
        reason = answers(pool.server, port)
        if not reason:
            return replace(pool, format=found)
    raise EngineError(
        N_("The server {server} of storage pool {name} does not answer: {reason}."),
        remedy=N_("Look whether it and the network are up, and whether the service runs there."),
        server=pool.server,
        name=pool.name,
        reason=reason,
    )


def origin(pool: PoolOrder) -> str:
    """What the kernel's list of mounts calls the storage; the format is known."""
    if pool.format == CIFS:
        return f"//{pool.server}/{pool.source.strip('/')}"
    return f"{pool.server}:{pool.source}"


def in_place(pool: PoolOrder) -> bool:
    """Whether something is mounted at the pool's directory; the storage itself is not touched."""
    return shared.mounted(place(pool))[0] == place(pool)


def place(pool: PoolOrder) -> str:
    """Where its storage is mounted: its true path, but for its own name."""
    # What is mounted there may not answer: only what is above it is looked at.
    path = Path(pool.path)
    return str(path.parent.resolve() / path.name)


def check_place(pool: PoolOrder) -> None:
    """Refuse a directory where something else is: mounted there, or files that a mount would hide.

    Raises:
        Refused: says what is there.
        OSError: it cannot be looked at.
    """
    mounted, _kind, source = shared.mounted(place(pool))
    if mounted == place(pool):
        # GlusterFS writes its own a little differently.
        if source.replace(":/", ":") != origin(pool).replace(":/", ":"):
            raise Refused(
                N_("Something else is mounted at {path}: {source}."),
                remedy=N_("Choose another directory, or unmount it."),
                field="path",
                path=pool.path,
                source=source,
            )
        return
    path = Path(pool.path)
    if path.exists() and any(path.iterdir()):
        raise Refused(
            N_("{path} has files in it, which would be hidden by what is mounted there."),
            remedy=N_("Choose another directory, or empty it."),
            field="path",
            path=pool.path,
        )


def check_root(pool: PoolOrder) -> None:
    """Refuse an export of NFS to which this host's root, who makes the volumes, may not write.

    Raises:
        Refused: the server says so.
    """
    # NFS asks the server, whatever root may do here.
    if pool.format in (NFS, AUTO) and not os.access(pool.path, os.R_OK | os.W_OK | os.X_OK):
        raise _squashed(
            pool,
            N_(
                "The server {server} lets root of this host write nothing to {source} of storage pool {name}: it is"
                " exported read-only, or squashes root (root_squash)."
            ),
        )


def check_owner(pool: PoolOrder, mark: Path) -> None:
    """Refuse an export of NFS where QEMU could not open what this host makes; ``mark`` has just been made.

    Raises:
        Refused: the server makes it another user's.
    """
    owner, user = mark.stat().st_uid, qemu_user()
    if pool.format in (NFS, AUTO) and owner and user and owner != user:
        raise _squashed(
            pool,
            N_(
                "The server {server} gives what root of this host makes in {source} of storage pool {name} to user"
                " {owner} (root_squash): QEMU, which runs as user {user}, could not open it."
            ),
            owner=owner,
        )


def _squashed(pool: PoolOrder, message: str, **more: object) -> Refused:
    user = qemu_user() or 0
    with suppress(KeyError):
        more["group"] = pwd.getpwuid(user).pw_gid
    return Refused(
        message,
        remedy=N_(
            "Export it with no_root_squash; or give the directory to user {user}, as whom QEMU runs, and export it with"
            " anonuid={user},anongid={group}."
        )
        if user
        else N_("Export it with no_root_squash."),
        field="source",
        **{"server": pool.server, "source": pool.source, "name": pool.name, "user": user, "group": user, **more},
    )


@contextmanager
def options(pool: PoolOrder, password: str, directory: Path) -> Iterator[list[str]]:
    """Words for mount(8), valid while the block lasts; the format is known.

    Args:
        pool: what is mounted.
        password: of its account, if it has one.
        directory: hostd's own, where it stands for this moment in a file that only root reads.
    """
    words = ["nosuid", "nodev"]
    if pool.port:
        words.append(f"{'server-port' if pool.format == GLUSTERFS else 'port'}={pool.port}")
    if pool.format == NFS:
        # A server that is away stops what writes, and loses nothing; only mounting does not wait for it.
        words += ["hard", "retry=0"]
    credentials = directory / f"mount-{pool.uuid}"
    if pool.format == CIFS:
        user = qemu_user() or 0
        # Locks of SMB are mandatory: QEMU's own would keep itself from writing what it has locked.
        words += ["hard", "nobrl", "nolease", f"uid={user}", "forceuid", "file_mode=0600", "dir_mode=0700"]
        # Who is silent for three times as long is called anew; with what is usual, guests waited three minutes more.
        words.append(f"echo_interval={intervals.STORAGE_ECHO}")
        if pool.account:
            descriptor = os.open(credentials, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"username={pool.account}\npassword={password}\n")
            words.append(f"credentials={credentials}")
    try:
        yield words
    finally:
        credentials.unlink(missing_ok=True)


#: What programs say, and what that means to who has to mend it.
_MEANINGS = (
    (("access denied by server", "Permission denied", "error(13)"), N_("the server refuses this host or account")),
    (
        ("No such file or directory", "error(2)", "failed to fetch volume", "does not exist"),
        N_("the server has no such share"),
    ),
    (("authorization failure", "authentication failure"), N_("the server refuses the account or password (CHAP)")),
    (("No records found", "no portals found", "not found in discovery"), N_("the server has no such target")),
    (("bad option", "need a /sbin/mount", "unknown filesystem type"), N_("this host lacks the programs for it")),
    (("Protocol not supported", "requested NFS version"), N_("the two do not speak the same version")),
    (("timed out", "No route to host", "Connection refused"), N_("the server does not answer")),
)


def explained(pool: PoolOrder, error: DosvmError) -> DosvmError:
    """Libvirt's error in the words of who looks after storage; the program's own words stay in it."""
    said = str(error.parameters.get("reason", ""))
    if not pool.server or not isinstance(error, EngineError) or not said:
        return error
    meaning = next((words for signs, words in _MEANINGS if any(sign in said for sign in signs)), "")
    if not meaning:
        return error
    last = said.rsplit(_CHILD, 1)[-1].partition(":")[2].strip() or said
    return EngineError(
        N_("Storage pool {name} cannot have {source} of {server}: {why} ({reason})."),
        field="source",
        name=pool.name,
        source=pool.source,
        server=pool.server,
        why=[{"message": meaning, "parameters": {}}],
        reason=" ".join(last.split()),
    )
