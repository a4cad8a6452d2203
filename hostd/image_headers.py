"""What the first bytes of a disk image say, read by a strict parser of our own; for files that nobody told us of.

What it says is a hint for people and a check of what they say, never the format that a file is used with: a guest
writes what it likes to the beginning of a raw disk, also a header that names any file of the host.
"""

from __future__ import annotations

import os
import re
import struct
from typing import NamedTuple

from core import image_signs, qcow

#: So much of a file is looked at: VMDK has 10 KiB of text after its first sector.
HEAD = 16 * 1024
_SECTOR = 512
_DIFFERENCING = 4


class Told(NamedTuple):
    """What a header says: a format, how large a disk the guest would see (bytes), and whether it refers elsewhere."""

    format: str
    capacity: int
    alone: bool = True
    """Whether all of it is in this file, as far as the header says."""
    encrypted: bool = False
    claims: int = 0
    """What the header says where ``capacity`` is none, because no disk is as small or as large."""


def read(descriptor: int) -> Told:
    """What an open file says of itself; what no known format begins or ends with is raw."""
    return tell(os.pread(descriptor, HEAD, 0), os.fstat(descriptor).st_size, image_signs.tail(descriptor))


def tell(head: bytes, size: int, tail: bytes = b"") -> Told:
    """As :func:`read`, of a file of ``size`` bytes: by its first :data:`HEAD` bytes, and its last."""
    told = _tell(head.ljust(HEAD, b"\0"), size, tail.ljust(image_signs.TAIL, b"\0"))
    # An absurd size is nobody's disk: nothing is booked for it, and it is not accepted later.
    return told if 0 < told.capacity <= qcow.MOST else told._replace(capacity=0, claims=told.capacity)


def _tell(head: bytes, size: int, tail: bytes) -> Told:
    kind = image_signs.kind(head, tail)
    if kind is None:
        return Told("raw", -(-size // _SECTOR) * _SECTOR, encrypted=head.startswith(b"LUKS\xba\xbe"))
    if kind.format in ("qcow2", "qcow"):
        return _qcow(head)
    if kind.format == "qed":
        features, image = struct.unpack_from("<Q", head, 16)[0], struct.unpack_from("<Q", head, 48)[0]
        return Told("qed", image, alone=not features & 1)
    if kind.format == "vmdk":
        return _vmdk(head)
    if kind.format == "vpc":
        footer = head if head.startswith(image_signs.VHD) else tail
        differs = struct.unpack_from(">I", footer, 60)[0] == _DIFFERENCING
        return Told("vpc", struct.unpack_from(">Q", footer, 48)[0], alone=not differs)
    # No volume has one of the others: how large its disk is need not be known.
    return Told(kind.format, 0)


def _vmdk(head: bytes) -> Told:
    if not head.startswith(b"KDMV"):
        # A text names the files with the data, and what an old one of ESX ("COWD") rests on is not read here.
        return Told("vmdk", 0, alone=False)
    return Told("vmdk", struct.unpack_from("<Q", head, 12)[0] * _SECTOR, alone=_vmdk_alone(head))


def _vmdk_alone(head: bytes) -> bool:
    """Whether the text in a VMDK names no parent (VMware's Virtual Disk Format 5.0); one out of reach may."""
    at, sectors = struct.unpack_from("<QQ", head, 28)
    begin, end = at * _SECTOR, (at + sectors) * _SECTOR
    if not 0 < begin < end <= len(head):
        return False
    text = head[begin:end].partition(b"\0")[0]
    parents = re.findall(rb"(?im)^[ \t]*parentCID[ \t]*=[ \t]*(\S+)", text)
    return b"parentfilenamehint" not in text.lower() and all(parent.lower() == b"ffffffff" for parent in parents)


def _qcow(head: bytes) -> Told:
    version = qcow.version(head)
    if version == 1:
        one = qcow.qcow(head)
        return Told("qcow", one.size, not one.backing, bool(one.crypt))
    if version not in (2, 3):
        return Told("qcow2", 0)
    two = qcow.qcow2(head)
    alone = not two.backing and not two.features & (qcow.DATA_FILE | ~qcow.KNOWN)
    return Told("qcow2", two.size, alone, bool(two.crypt))
