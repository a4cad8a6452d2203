"""Files put in their place: as a whole or not at all, and never over one that is there unless that is wanted.

Standard library only: the command line lives on it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from core.errors import Refused
from core.i18n import N_


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Put a file in its place as a whole, with its mode from the first moment on.

    Raises:
        Refused: it cannot be written; what was there is still there.
    """
    draft = ""
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except OSError as error:
        if draft:
            Path(draft).unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Make a directory and those above it that are missing.

    Raises:
        Refused: it cannot be made.
    """
    try:
        for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
            missing.mkdir(mode=mode)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> Refused:
    """The sentence for a file that cannot be written."""
    return Refused(N_("{file} cannot be written: {reason}."), file=str(path), reason=error.strerror or str(error))


def refuse_existing(files: Iterable[Path]) -> None:
    """Refuse when one of the files exists.

    Raises:
        Refused: says which, and how to replace it.
    """
    for file in files:
        if os.path.lexists(file):
            raise Refused(
                N_("{file} exists already; nothing is overwritten."),
                remedy=N_("Say --renew to replace it."),
                file=str(file),
            )
