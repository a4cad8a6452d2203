"""How volumes may be made: formats, permissions of the file, options of qcow2 (manual 9.4.3)."""

from __future__ import annotations

import re
from typing import Any

from core.errors import InvalidInput
from core.i18n import N_
from core.rules.volumes import FORMATS
from core.services.fields import in_range

COMPATS = ("0.10", "1.1")
#: Largest numeric id of a user or group; the one above means nobody in particular to the kernel.
_ID_MAX = 2**32 - 2
_MODE = re.compile(r"0?[0-7]{3}")


def making(
    format: str,  # noqa: A002
    *,
    mode: str = "0600",
    owner: int | None = None,
    group: int | None = None,
    compat: str = "",
    lazy_refcounts: bool = False,
) -> dict[str, Any]:
    """Check how a volume shall be made.

    Args:
        format: of the file.
        mode: octal permissions of the file; empty: the usual ones.
        owner: numeric id of the file's user; None: libvirt's choice.
        group: numeric id of the file's group; None: libvirt's choice.
        compat: of qcow2; empty: what qemu-img makes by itself.
        lazy_refcounts: of qcow2 1.1.

    Returns:
        What a host is told beside name, capacity and format.

    Raises:
        InvalidInput: a rule is broken.
    """
    if format not in FORMATS:
        raise InvalidInput(N_("A volume's format is one of: {formats}."), field="format", formats=", ".join(FORMATS))
    mode = mode or "0600"  # as nobody knows it of volumes that others made
    if not _MODE.fullmatch(mode):
        raise InvalidInput(
            N_("Permissions are three octal digits, such as 600 or 0640: who may read, write and execute."),
            remedy=N_("A disk image takes no set-user-ID, set-group-ID or sticky bit."),
            field="mode",
        )
    in_range("owner", owner, 0, _ID_MAX)
    in_range("group", group, 0, _ID_MAX)
    if compat and compat not in COMPATS:
        raise InvalidInput(N_("The compatibility is 0.10 or 1.1."), field="compat")
    if format != "qcow2" and (compat or lazy_refcounts):
        raise InvalidInput(
            N_("Only qcow2 has this."), field="compat" if compat else "lazy_refcounts", remedy=N_("Leave it away.")
        )
    if lazy_refcounts and compat == "0.10":
        raise InvalidInput(
            N_("Delayed reference counts need the compatibility 1.1."),
            field="lazy_refcounts",
            remedy=N_("Choose 1.1, or leave them away."),
        )
    options: dict[str, Any] = {"mode": mode.rjust(4, "0")}
    if owner is not None:
        options["owner"] = str(owner)
    if group is not None:
        options["group"] = str(group)
    if lazy_refcounts:
        options |= {"compat": compat or "1.1", "lazy_refcounts": True}
    elif compat:
        options["compat"] = compat
    return options
