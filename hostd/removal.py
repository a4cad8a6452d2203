"""Files removed by their name for good: never somebody else's that has the name by then, whenever hostd dies.

Storage may hold a removal up until the name was given to another file. So a file is first moved into a working
directory beside it, and looked at there: what is another file than the one that was meant goes back. A link made
before (``.seen``) tells a later run which was meant; what nobody can tell is kept under another name.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from core.errors import EngineError
from core.i18n import N_
from hostd.faults import point
from hostd.log import fields

logger = logging.getLogger("hostd.removal")

#: In a working directory: the file that has been moved away, and another link to the file that was meant.
_REMOVED, SEEN = ".removed", ".seen"
#: Errors of file systems that know no second name for a file.
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
#: A full disk may have no room for a name either.
_FULL = {errno.ENOSPC, errno.EDQUOT}


def remove(path: Path, work: Path, sure: Callable[[], None]) -> None:
    """Remove a file; one that is not there is removed already.

    Args:
        path: the file.
        work: the working directory, in the same directory; it stays, see :func:`clear`.
        sure: called right before the file goes; raises when that may not happen any more.

    Raises:
        EngineError: by then another file had the name; it has it again, or is kept as the log says.
        OSError: the storage refuses it; the file may be away from its place, and a repetition goes on.
    """
    _finish(work)
    try:
        # While it is open its number is not given to another.
        seen = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        sure()
        if not _move_away(seen, path, work):
            return
        if _is(seen, work / _REMOVED):
            _drop(work)
            return
    finally:
        os.close(seen)
    _put_back(path, work)


def clear(work: Path) -> None:
    """Remove a working directory and what is in it; what was moved there and is not known to be ours is kept."""
    with contextlib.suppress(FileNotFoundError):
        _finish(work)
        for entry in os.scandir(work):
            # What comes at this very moment is nobody's to remove: the directory stays until the next time.
            if entry.name not in (_REMOVED, SEEN):
                _remove_entry(entry)
        (work / SEEN).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            work.rmdir()


def _remove_entry(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        Path(entry.path).unlink(missing_ok=True)


def _move_away(seen: int, path: Path, work: Path) -> bool:
    """Move a file into the working directory; whether there is something in it now."""
    try:
        work.mkdir(mode=0o700, exist_ok=True)
        (work / SEEN).unlink(missing_ok=True)
        try:
            # Python follows the link of /proc, which leads to the open file itself, only when it is given a directory.
            os.link(f"/proc/self/fd/{seen}", work / SEEN, src_dir_fd=seen, follow_symlinks=True)
        except FileNotFoundError:
            if os.path.lexists(path):
                raise _another(path) from None  # what was meant is gone
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        point("before_removal")
        path.rename(work / _REMOVED)
        point("after_removal")
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _FULL:
            raise
        if _is(seen, path):
            path.unlink(missing_ok=True)
        return False
    return True


def _is(seen: int, path: Path) -> bool:
    """Whether an open file has this name.

    Raises:
        OSError: nobody can tell.
    """
    try:
        return os.path.samestat(os.fstat(seen), path.lstat())
    except FileNotFoundError:
        return False


def _drop(work: Path) -> None:
    """Remove what was moved away; its proof goes last."""
    (work / _REMOVED).unlink(missing_ok=True)
    (work / SEEN).unlink(missing_ok=True)


def _finish(work: Path) -> None:
    """End what an earlier removal that died has begun: what was meant goes, anything else is kept."""
    try:
        away = (work / _REMOVED).lstat()
    except FileNotFoundError:
        return
    try:
        ours = os.path.samestat(away, (work / SEEN).lstat())
    except FileNotFoundError:
        ours = False
    if ours:
        _drop(work)
    else:
        _keep(work)


def _put_back(path: Path, work: Path) -> None:
    away = work / _REMOVED
    try:
        os.link(away, path)
    except FileExistsError:
        _keep(work)
    except OSError as error:
        if error.errno not in NO_LINKS or os.path.lexists(path):
            raise
        away.rename(path)
    else:
        away.unlink()
    raise _another(path)


def _another(path: Path) -> EngineError:
    return EngineError(N_("{path} is another file than it was."), path=f"{os.path.realpath(path.parent)}/{path.name}")


def _keep(work: Path) -> None:
    kept = work.with_name(f"{work.name}.kept-{uuid4().hex[:8]}")
    (work / _REMOVED).rename(kept)
    logger.warning("a file of which nobody knows whose it is was kept %s", fields(path=kept))
