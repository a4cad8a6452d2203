"""Rules for security objects (manual 8.2): what they are for, and what their values may be."""

from __future__ import annotations

import re

from core.errors import InvalidInput
from core.i18n import N_
from core.rules.names import printable

VOLUME, ISCSI, CIFS = "volume", "iscsi", "cifs"
#: What a security object can be for. The manual's ceph is not offered: there is no pool that would use it.
KINDS = (VOLUME, ISCSI, CIFS)
#: Formats of volumes that libvirt and QEMU encrypt by LUKS.
ENCRYPTED_FORMATS = ("qcow2", "raw")

#: Shortest passphrase of a volume, in characters: who has the file may try as many as they like.
PASSPHRASE_MIN = 8
#: Longest, in bytes: what cryptsetup reads from a keyboard, so that a volume can be opened without DOSVM too.
PASSPHRASE_MAX = 512
#: Longest password of CHAP that open-iscsi keeps (its AUTH_STR_MAX_LEN counts the end). RFC 7143 wants 12 characters
#: at least and that 16 work everywhere; targets are set up with less, so that is advice and not a rule.
CHAP_MAX = 255

_USAGE = re.compile(r"[A-Za-z0-9._/-]{1,128}")


def usage(value: str) -> None:
    """What a security object is used for: 1 to 128 letters, digits, dashes, dots, underscores or slashes."""
    if not _USAGE.fullmatch(value):
        raise InvalidInput(N_("1 to 128 letters, digits, dashes, dots, underscores or slashes."))


def secret_value(value: str) -> None:
    """The value of a security object, whatever its kind."""
    if not value:
        raise InvalidInput(N_("A value is needed."))
    if not printable(value) or value != value.strip():
        raise InvalidInput(N_("A value has printable characters only and no blanks at its ends."))
    if len(value.encode()) > PASSPHRASE_MAX:
        raise InvalidInput(N_("A value takes at most {limit} bytes."), limit=PASSPHRASE_MAX)


def value_of(kind: str, value: str) -> None:
    """The value of a security object of this kind.

    Raises:
        InvalidInput: it is too short or too long, or has characters that what it is for cannot take.
    """
    secret_value(value)
    if kind == VOLUME and len(value) < PASSPHRASE_MIN:
        raise InvalidInput(N_("The passphrase of a volume has at least {limit} characters."), limit=PASSPHRASE_MIN)
    if kind == ISCSI and (len(value) > CHAP_MAX or not value.isascii() or " " in value):
        raise InvalidInput(
            N_("A password of CHAP has 1 to {limit} ASCII characters without blanks; 12 to 16 work everywhere."),
            limit=CHAP_MAX,
        )
