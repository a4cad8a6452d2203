"""Sizes: bytes inside, units outside (IEC 80000-13: KiB is 1024, kB is 1000 bytes)."""

from __future__ import annotations

import re

from core.errors import InvalidInput
from core.i18n import N_

UNITS = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "PB": 1000**5,
    "EB": 1000**6,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
    "TIB": 1024**4,
    "PIB": 1024**5,
    "EIB": 1024**6,
    "K": 1024,
    "M": 1024**2,
    "G": 1024**3,
    "T": 1024**4,
    "P": 1024**5,
    "E": 1024**6,
}
#: Twenty digits say more than the largest size; a number of thousands of them is not worth understanding.
_SIZE = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]*)\s*")
#: The databases keep sizes as signed 64-bit numbers.
_MOST = 2**63 - 1
MIB = 1024**2
GIB = 1024**3


def parse_size(text: str) -> int:
    """Bytes of a size such as ``512MiB``, ``1.5 GB`` or ``10G``.

    A number alone is none but 0: some mean bytes by it, others MiB, and those would get a millionth of what they meant.

    Raises:
        InvalidInput: it is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None or (match[2].upper() not in UNITS and (match[2] or match[1].strip("0."))):
        raise InvalidInput(N_("A size with its unit is needed, such as 512MiB, 20GiB or 20GB."))
    whole, _, fraction = match[1].partition(".")
    factor = UNITS.get(match[2].upper(), 1)
    result = int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)
    if result > _MOST:
        raise InvalidInput(N_("The size is too large."))
    return result


def format_size(value: float) -> str:
    """A size for people: three digits and the IEC unit, such as ``1.50 GiB``."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        # 1023.95 would be written 1024.0: it belongs to the next unit
        if abs(amount) < (1024 if unit == "B" else 1023.95):
            break
        amount /= 1024
    else:
        unit = "EiB"
    if unit == "B" or amount == int(amount):
        return f"{int(amount)} {unit}"
    return f"{amount:.2f} {unit}" if amount < 10 else f"{amount:.1f} {unit}"


def size(value: int | str) -> None:
    """A size that is not negative and not above 2^63 - 1, as bytes or as text with a unit."""
    if isinstance(value, str):
        parse_size(value)
    elif value < 0:
        raise InvalidInput(N_("A size cannot be negative."))
    elif value > _MOST:
        raise InvalidInput(N_("The size is too large."))
