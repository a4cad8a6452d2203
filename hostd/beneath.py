"""Files of a project group: reached without following a link, and in nobody's hands but the cloud's while in use.

Between hostd's look at a file and QEMU's opening it, whoever may write to a directory on the way could put another
file there (libvirt would even give it to QEMU's user). Descriptors cannot be handed over instead: libvirt takes
them for defined domains only, and those neither migrate nor are ours. So nobody else may be able to: every directory
on the way belongs to root and is written to by root only, as sshd demands of a home, and the file is taken over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from core.errors import EngineError, InvalidInput, Refused
from core.i18n import N_
from hostd import removal
from hostd.access import qemu_user
from hostd.log import fields
from hostd.shared import mounted

logger = logging.getLogger("hostd.beneath")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A FIFO is opened without waiting for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: There is no directory, or it is none.
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_ACL = "system.posix_acl_access"


def look(
    root: Path, file: str, *, new: bool = False, first: Callable[[int], None] = lambda _descriptor: None
) -> Path:  # fmt: skip
    """The true path of a file below a group's directory, which nobody but root can make another file of.

    Args:
        root: the group's directory.
        file: relative to it.
        new: it was not in use before: other names and writers that it has are refused.
        first: looks at the open file before anything about it is changed; what it refuses stays its owner's. Its owner
            may still change it then: whoever needs to be sure looks again at what is answered.

    Raises:
        InvalidInput: it is missing, a link or no plain file, or leads out of the directory.
        Refused: others than root could exchange or change it.
    """
    with _parent(root, file) as (directory, path):
        try:
            descriptor = os.open(path.name, _FILE, dir_fd=directory)
        except OSError as error:
            raise _not_there(error, file, root) from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(N_("{file} is not a plain file."), field="file", file=file)
            _only_ours(path.parent)
            if new and status.st_nlink > 1:
                raise InvalidInput(
                    N_("{file} has other names (hard links), by which it could be changed."),
                    remedy=N_("Copy the file into the directory instead of linking it."),
                    field="file",
                    file=file,
                )
            if new:
                _unwritten(descriptor, path, file)
            first(descriptor)
            _take(descriptor, status, path)
            if new:
                # Who opened it in between can go on writing, though it is no longer his.
                _unwritten(descriptor, path, file)
        finally:
            os.close(descriptor)
        return path


def place(root: Path, file: str) -> Path:
    """Where a file is to be made below a group's directory; directories that are missing are made.

    Raises:
        InvalidInput: a link is in the way, or it leads out of the directory.
        Refused: others than root may write there.
        OSError: a directory cannot be made.
    """
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _parent(root, file, make=True) as (_directory, path):
        _only_ours(path.parent)
        return path


def remove(root: Path, file: str, uuid: str, sure: Callable[[], None]) -> None:
    """Remove a file below a group's directory; what is not there is removed already, a link goes as a link.

    Args:
        root: the group's directory.
        file: relative to it.
        uuid: of the image that it is.
        sure: called right before it goes; raises when that may not happen any more.

    Raises:
        EngineError: another file has the name by now.
        OSError: it cannot be removed.
    """
    try:
        with _parent(root, file) as (directory, path):
            # The open directory itself, whatever becomes of its name.
            here = Path(f"/proc/self/fd/{directory}")
            work = here / f".{uuid}.removal"
            removal.remove(here / path.name, work, sure)
            removal.clear(work)
    except InvalidInput as error:
        # Its directory is gone, or is a link; of storage that fails nobody knows what is there.
        if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _ABSENT:
            raise error.__cause__ from error


@contextlib.contextmanager
def _parent(root: Path, file: str, *, make: bool = False) -> Iterator[tuple[int, Path]]:
    """The directory of a file, open, and the file's true path; nothing of ``file`` is followed."""
    parts = file.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(
            N_("{file} leads out of the group's directory."),
            field="file",
            remedy=N_("Copy the file into the directory instead of linking it."),
            file=file,
        )
    true = os.path.realpath(root)
    opened: list[int] = []
    try:
        try:
            opened.append(os.open(true, _DIRECTORY))
            for part in parts[:-1]:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=opened[-1])
                opened.append(os.open(part, _DIRECTORY, dir_fd=opened[-1]))
        except OSError as error:
            raise _not_there(error, file, root) from error
        yield opened[-1], Path(true, *parts)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _not_there(error: OSError, file: str, root: Path) -> InvalidInput:
    # O_NOFOLLOW says ELOOP of a link to a file, with O_DIRECTORY ENOTDIR of any link.
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return InvalidInput(
            N_("{file} is a link, or lies behind one."),
            field="file",
            remedy=N_("Copy the file into the directory instead of linking it."),
            file=file,
        )
    if error.errno in (errno.ENXIO, errno.ENODEV, errno.EISDIR):
        return InvalidInput(N_("{file} is not a plain file."), field="file", file=file)
    return InvalidInput(
        N_("There is no file {file} in {directory}."),
        field="file",
        remedy=N_("Copy the file there first; the directory is that of the project group."),
        file=file,
        directory=str(root),
    )


