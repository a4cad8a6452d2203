"""Where things stand in the head of a qcow2 or qcow file: its numbers as they are, judged by whoever reads them.

Layouts: docs/interop/qcow2.txt of QEMU; QCowHeader in its block/qcow.c. All numbers are big-endian.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SIGN = b"QFI\xfb"
#: Bytes of the head of qcow2's versions 2 and 3, and of qcow's, that must be there.
SHORTEST_2, SHORTEST_3, SHORTEST_1 = 72, 104, 48
# Incompatible features of qcow2.
DIRTY, CORRUPT, DATA_FILE, COMPRESSION, EXTENDED = 1, 2, 4, 8, 16
KNOWN = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED
#: No disk is larger: 64 TiB.
MOST = 64 * 1024**4


class Qcow2(NamedTuple):
    """The numbers of a qcow2 head; places and lengths are bytes of the file."""

    version: int
    backing: int
    backing_length: int
    cluster_bits: int
    size: int
    crypt: int
    l1_entries: int
    l1: int
    refcounts: int
    refcount_clusters: int
    snapshots: int
    snapshots_at: int
    features: int
    header_length: int


class Qcow(NamedTuple):
    """The numbers of a qcow head."""

    backing: int
    backing_length: int
    changed: int
    size: int
    cluster_bits: int
    l2_bits: int
    crypt: int
    l1: int


def version(head: bytes) -> int:
    """1 of a qcow file, 2 or 3 of a qcow2 file, what else it says of one that has the sign; 0 of others."""
    return int.from_bytes(head[4:8], "big") if head.startswith(SIGN) else 0


def qcow2(head: bytes) -> Qcow2:
    """Read a qcow2 head; what is not there is zero. Features and a length of its own has version 3 only."""
    head = head[:SHORTEST_3].ljust(SHORTEST_3, b"\0")
    told = version(head)
    values = struct.unpack_from(">QIIQIIQQIIQ", head, 8)
    features, length = (struct.unpack_from(">Q", head, 72)[0], struct.unpack_from(">I", head, 100)[0])
    return Qcow2(told, *values, *((features, length) if told == 3 else (0, SHORTEST_2)))


def qcow(head: bytes) -> Qcow:
    """Read a qcow head; what is not there is zero."""
    return Qcow(*struct.unpack_from(">QIIQBB2xIQ", head[:SHORTEST_1].ljust(SHORTEST_1, b"\0"), 8))
