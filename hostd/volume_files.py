"""The files of volumes in a pool's directory: whole or not there at all, and never somebody else's.

A file is made in a working directory beside its place (``.UUID.part``), which every host that reaches the pool sees,
and then given its name by a link, which overwrites nothing. The working directory keeps its own link until the
database knows the volume: so whoever repeats a task, on whatever host, tells its own file from somebody's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.errors import AlreadyExists, EngineError, Refused
from core.i18n import N_
from hostd import removal
from hostd.faults import point
from hostd.flushing import flush, flush_names
from hostd.volume_images import is_hurried

#: What working directories end in; what begins with a dot is no volume.
PART = ".part"
#: What a file that an attempt had made is called once no attempt may give it its name.
_WITHDRAWN = ".withdrawn"
#: How often a file is begun whose key qemu-img cannot measure.
_TRIES = 8


def file_of(directory: Path, name: str) -> Path | None:
    """A volume's file, or None when there is none.

    Raises:
        Refused: what is there is no plain file.
    """
    path = directory / name
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise not_plain(path)
    return path


def not_plain(path: Path) -> Refused:
    """That something else than a file is in a volume's place: a link, which nothing follows, or a directory."""
    return Refused(
        N_("{file} is not a plain file."),
        remedy=N_("Put the volume's file in its place again, or remove what is there and refresh the storage pool."),
        file=str(path),
    )


def is_ours(directory: Path, name: str, uuid: str) -> bool:
    """Whether the file at a volume's place was put there by its own task, which has not ended."""
    work, path = directory / f".{uuid}{PART}", directory / name
    try:
        status = path.lstat()
        for made in (work / name, work / _WITHDRAWN):
            if made.exists():
                return os.path.samestat(status, made.lstat()) or ((work / "placing").exists() and status.st_size == 0)
        return (work / "placing").exists()
    except FileNotFoundError:
        return False


def links_of_ours(path: Path, status: os.stat_result, uuid: str) -> int:
    """How many names in its volume's working directory a file has, which go with that directory."""
    work = path.with_name(f".{uuid}{PART}")
    count = 0
    for name in (path.name, _WITHDRAWN, removal.SEEN):
        with contextlib.suppress(FileNotFoundError):
            count += os.path.samestat(status, (work / name).lstat())
    return count


def _withdraw(directory: Path, name: str, uuid: str) -> None:
    """Let no earlier attempt, which may still be at it on another host, give its file the volume's name any more."""
    part = directory / f".{uuid}{PART}"
    with contextlib.suppress(FileNotFoundError):
        (part / name).rename(part / _WITHDRAWN)


def _nothing() -> None:
    return


def make(
    directory: Path,
    name: str,
    uuid: str,
    work: Callable[[Path], None],
    options: Mapping[str, Any],
    sure: Callable[[], None] = _nothing,
    alive: Callable[[], None] = _nothing,
) -> None:
    """Make a volume's file; one that its own task has made already stays.

    Args:
        directory: the pool's.
        name: the file's.
        uuid: the volume's.
        work: fills the empty file at the path that it is told.
        options: ``mode``, ``owner`` and ``group`` of the file.
        sure: called right before the file gets its name; raises when that may not happen any more.
        alive: called while the file is written to the disk; raises when it is not wanted any more.

    Raises:
        AlreadyExists: there is a file of that name.
        EngineError: somebody put another file into the working directory.
        OSError: the storage refuses it.
    """
    if not is_ours(directory, name, uuid):
        _withdraw(directory, name, uuid)
    if is_ours(directory, name, uuid):
        if (directory / name).stat().st_size:
            return
        # An empty file that held the name; nothing would tell that it is ours once the working directory is gone.
        (directory / name).unlink()
    _refuse_taken(directory, name, uuid)
    part = directory / f".{uuid}{PART}"
    for left in reversed(range(_TRIES)):
        removal.clear(part)
        part.mkdir(mode=0o700)
        place = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _make(part / name, directory / name, place, work, options, sure, alive)
            break
        except EngineError as error:
            if not left or not is_hurried(error):
                raise
            sure()
        finally:
            os.close(place)
    flush_names(directory)
    point("after_volume")


