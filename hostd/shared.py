"""Whether a directory is the one of its pool, and not an empty one that has its name.

The first host that has a pool leaves a mark with the pool's UUID in the directory. Later on, and on every other host,
that mark is the proof that it is the same directory: a mount point on which nothing is mounted has none.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path

from core.errors import Refused
from core.i18n import N_
from core.rules.names import escaped
from core.specs.pool import PoolOrder

#: The file with the mark; no volume has a name that begins with a dot.
MARK = ".dosvm-pool"
#: File systems that no two hosts share, whatever is mounted there.
_LOCAL = {"tmpfs", "ramfs", "devtmpfs", "proc", "sysfs", "overlay", "squashfs", "iso9660", "cgroup", "cgroup2"}
_MOUNTS = Path("/proc/self/mountinfo")
#: What is said of a path at which nothing is: a link may lead there, or in a circle.
_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def mount_of(path: str, mounts: str) -> tuple[str, str, str]:
    """The mount point that a path is on, its type and its source, by the text of ``/proc/self/mountinfo``.

    Of several mounts at one place the last one counts.
    """
    best = ("", "", "")
    for line in mounts.splitlines():
        before, _dash, after = line.partition(" - ")
        words, kinds = before.split(" "), after.split(" ")
        if len(words) < 5 or len(kinds) < 2:
            continue
        place = _plain(words[4])
        if (path + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best[0]):
            best = (place, kinds[0], _plain(kinds[1]))
    return best


def within(path: str) -> tuple[str, str]:
    """The file system that a path is on, by its device's numbers, and the path inside of it; both empty if unknown.

    What is mounted there may be a directory of that file system (a bind mount): the path begins with that.
    """
    text = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    place = mount_of(path, text)[0]
    for line in reversed(text.splitlines()):
        words = line.split(" ")
        if place and len(words) > 4 and _plain(words[4]) == place:
            rest = path[len(place.rstrip("/")) :]
            return words[2], (_plain(words[3]).rstrip("/") + rest) or "/"
    return "", ""


def mounted(path: str) -> tuple[str, str, str]:
    """As :func:`mount_of`, on this host now."""
    return mount_of(path, _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))


def _plain(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def refuse_no_directory(pool: PoolOrder) -> None:
    """Refuse a place where a directory neither is nor can be made.

    A file has its name, or that of one above it; or a link that leads to nothing.

    Raises:
        Refused: names the file or link.
        OSError: it cannot be looked at.
    """
    path = Path(pool.path)
    for place in (path, *path.parents):
        try:
            mode = place.stat().st_mode
        except OSError as error:
            if error.errno not in _NOTHING:
                raise
            if not place.is_symlink():
                continue  # it would be made
            raise Refused(
                N_("{path} cannot be the directory of storage pool {name}: the link {link} leads nowhere ({target})."),
                remedy=N_("Make that directory, or mount what it is on; or remove the link, and a directory is made."),
                field="path",
                path=pool.path,
                name=pool.name,
                link=str(place),
                target=escaped(str(place.readlink())),
            ) from error
        if stat.S_ISDIR(mode):
            return
        raise Refused(
            N_("{path} cannot be the directory of storage pool {name}: {file} is no directory."),
            remedy=N_("Choose another path; a directory that is not there yet is made."),
            field="path",
            path=pool.path,
            name=pool.name,
            file=str(place),
        )


def check(pool: PoolOrder, *, mark: bool) -> None:
    """Refuse a directory that is not on a shared file system, or not the one of this pool.

    Args:
        pool: whose ``path`` it is.
        mark: the pool is being made: the directory is made and marked.

    Raises:
        Refused: it is not; says what is there.
        OSError: it cannot be looked at.
    """
    place, kind, _source = mounted(os.path.realpath(pool.path))
    if place in ("", "/") or kind in _LOCAL:
        raise Refused(
            N_("{path} is not on a file system that hosts share: it is on {kind}, mounted at {place}."),
            remedy=N_("Mount the shared file system there."),
            field="path",
            path=pool.path,
            kind=kind,
            place=place or "/",
        )
    if mark:
        Path(pool.path).mkdir(parents=True, exist_ok=True)
    check_mark(pool, mark=mark)


def check_mark(pool: PoolOrder, *, mark: bool) -> None:
    """Refuse a directory that is not the one of this pool; as :func:`check`, whatever file system it is on."""
    file = Path(pool.path) / MARK
    found = _read(file)
    if not found and mark:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            os.write(descriptor, f"{pool.uuid}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        found = pool.uuid
    if not found:
        raise Refused(
            N_("{path} on this host is not the directory of storage pool {name}: the file {mark} is not in it."),
            remedy=N_(
                "Look whether its file system is mounted there. If this truly is the pool's directory, write {uuid}"
                " into that file."
            ),
            path=pool.path,
            name=pool.name,
            mark=MARK,
            uuid=pool.uuid,
        )
    _refuse_other(pool, found)


def is_marked(path: str, uuid: str) -> bool:
    """Whether a directory has the mark of a pool (its UUID)."""
    return _read(Path(path) / MARK) == uuid


def adopt(pool: PoolOrder, names: Collection[str]) -> bool:
    """Mark the directory of a pool that was made before directories of one host were marked; whether it has a mark now.

    Args:
        pool: which.
        names: the files of its volumes. Where there are some, one of them is the proof that it is the directory.

    Raises:
        Refused: it is not.
        OSError: it cannot be looked at.
    """
    place = Path(pool.path)
    known = not names or any(os.path.lexists(place / name) for name in names)
    try:
        check_mark(pool, mark=known and place.is_dir())
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            raise
        return False  # nothing is made there now, and what is there is the pool's
    return True


def refuse_marked(pool: PoolOrder) -> None:
    """Refuse a directory with the mark of another pool in it, for a pool that makes no mark."""
    found = _read(Path(pool.path) / MARK)
    if found:
        _refuse_other(pool, found)


def _refuse_other(pool: PoolOrder, found: str) -> None:
    if found != pool.uuid:
        raise Refused(
            N_("{path} belongs to another storage pool, {uuid}."),
            remedy=N_("If there is no such pool any more, remove the file {mark} in it."),
            field="path",
            path=pool.path,
            uuid=found,
            mark=MARK,
        )


def unmark(pool: PoolOrder) -> bool:
    """Take the mark away, if it is this pool's; whether it was."""
    file = Path(pool.path) / MARK
    if _read(file) != pool.uuid:
        return False
    file.unlink(missing_ok=True)
    return True


def _read(file: Path) -> str:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        return os.read(descriptor, 64).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
