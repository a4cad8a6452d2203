"""What a volume's file must be right before a VM gets it: the one the database knows, under its one name.

Whoever may write to a pool's directory can put any file in a volume's place: with a header that names files of the
host, or under a second name by which another VM writes it. A raw volume is never probed: its guest writes what it likes
to its beginning.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core import image_files
from core.errors import DosvmError, InvalidInput, Refused
from core.i18n import N_
from core.rules.sizes import format_size
from core.specs.order import BackingFile
from hostd import image_headers
from hostd.volume_files import links_of_ours, not_plain

_LUKS = b"LUKS\xba\xbe"
_SECTOR = 512
#: How the kernel refuses to open what is no plain file: a link (with O_NOFOLLOW), a socket, a device of no driver.
_NOT_PLAIN = {errno.ELOOP, errno.ENXIO, errno.ENODEV}


@dataclass(frozen=True)
class Wanted:
    """A volume as the database has it.

    Attributes:
        uuid: its own.
        name: ``pool/name``.
        format: the stored one.
        capacity: bytes.
        encrypted: by LUKS.
        backing: the name of the file that it rests on; empty when it stands alone.
    """

    uuid: str
    name: str
    format: str
    capacity: int
    encrypted: bool = False
    backing: str = ""


def look_through(chain: Sequence[BackingFile]) -> None:
    """As :func:`look`, of a volume and all that it rests on, each before what is below it.

    Raises:
        Refused, OSError: as :func:`look`, of the first that is not what it should be.
    """
    for file, below in zip(chain, [*chain[1:], None], strict=True):
        backing = Path(below.path).name if below is not None else ""
        wanted = Wanted(file.uuid, file.name, file.format, file.capacity, file.secret is not None, backing)
        look(Path(file.path), wanted)


def look(path: Path, wanted: Wanted) -> None:
    """Refuse a file that is not the volume's. A few kilobytes are read, of a raw one nothing.

    Raises:
        Refused: it is another one, damaged, or has other names; says which.
        OSError: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NOT_PLAIN:
            raise
        raise not_plain(path) from error
    try:
        refuse_links(path, os.fstat(descriptor), wanted.uuid, wanted.name)
        try:
            _refuse_size(wanted, _size(descriptor, wanted))
        except InvalidInput as error:
            raise damaged(wanted.name, error) from error
    finally:
        os.close(descriptor)


def refuse_links(path: Path, status: os.stat_result, uuid: str, name: str) -> None:
    """Refuse a file that is no plain one, or has names beside its own and those that DOSVM itself gives it.

    Raises:
        Refused: it is; says how the others are found.
    """
    if not stat.S_ISREG(status.st_mode):
        raise not_plain(path)
    if status.st_nlink > 1 and status.st_nlink > 1 + links_of_ours(path, status, uuid):
        raise Refused(
            N_("The file of volume {name} has other names (hard links): two VMs could write to it."),
            remedy=N_("Find them by `find {directory} -samefile {path}`, and remove all but one."),
            name=name,
            directory=str(path.parent),
            path=str(path),
        )


def damaged(name: str, why: DosvmError) -> Refused:
    """That the file of a volume is not what the database says, with the reason."""
    # What would help against the reason alone (to flatten a file that is only a difference) would keep the wrong one.
    said = [{"message": why.message, "parameters": why.parameters}]
    return Refused(
        N_("The file of volume {name} is damaged, or another file is in its place: {reasons}"),
        remedy=N_("Put the right file there, from a backup."),
        name=name,
        reasons=said,
    )


def _size(descriptor: int, wanted: Wanted) -> int | None:
    """How large a disk a file shows; None when its format does not say that exactly.

    Raises:
        InvalidInput: it is not the one that is wanted.
    """
    if wanted.format in ("qcow2", "qcow"):
        return image_files.read(
            descriptor, wanted.name, wanted.format, backing=wanted.backing, encrypted=wanted.encrypted
        )
    length = os.fstat(descriptor).st_size
    if wanted.format == "raw":
        if not wanted.encrypted:
            return -(-length // _SECTOR) * _SECTOR
        if os.pread(descriptor, len(_LUKS), 0) != _LUKS:
            raise InvalidInput(N_("The header of {file} is damaged."), file=wanted.name)
        return None
    image_files.refuse_other(descriptor, wanted.name, wanted.format)
    if not image_headers.read(descriptor).alone:
        raise InvalidInput(
            N_("{file} is only the difference to another file, or keeps its data there."), file=wanted.name
        )
    return None


def _refuse_size(wanted: Wanted, size: int | None) -> None:
    """Refuse a disk larger than what was booked, and one of nothing; a smaller one harms nobody."""
    if size is None or 0 < size <= wanted.capacity:
        return
    if not size:
        raise InvalidInput(N_("{file} is empty."), file=wanted.name)
    raise Refused(
        N_("The file of volume {name} holds a disk of {size}; the volume has {capacity}."),
        remedy=N_("Grow the volume to more than that (`dosvm volume grow`), or put the right file there."),
        name=wanted.name,
        size=format_size(size),
        capacity=format_size(wanted.capacity),
    )