def _make(
    fresh: Path,
    path: Path,
    place: int,
    work: Callable[[Path], None],
    options: Mapping[str, Any],
    sure: Callable[[], None],
    alive: Callable[[], None],
) -> None:
    """As :func:`make`, in the fresh working directory that is open as ``place``."""
    part = fresh.parent
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600), "rb+") as file:
        try:
            point("before_volume")
            work(fresh)
            point("volume_made")
            os.fchmod(file.fileno(), int(str(options.get("mode") or "0600"), 8))
            if options.get("owner") or options.get("group"):
                os.fchown(file.fileno(), int(options.get("owner") or -1), int(options.get("group") or -1))
            flush(file.fileno(), lambda _at: alive())
            sure()
        except BaseException:
            if _is_still(file.fileno(), fresh):
                shutil.rmtree(part, ignore_errors=True)
            raise
        # Another host that was given the task begins anew, in the same place: its file is half of one. Should it come
        # at this very moment, this working directory is not the one that has that file.
        if not _is_still(file.fileno(), fresh):
            raise _replaced(fresh)
        try:
            _place(fresh, path, place)
        except FileNotFoundError as error:
            raise _replaced(fresh) from error


def _replaced(path: Path) -> EngineError:
    return EngineError(N_("{path} was replaced while it was written."), path=str(path))


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _place(fresh: Path, path: Path, place: int) -> None:
    part = fresh.parent
    try:
        os.link(fresh.name, path, src_dir_fd=place)
    except FileExistsError:
        shutil.rmtree(part, ignore_errors=True)
        raise _taken(path) from None
    except OSError as error:
        if error.errno not in removal.NO_LINKS:
            raise
        # Without links: the name is taken by an empty file first, which nobody else can have made.
        (part / "placing").touch()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            if not is_ours(path.parent, path.name, part.name.removeprefix(".").removesuffix(PART)):
                shutil.rmtree(part, ignore_errors=True)
                raise _taken(path) from None
        os.rename(fresh.name, path, src_dir_fd=place)


def forget(directory: Path, uuid: str) -> None:
    """Remove a volume's working directory: the database knows the file now, or nothing became of it.

    Raises:
        OSError: the storage refuses it.
    """
    removal.clear(directory / f".{uuid}{PART}")


def discard(directory: Path, name: str, uuid: str, sure: Callable[[], None] = _nothing) -> None:
    """Remove what a task that failed has made; a file of that name that is somebody's stays. As :func:`remove`."""
    _withdraw(directory, name, uuid)
    if is_ours(directory, name, uuid):
        removal.remove(directory / name, directory / f".{uuid}{PART}", sure)
    forget(directory, uuid)


def remove(directory: Path, name: str, uuid: str, sure: Callable[[], None] = _nothing) -> None:
    """Remove a volume's file and all that its making left; one that is gone is removed already.

    Args:
        directory: the pool's.
        name: the file's.
        uuid: the volume's.
        sure: called right before the file goes; raises when that may not happen any more.

    Raises:
        Refused: what is there is no plain file.
        EngineError: another file has the name by now.
        OSError: the storage refuses it.
    """
    path = file_of(directory, name)
    if path is not None:
        removal.remove(path, directory / f".{uuid}{PART}", sure)
    forget(directory, uuid)
    if directory.exists():
        flush_names(directory)


def _refuse_taken(directory: Path, name: str, uuid: str) -> None:
    if os.path.lexists(directory / name) and not is_ours(directory, name, uuid):
        raise _taken(directory / name)


def _taken(path: Path) -> AlreadyExists:
    return AlreadyExists(
        N_("There is a file {path} already."),
        remedy=N_("Choose another name, or remove the file."),
        field="name",
        path=str(path),
    )


def explained(error: OSError) -> EngineError:
    """The error of a file system as one of ours."""
    return EngineError(
        N_("{path}: {reason}."), path=str(error.filename or ""), reason=error.strerror or type(error).__name__
    )
