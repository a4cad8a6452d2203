"""By which signs a file is known to be no raw disk: one list, of images and of volumes, whoever looks.

Signs stand in the first bytes; a VHD of fixed size has its own in the last sector, and a VMDK may be a text. What they
say is a hint: a guest writes what it likes to a raw disk, so nothing is ever opened in a format that they tell.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from core import qcow

#: So many of its first and last bytes tell what a file is.
_HEAD, TAIL = 4096, 512
#: How a VHD's footer begins, of which one that grows has a copy in front.
VHD = b"conectix"


class Kind(NamedTuple):
    """A format: QEMU's word for it, and what people call it."""

    format: str
    name: str


_VMDK, _VPC, _PARALLELS = Kind("vmdk", "VMDK"), Kind("vpc", "VHD (vpc)"), Kind("parallels", "Parallels")
_SIGNS = (
    (b"KDMV", _VMDK),
    (b"COWD", _VMDK),
    (VHD, _VPC),
    (b"cxsparse", _VPC),
    (b"vhdxfile", Kind("vhdx", "VHDX")),
    (b"QED\0", Kind("qed", "QED")),
    (b"<<< ", Kind("vdi", "VDI")),
    (b"WithoutFreeSpace", _PARALLELS),
    (b"WithouFreSpacExt", _PARALLELS),
)
_QCOW = {1: Kind("qcow", "qcow"), 2: Kind("qcow2", "qcow2"), 3: Kind("qcow2", "qcow2")}
# A VMDK descriptor is a text that names the files with the data; comments and empty lines may come first.
_TEXTS = (
    re.compile(rb"\s*#\s*disk\s+descriptor", re.IGNORECASE),
    re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*version[ \t]*=[ \t]*[123][ \t]*\r?\n", re.IGNORECASE),
)


def of(descriptor: int) -> Kind | None:
    """What an open file begins or ends like; None: like no format that is known, so it may be raw."""
    return kind(os.pread(descriptor, _HEAD, 0), tail(descriptor))


def tail(descriptor: int) -> bytes:
    """The last bytes of an open file that may tell what it is."""
    return os.pread(descriptor, TAIL, max(0, os.fstat(descriptor).st_size - TAIL))


def kind(head: bytes, end: bytes) -> Kind | None:
    """As :func:`of`, by a file's first bytes and its last :data:`TAIL`."""
    if head.startswith(qcow.SIGN):
        return _QCOW.get(qcow.version(head), Kind("qcow2", "qcow2 / qcow"))
    for sign, found in _SIGNS:
        if head.startswith(sign):
            return found
    if end.startswith(VHD):
        return _VPC
    return _VMDK if any(text.match(head[:_HEAD]) for text in _TEXTS) else None
