"""What volumes can be: formats, what QEMU does with each, and sizes (manual 9.4.3, 9.4.4)."""

from __future__ import annotations

from core.errors import InvalidInput
from core.i18n import N_
from core.rules.sizes import MIB, format_size, parse_size, size

#: Formats that the QEMU of Debian 12 writes (of the manual's, it no longer knows cow).
FORMATS = ("qcow2", "raw", "qcow", "qed", "vmdk", "vpc")
#: Those among them that qemu-img can grow.
GROWING = ("qcow2", "raw", "qed")
#: The least bytes of a volume. QEMU makes one of a single sector, in each format and encrypted too; but the first
#: partition of a disk begins here, and who asks for less has most likely mistaken the unit.
LEAST = MIB


def volume_size(value: int | str) -> None:
    """The capacity of a volume that is made, in bytes or as a text with its unit.

    Raises:
        InvalidInput: it is no size, or one that no disk has.
    """
    size(value)
    amount = parse_size(value) if isinstance(value, str) else value
    if amount < LEAST:
        raise InvalidInput(
            N_("{size} is too small for a disk: a volume has at least {least}."),
            size=format_size(amount),
            least=format_size(LEAST),
        )
