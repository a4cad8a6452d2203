"""Lets QEMU's user pass the directories above a pool: search permission on them, and nothing more.

libvirt gives QEMU the disks themselves, but a pool below a directory that is closed to others (a home, a
temporary directory) stays out of reach. As virt-install does, an ACL entry ``user:qemu:--x`` is added to
just those directories. Each one is written to a file and to the log, so that an administrator finds them.
"""

from __future__ import annotations

import errno
import logging
import os
import pwd
import re
import struct
import threading
from pathlib import Path

from core.errors import EngineError
from core.i18n import N_
from hostd.log import fields

logger = logging.getLogger("hostd.access")

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = 2
# Tags and permissions of POSIX ACLs as the kernel keeps them (linux/posix_acl_xattr.h).
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_SEARCH = 1
_NO_ID = 0xFFFFFFFF

_guard = threading.Lock()

Entry = tuple[int, int, int]


def qemu_user(configuration: Path = Path("/etc/libvirt/qemu.conf")) -> int | None:
    """The user id that libvirt runs QEMU as; None when it is root, who may pass everywhere."""
    names = ["libvirt-qemu", "qemu"]
    try:
        match = re.search(r'^\s*user\s*=\s*"([^"]+)"', configuration.read_text(errors="replace"), re.MULTILINE)
        if match:
            names = [match[1]]
    except OSError:
        pass
    for name in names:
        if re.fullmatch(r"\+?\d+", name):
            return int(name) or None
        try:
            return pwd.getpwnam(name).pw_uid or None
        except KeyError:
            continue
    return None


def _groups(user: int) -> set[int]:
    try:
        entry = pwd.getpwuid(user)
        return set(os.getgrouplist(entry.pw_name, entry.pw_gid))
    except (KeyError, OSError):
        return set()


def _read(path: Path) -> list[Entry]:
    """The entries of a directory's ACL; those of its mode when it has none."""
    try:
        raw = os.getxattr(path, _ATTRIBUTE)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        mode = path.stat().st_mode
        return [
            (_USER_OBJ, mode >> 6 & 7, _NO_ID),
            (_GROUP_OBJ, mode >> 3 & 7, _NO_ID),
            (_OTHER, mode & 7, _NO_ID),
        ]
    return [struct.unpack_from("<HHI", raw, offset) for offset in range(4, len(raw), 8)]


def _write(path: Path, entries: list[Entry]) -> None:
    ordered = sorted(entries, key=lambda entry: (entry[0], entry[2]))
    os.setxattr(path, _ATTRIBUTE, struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *e) for e in ordered))


def may_search(path: Path, user: int) -> bool:
    """Whether a user may pass a directory, by its owner, its groups and its ACL (acl(5))."""
    status = path.stat()
    entries = _read(path)
    mask = next((permission for tag, permission, _ in entries if tag == _MASK), 7)
    if status.st_uid == user:
        return bool(next(p for t, p, _ in entries if t == _USER_OBJ) & _SEARCH)
    for tag, permission, who in entries:
        if tag == _USER and who == user:
            return bool(permission & mask & _SEARCH)
    groups = _groups(user)
    of_group = [
        permission
        for tag, permission, who in entries
        if (tag == _GROUP_OBJ and status.st_gid in groups) or (tag == _GROUP and who in groups)
    ]
    if of_group:
        return any(permission & mask & _SEARCH for permission in of_group)
    return bool(next(p for t, p, _ in entries if t == _OTHER) & _SEARCH)


def _grant(path: Path, user: int) -> None:
    entries = _read(path)
    old = next((p for t, p, who in entries if t == _USER and who == user), 0)
    entries = [e for e in entries if not (e[0] == _USER and e[2] == user) and e[0] != _MASK]
    entries.append((_USER, old | _SEARCH, user))
    # The mask bounds all but owner and others: just enough for what the entries already give.
    mask = 0
    for tag, permission, _who in entries:
        if tag in (_USER, _GROUP_OBJ, _GROUP):
            mask |= permission
    previous = next((p for t, p, _ in _read(path) if t == _MASK), None)
    if previous is not None:
        # An existing mask may hide permissions on purpose: only search is added to it.
        mask = previous | _SEARCH
    entries.append((_MASK, mask, _NO_ID))
    _write(path, entries)


def let_pass(directory: Path, record: Path, *, user: int | None = None) -> list[Path]:
    """Let QEMU's user reach a directory and pass through it.

    Args:
        directory: where disks lie.
        record: the file that lists the directories changed so far.
        user: QEMU's user id; None: as libvirt is configured.

    Returns:
        The directories that were changed now.

    Raises:
        EngineError: a directory's ACL cannot be changed.
    """
    uid = qemu_user() if user is None else user
    if not uid:
        return []
    real = Path(os.path.realpath(directory))
    changed = []
    with _guard:
        for place in reversed([real, *real.parents]):
            try:
                if may_search(place, uid):
                    continue
                _grant(place, uid)
            except FileNotFoundError as error:
                raise EngineError(
                    N_("There is no directory {path}."),
                    remedy=N_("Look whether its file system is mounted there, or make it."),
                    path=str(place),
                ) from error
            except OSError as error:
                raise EngineError(
                    N_("QEMU's user may not pass {path}, and its permission cannot be added: {reason}."),
                    remedy=N_("Allow it with `chmod o+x {path}`, or use another directory."),
                    path=str(place),
                    reason=error.strerror or str(error),
                ) from error
            changed.append(place)
            logger.info("search permission added %s", fields(path=place, user=uid))
        _record(record, changed, uid)
    return changed


def _record(record: Path, changed: list[Path], user: int) -> None:
    if changed:
        record.parent.mkdir(parents=True, exist_ok=True)
        with record.open("a", encoding="utf-8") as file:
            file.writelines(f"u:{user}:--x {path}\n" for path in changed)
