"""What the head of an image file says of itself, read strictly and by code of our own, before QEMU sees it.

Whoever sends a file reads it so before the first byte is sent; hostd reads what has arrived in any case.
Where things stand in it is said by :mod:`core.qcow`.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from core import image_signs, qcow
from core.errors import InvalidInput
from core.i18n import N_
from core.rules.names import escaped
from core.rules.sizes import format_size

#: Most bytes of the table of tables, as in QEMU.
_MAX_L1 = 32 * 1024**2
#: One sector: a raw disk with less holds nothing, and QEMU would make it up to that.
_LEAST = 512
_MAX_SNAPSHOTS = 65536
#: How qcow2 says that it is encrypted by LUKS.
_LUKS = 2
#: The header extension that names the file with the data ("DATA"), and most of them that are read.
_DATA_NAME, _MAX_EXTENSIONS = 0x44415441, 32
#: What a guest may have written names files of the host: whoever converts it as root gives them to the guest.
FLATTEN = N_(
    "Flatten it with `qemu-img convert` first, if you trust who made it: the files that it names are read then."
)


def read(descriptor: int, name: str, claimed: str, *, backing: str = "", encrypted: bool = False) -> int:
    """Whether an open file is what is claimed, and stands for itself.

    Args:
        descriptor: the file, open for reading.
        name: what people call it.
        claimed: ``raw``, ``qcow2``, ``qcow``, or ``iso``: raw with the file system of a CD or DVD.
        backing: the name of the file that it is known to rest on, whatever directory its header says; empty: of none.
        encrypted: whether it is known to be encrypted by LUKS.

    Returns:
        The bytes of the disk that it says it is; for raw those of the file.

    Raises:
        InvalidInput: it is something else, needs other files, is encrypted, damaged or absurd.
    """
    length = os.fstat(descriptor).st_size
    head = os.pread(descriptor, 4096, 0)
    if not head:
        raise InvalidInput(N_("{file} is empty."), field="file", file=name)
    refuse_other(descriptor, name, "raw" if claimed == "iso" else claimed)
    if claimed == "qcow2":
        return _qcow2(descriptor, name, head, length, _Known(backing, encrypted))
    if claimed == "qcow":
        return _qcow(descriptor, name, head, length, _Known(backing, encrypted))
    if length < _LEAST:
        raise InvalidInput(
            N_("{file} has {size}: a disk has at least {least} bytes."),
            field="file",
            remedy=N_("Look whether all of the file is there, and whether it is the right one."),
            file=name,
            size=format_size(length),
            least=_LEAST,
        )
    if claimed == "iso" and os.pread(descriptor, 6, 32768)[1:6] not in (b"CD001", b"BEA01"):
        raise InvalidInput(N_("{file} is not an ISO image of a CD or DVD."), field="format", file=name)
    return length


def refuse_other(descriptor: int, name: str, claimed: str) -> None:
    """Refuse an open file that shows to be of another format than somebody says (QEMU's word for it).

    Raises:
        InvalidInput: it is; names the one that it shows.
    """
    found = image_signs.of(descriptor)
    if (found.format if found is not None else "raw") == claimed:
        return
    text = N_("{file} is not a {format} image.") if found is None else N_("{file} is not a {format} image but {found}.")
    raise InvalidInput(
        text,
        field="format",
        remedy=N_(
            "Say its true format; or convert it with `qemu-img convert`, if you trust who made it: what it names is"
            " read then. A guest can have written that to its raw disk."
        ),
        file=name,
        format=claimed,
        found=found.name if found is not None else "",
    )


class _Known(NamedTuple):
    """What is known of a file: see :func:`read`."""

    backing: str
    encrypted: bool

    def check(self, descriptor: int, name: str, at: int, size: int, crypt: int) -> None:
        """Compare it with what a header says: where the name of another file is in it, and how it is encrypted."""
        if at and not self.backing:
            raise _difference(descriptor, name, at, size)
        if self.backing and _named(descriptor, at, size).rpartition("/")[2] != self.backing:
            raise InvalidInput(
                N_("{file} does not rest on {backing}, as it should."), field="file", file=name, backing=self.backing
            )
        if crypt and not self.encrypted:
            raise InvalidInput(N_("{file} is encrypted."), field="file", file=name)
        if self.encrypted and crypt and crypt != _LUKS:
            raise InvalidInput(
                N_("{file} is encrypted in the old way of qcow, not by LUKS."),
                field="file",
                remedy=FLATTEN,
                file=name,
            )
        if self.encrypted and not crypt:
            raise InvalidInput(N_("{file} is not encrypted, as it should be."), field="file", file=name)


def _qcow2(descriptor: int, name: str, head: bytes, length: int, known: _Known) -> int:
    told = qcow.qcow2(head)
    if told.version not in (2, 3):
        raise InvalidInput(N_("{file} is a qcow2 image of a version that is not known here."), field="file", file=name)
    if len(head) < (qcow.SHORTEST_2 if told.version == 2 else qcow.SHORTEST_3):
        raise _damaged(name)
    if told.version == 3 and (not qcow.SHORTEST_3 <= told.header_length <= len(head) or told.header_length % 8):
        raise _damaged(name)
    known.check(descriptor, name, told.backing, told.backing_length, told.crypt)
    if told.features & qcow.DATA_FILE or _DATA_NAME in _extensions(head, told.header_length):
        raise InvalidInput(N_("{file} keeps its data in another file."), field="file", remedy=FLATTEN, file=name)
    if told.features & ~qcow.KNOWN:
        raise InvalidInput(
            N_("{file} needs features of qcow2 that are not known here."), field="file", remedy=FLATTEN, file=name
        )
    if told.features & qcow.CORRUPT:
        raise InvalidInput(
            N_("{file} is marked as corrupt."),
            field="file",
            remedy=N_("`qemu-img check -r all` may repair it."),
            file=name,
        )
    check_size(name, told.size)
    if not 9 <= told.cluster_bits <= 21 or told.l1_entries * 8 > _MAX_L1 or told.snapshots > _MAX_SNAPSHOTS:
        raise _damaged(name)
    cluster = 1 << told.cluster_bits
    covered = cluster * (cluster // (16 if told.features & qcow.EXTENDED else 8))
    snapshots = not told.snapshots or told.snapshots_at < length
    inside = told.l1 + told.l1_entries * 8 <= length and told.refcounts < length and snapshots
    aligned = not (told.l1 % cluster or told.refcounts % cluster)
    if told.l1_entries * covered < told.size or not inside or not aligned:
        raise _damaged(name)
    return told.size


def _extensions(head: bytes, at: int) -> set[int]:
    """The types of a header's extensions, as far as they lie in its first bytes (QEMU writes the data file first)."""
    found: set[int] = set()
    for _ in range(_MAX_EXTENSIONS):
        if at + 8 > len(head):
            break
        kind, size = struct.unpack_from(">II", head, at)
        if kind == 0:
            break
        found.add(kind)
        at += 8 + -(-size // 8) * 8
    return found


def _qcow(descriptor: int, name: str, head: bytes, length: int, known: _Known) -> int:
    if len(head) < qcow.SHORTEST_1:
        raise _damaged(name)
    told = qcow.qcow(head)
    known.check(descriptor, name, told.backing, told.backing_length, told.crypt)
    check_size(name, told.size)
    if not 9 <= told.cluster_bits <= 16 or not 6 <= told.l2_bits <= 13 or told.l1 > length:
        raise _damaged(name)
    return told.size


def _difference(descriptor: int, name: str, at: int, size: int) -> InvalidInput:
    other = _named(descriptor, at, size)
    return InvalidInput(
        N_("{file} is only the difference to another image ({other})."),
        field="file",
        remedy=FLATTEN,
        file=name,
        other=escaped(other[:255]),
    )


def _named(descriptor: int, at: int, size: int) -> str:
    """The name of another file that stands at a place in this one."""
    return (os.pread(descriptor, min(size, 1023), at) if at < 2**63 else b"").decode(errors="surrogateescape")


def check_size(name: str, virtual: int, field: str = "file") -> None:
    """Refuse a disk of no size, or of an absurd one, at a field; ``virtual`` is bytes."""
    if virtual <= 0:
        raise InvalidInput(N_("{file} claims a disk of 0 bytes."), field=field, file=name)
    if virtual > qcow.MOST:
        raise InvalidInput(
            N_("{file} claims a disk of {size}; the largest is {limit}."),
            field=field,
            remedy=N_("Make it smaller: `qemu-img resize --shrink`, or copy it into a smaller one."),
            file=name,
            size=format_size(virtual),
            limit=format_size(qcow.MOST),
        )


def _damaged(name: str) -> InvalidInput:
    return InvalidInput(N_("The header of {file} is damaged."), field="file", file=name)
