"""What the head of an image file says of itself, read strictly and by code of our own, before QEMU sees it.

Layouts: docs/interop/qcow2.txt of QEMU; QCowHeader in its block/qcow.c. All numbers are big-endian.
"""

from __future__ import annotations

import os
import re
import struct

from core.errors import InvalidInput
from core.i18n import N_

#: No disk is larger: 64 TiB.
MAX_VIRTUAL = 64 * 1024**4
_SIGN = b"QFI\xfb"
#: Most bytes of the table of tables, as in QEMU.
_MAX_L1 = 32 * 1024**2
_MAX_SNAPSHOTS = 65536
# Incompatible features of qcow2.
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED = 1, 2, 4, 8, 16
_KNOWN = _DIRTY | _CORRUPT | _DATA_FILE | _COMPRESSION | _EXTENDED
#: The header extension that names the file with the data ("DATA"), and most of them that are read.
_DATA_NAME, _MAX_EXTENSIONS = 0x44415441, 32
#: Files that say what they are in their first bytes, and are therefore not raw.
_SIGNS = (
    (_SIGN, "qcow2 / qcow"),
    (b"KDMV", "VMDK"),
    (b"COWD", "VMDK"),
    (b"conectix", "VHD (vpc)"),
    (b"cxsparse", "VHD (vpc)"),
    (b"vhdxfile", "VHDX"),
    (b"QED\0", "QED"),
    (b"<<< ", "VDI"),
    (b"WithoutFreeSpace", "Parallels"),
    (b"WithouFreSpacExt", "Parallels"),
)
_FLATTEN = N_("Flatten it with `qemu-img convert` first.")


def read(descriptor: int, name: str, claimed: str) -> int:
    """Whether an open file is what is claimed, and stands for itself.

    Args:
        descriptor: the file, open for reading.
        name: what people call it.
        claimed: ``raw``, ``qcow2``, ``qcow``, or ``iso``: raw with the file system of a CD or DVD.

    Returns:
        The bytes of the disk that it says it is; for raw those of the file.

    Raises:
        InvalidInput: it is something else, needs other files, is encrypted, damaged or absurd.
    """
    length = os.fstat(descriptor).st_size
    head = os.pread(descriptor, 4096, 0)
    if not head:
        raise InvalidInput(N_("{file} is empty."), field="file", file=name)
    version = int.from_bytes(head[4:8], "big") if head.startswith(_SIGN) else 0
    if claimed == "qcow2":
        if version not in (2, 3):
            raise InvalidInput(N_("{file} is not a qcow2 image."), field="format", file=name)
        return _qcow2(descriptor, name, head, version, length)
    if claimed == "qcow":
        if version != 1:
            raise InvalidInput(N_("{file} is not a qcow image."), field="format", file=name)
        return _qcow(descriptor, name, head, length)
    other = _other_than_raw(head, os.pread(descriptor, 512, max(0, length - 512)))
    if other:
        raise InvalidInput(
            N_("{file} is not a raw image but {format}."),
            field="format",
            remedy=N_("Say its true format, or convert it with `qemu-img convert`."),
            file=name,
            format=other,
        )
    if claimed == "iso" and os.pread(descriptor, 6, 32768)[1:6] not in (b"CD001", b"BEA01"):
        raise InvalidInput(N_("{file} is not an ISO image of a CD or DVD."), field="format", file=name)
    return length


def _other_than_raw(head: bytes, tail: bytes) -> str:
    """The format that a file shows to be of, where that is not raw: by its head, or a VHD's footer."""
    for sign, kind in _SIGNS:
        if head.startswith(sign):
            return kind
    if tail.startswith(b"conectix"):
        return "VHD (vpc)"
    # A VMDK descriptor is a text that names the files with the data; comments and empty lines may come first.
    if re.match(rb"\s*#\s*disk\s+descriptor", head, re.IGNORECASE):
        return "VMDK"
    if re.match(rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*version[ \t]*=[ \t]*[123][ \t]*\r?\n", head, re.IGNORECASE):
        return "VMDK"
    return ""


def _qcow2(descriptor: int, name: str, head: bytes, version: int, length: int) -> int:
    if len(head) < (72 if version == 2 else 104):
        raise _damaged(name)
    backing, backing_length, cluster_bits, size, crypt, l1_entries, l1, refcounts = struct.unpack_from(
        ">QIIQIIQQ", head, 8
    )
    snapshots, snapshots_at = struct.unpack_from(">IQ", head, 60)
    features, header = (0, 72) if version == 2 else (struct.unpack_from(">Q", head, 72)[0], _header_length(name, head))
    if backing:
        raise _difference(descriptor, name, backing, backing_length)
    if features & _DATA_FILE or _DATA_NAME in _extensions(head, header):
        raise InvalidInput(N_("{file} keeps its data in another file."), field="file", remedy=_FLATTEN, file=name)
    if features & ~_KNOWN:
        raise InvalidInput(
            N_("{file} needs features of qcow2 that are not known here."), field="file", remedy=_FLATTEN, file=name
        )
    if crypt:
        raise InvalidInput(N_("{file} is encrypted."), field="file", file=name)
    if features & _CORRUPT:
        raise InvalidInput(
            N_("{file} is marked as corrupt."),
            field="file",
            remedy=N_("`qemu-img check -r all` may repair it."),
            file=name,
        )
    check_size(name, size)
    if not 9 <= cluster_bits <= 21 or l1_entries * 8 > _MAX_L1 or snapshots > _MAX_SNAPSHOTS:
        raise _damaged(name)
    cluster = 1 << cluster_bits
    covered = cluster * (cluster // (16 if features & _EXTENDED else 8))
    inside = l1 + l1_entries * 8 <= length and refcounts < length and (not snapshots or snapshots_at < length)
    aligned = not (l1 % cluster or refcounts % cluster)
    if l1_entries * covered < size or not inside or not aligned:
        raise _damaged(name)
    return int(size)


def _header_length(name: str, head: bytes) -> int:
    found = int(struct.unpack_from(">I", head, 100)[0])
    if not 104 <= found <= len(head) or found % 8:
        raise _damaged(name)
    return found


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


def _qcow(descriptor: int, name: str, head: bytes, length: int) -> int:
    if len(head) < 48:
        raise _damaged(name)
    backing, backing_length, _time, size, cluster_bits, l2_bits, _pad, crypt, l1 = struct.unpack_from(
        ">QIIQBBHIQ", head, 8
    )
    if backing:
        raise _difference(descriptor, name, backing, backing_length)
    if crypt:
        raise InvalidInput(N_("{file} is encrypted."), field="file", file=name)
    check_size(name, size)
    if not 9 <= cluster_bits <= 16 or not 6 <= l2_bits <= 13 or l1 > length:
        raise _damaged(name)
    return int(size)


def _difference(descriptor: int, name: str, at: int, size: int) -> InvalidInput:
    other = os.pread(descriptor, min(size, 1023), at) if at < 2**63 else b""
    return InvalidInput(
        N_("{file} is only the difference to another image ({other})."),
        field="file",
        remedy=_FLATTEN,
        file=name,
        other="".join(c if c.isprintable() else "?" for c in other.decode(errors="replace"))[:255],
    )


def check_size(name: str, virtual: int) -> None:
    """Refuse a disk of no size, or of an absurd one."""
    if not 0 < virtual <= MAX_VIRTUAL:
        raise InvalidInput(N_("{file} claims a disk of {size} bytes."), field="file", file=name, size=virtual)


def _damaged(name: str) -> InvalidInput:
    return InvalidInput(N_("The header of {file} is damaged."), field="file", file=name)