def _only_ours(directory: Path) -> None:
    """Refuse a directory in which, or above which, somebody else than root may exchange names."""
    ours = {0, os.geteuid()}
    below: int | None = None
    for place in (directory, *directory.parents):
        status = os.lstat(place)
        # In a sticky directory (/tmp) names are exchanged by their owners only.
        shared = _others_write(place, status) and not (status.st_mode & stat.S_ISVTX and below in ours)
        if shared or status.st_uid not in ours:
            raise Refused(
                N_("Others than root may write to {directory}: the file could be exchanged after it was looked at."),
                remedy=N_(
                    "Run `chown root {directory}` and `chmod go-w {directory}`, and upload files, or copy them as root."
                ),
                field="file",
                directory=str(place),
            )
        below = status.st_uid


def _others_write(place: Path, status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    if not status.st_mode & stat.S_IWGRP:
        return False
    if status.st_gid != 0:
        return True
    # With an ACL these bits are its mask: somebody of whom the group says nothing may write.
    try:
        return bool(os.getxattr(place, _ACL))
    except OSError:
        return False


def _take(descriptor: int, status: os.stat_result, path: Path) -> None:
    """Make a file root's (or leave it QEMU's, while VMs run): who copied it there can change it no longer."""
    if status.st_uid in {0, os.geteuid(), qemu_user()} and not status.st_mode & 0o022:
        return
    try:
        if status.st_uid not in {0, os.geteuid(), qemu_user()}:
            os.fchown(descriptor, os.geteuid(), -1)
        os.fchmod(descriptor, status.st_mode & 0o755)
    except OSError as error:
        if error.errno == errno.EROFS:
            return  # nobody here writes to it
        raise EngineError(
            N_("{path} belongs to another user, who could change it while VMs run from it: {reason}."),
            remedy=N_("Give it to root (`chown root {path}`), where its file system allows that."),
            field="file",
            path=str(path),
            reason=error.strerror or str(error),
        ) from error
    logger.info("taken over %s", fields(path=path, owner=status.st_uid, mode=oct(status.st_mode & 0o7777)))


def _unwritten(descriptor: int, path: Path, file: str) -> None:
    if _is_written(descriptor, path):
        raise Refused(
            N_("Somebody is still writing to {file}."),
            remedy=N_("Wait until it is copied, and register it then."),
            field="file",
            file=file,
        )


def _is_written(descriptor: int, path: Path) -> bool:
    """Whether somebody has it open for writing; where the file system cannot tell, nobody has."""
    if mounted(str(path))[1].startswith("nfs"):
        # NFSv4 refuses a lease with the same error, whenever the server has not delegated the file.
        return False
    try:
        # Whoever opens it in this moment is told by a signal that is ignored, instead of one that ends hostd.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False
