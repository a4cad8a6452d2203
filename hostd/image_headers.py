"""What the first bytes of a disk image say, read by a strict parser of our own; for files that nobody told us of.

What it says is a hint for people and a check of what they say, never the format that a file is used with: a guest
writes what it likes to the beginning of a raw disk, also a header that names any file of the host.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from core import qcow

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


def tell(head: bytes, size: int) -> Told:
    """Read the first :data:`HEAD` bytes of a file of ``size`` bytes; what no known format begins with is raw."""
    told = _tell(head.ljust(HEAD, b"\0"), size)
    # An absurd size is nobody's disk: nothing is booked for it, and it is not accepted later.
    return told if 0 < told.capacity <= qcow.MOST else told._replace(capacity=0, claims=told.capacity)


def _tell(head: bytes, size: int) -> Told:
    if head.startswith(qcow.SIGN):
        return _qcow(head, size)
    if head.startswith(b"QED\0"):
        features, image = struct.unpack_from("<Q", head, 16)[0], struct.unpack_from("<Q", head, 48)[0]
        return Told("qed", image, alone=not features & 1)
    if head.startswith(b"KDMV"):
        return Told("vmdk", struct.unpack_from("<Q", head, 12)[0] * _SECTOR, alone=_vmdk_alone(head))
    if head.startswith(b"conectix"):
        kind = struct.unpack_from(">I", head, 60)[0]
        return Told("vpc", struct.unpack_from(">Q", head, 48)[0], alone=kind != _DIFFERENCING)
    if head.startswith(b"LUKS\xba\xbe"):
        return Told("raw", _sectors(size), encrypted=True)
    return Told("raw", _sectors(size))


def _vmdk_alone(head: bytes) -> bool:
    """Whether the text in a VMDK names no parent (VMware's Virtual Disk Format 5.0); one out of reach may."""
    at, sectors = struct.unpack_from("<QQ", head, 28)
    begin, end = at * _SECTOR, (at + sectors) * _SECTOR
    if not 0 < begin < end <= len(head):
        return False
    text = head[begin:end].partition(b"\0")[0]
    parents = re.findall(rb"(?im)^[ \t]*parentCID[ \t]*=[ \t]*(\S+)", text)
    return b"parentfilenamehint" not in text.lower() and all(parent.lower() == b"ffffffff" for parent in parents)


def _qcow(head: bytes, size: int) -> Told:
    version = qcow.version(head)
    if version == 1:
        one = qcow.qcow(head)
        return Told("qcow", one.size, not one.backing, bool(one.crypt))
    if version not in (2, 3):
        return Told("raw", _sectors(size))
    two = qcow.qcow2(head)
    alone = not two.backing and not two.features & (qcow.DATA_FILE | ~qcow.KNOWN)
    return Told("qcow2", two.size, alone, bool(two.crypt))


def _sectors(size: int) -> int:
    return -(-size // _SECTOR) * _SECTOR
