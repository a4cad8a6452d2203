"""Rules for what people type as names, accounts, passwords and paths."""

from __future__ import annotations

import re
import unicodedata

from core.errors import InvalidInput
from core.i18n import N_

NAME_MAX = 64
LINE_MAX = 255
PROSE_MAX = 4000
TLS_FILE_MAX = 128
PASSWORD_MIN = 8
PASSWORD_MAX = 128

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_POOL = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_uuid(text: str) -> bool:
    """Whether a reference is an identity rather than a name."""
    return _UUID.fullmatch(text) is not None


#: Marks that are not seen: soft hyphen, zero-width space and joiners of words, and those that turn the direction
#: of what follows. With them one name could look like another. The joiners of emoji and of scripts stay allowed.
_UNSEEN = {0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2060, 0x2070)}
#: Code points that XML cannot hold; names appear in libvirt's domain XML.
_NOT_XML = {0xFFFE, 0xFFFF}
#: Letters and symbols that are drawn as nothing.
_BLANK = {0x34F, 0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0}


def printable(text: str) -> bool:
    """Whether a text has only characters that are seen, or that join seen ones."""
    # Cc controls, Cs surrogates, Zl/Zp separators
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text):
        return False
    return not any(ord(c) in _UNSEEN or ord(c) in _NOT_XML for c in text)


def escaped(text: str) -> str:
    r"""What others called something, such as a file, on one line of characters that are seen.

    What cannot be shown, and blanks at the ends, are written as bash writes them between ``$'`` and ``'``: so it can be
    typed again. Bytes that are no UTF-8, which Python keeps as lone surrogates, are ``\xff``.
    """
    if printable(text) and is_seen(text) and text == text.strip():
        return text
    # Of a name of which nothing is seen each character is told.
    seen = range(len(text) - len(text.lstrip()), len(text.rstrip())) if is_seen(text) else ()
    return "".join(
        c if at in seen and printable(c) and ord(c) not in _BLANK and c not in "\\'" else _escape(c)
        for at, c in enumerate(text)
    )


def _escape(character: str) -> str:
    code = ord(character)
    if character in "\\'\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\{character}")
    if code < 0x80 or 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code & 0xFF:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_seen(text: str) -> bool:
    """Whether something of a text is seen on a screen: more than blanks, joiners and marks without their letter."""
    return any(unicodedata.category(c) not in ("Cf", "Zs", "Mn", "Me") and ord(c) not in _BLANK for c in text)


def _fits_file_system(path: str) -> bool:
    # NAME_MAX counts bytes, not characters
    return all(len(part.encode("utf-8", "surrogatepass")) <= 255 for part in path.split("/"))


def name(value: str) -> None:
    """A name people give: 1 to 64 printable characters of any script, not blank at its ends, not UUID-shaped.

    Raises:
        InvalidInput: it is not, or nothing of it would be seen.
    """
    if not value.strip():
        raise InvalidInput(N_("A name is needed."))
    if len(value) > NAME_MAX:
        raise InvalidInput(N_("A name has at most {limit} characters."), limit=NAME_MAX)
    if not printable(value) or value != value.strip() or not is_seen(value):
        raise InvalidInput(N_("A name has printable characters only and no blanks at its ends."))
    if is_uuid(value):
        raise InvalidInput(N_("A name cannot have the form of a UUID."))


def display_name(value: str) -> None:
    """A title: empty, or as :func:`name`."""
    if value:
        name(value)


def identifier(value: str) -> None:
    """A name that also names files and hosts: letters, digits, dot, dash, underscore (manual 9.3.2)."""
    if not _IDENTIFIER.fullmatch(value):
        raise InvalidInput(
            N_("1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or digit.")
        )
    if is_uuid(value):
        raise InvalidInput(N_("A name cannot have the form of a UUID."))


def pool_name(value: str) -> None:
    """A storage pool's name: letters, digits, dashes, underscores and dots (manual 9.3.2), whatever comes first."""
    if not _POOL.fullmatch(value) or value in (".", ".."):
        raise InvalidInput(N_("1 to 64 letters, digits, dots, dashes or underscores."))
    if is_uuid(value):
        raise InvalidInput(N_("A name cannot have the form of a UUID."))


def account(value: str) -> None:
    """The account of a user: an identifier."""
    identifier(value)


def line(value: str) -> None:
    """One line of text, or none: up to 255 printable characters."""
    if len(value) > LINE_MAX:
        raise InvalidInput(N_("At most {limit} characters."), limit=LINE_MAX)
    if not printable(value):
        raise InvalidInput(N_("Printable characters only."))


def phone(value: str) -> None:
    """A telephone number as people write it, or none: up to 64 printable characters."""
    if len(value) > NAME_MAX:
        raise InvalidInput(N_("At most {limit} characters."), limit=NAME_MAX)
    line(value)


def email(value: str) -> None:
    """An e-mail address, or none."""
    line(value)
    if value and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise InvalidInput(N_("An e-mail address such as zhao@example.com is needed."))


def prose(value: str) -> None:
    """A description: up to 4000 characters, line breaks allowed."""
    if len(value) > PROSE_MAX:
        raise InvalidInput(N_("At most {limit} characters."), limit=PROSE_MAX)
    if not printable(value.replace("\n", "").replace("\t", "")):
        raise InvalidInput(N_("Printable characters only."))


def password(value: str) -> None:
    """A new password: 8 to 128 characters."""
    if len(value) < PASSWORD_MIN:
        raise InvalidInput(N_("A password has at least {limit} characters."), limit=PASSWORD_MIN)
    if len(value) > PASSWORD_MAX:
        raise InvalidInput(N_("A password has at most {limit} characters."), limit=PASSWORD_MAX)


#: What holds the files of many programs: below it there may be room for a directory of one's own.
_HOLDING = ("/", "/home", "/root", "/var", "/var/cache", "/var/lib", "/var/lib/libvirt", "/var/log")
#: Directories of the system itself; nobody's disks belong there.
_SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
)


def directory(value: str) -> None:
    """A directory on a host: absolute, without ``..``, not one of the system's own."""
    if not value.startswith("/") or len(value) > 1024 or not printable(value):
        raise InvalidInput(N_("An absolute path is needed, such as /srv/vm."))
    parts = value.split("/")
    if ".." in parts or "." in parts:
        raise InvalidInput(N_("The path must not contain . or .. as a part."))
    clean = "/" + "/".join(p for p in parts if p)
    if not _fits_file_system(clean):
        raise InvalidInput(N_("A part of the path is too long for a file system: it takes 255 bytes."))
    if clean in _HOLDING or any(clean == s or clean.startswith(s + "/") for s in _SYSTEM):
        raise InvalidInput(N_("{path} belongs to the system."), path=clean)


def directory_or_none(value: str) -> None:
    """Empty, or as :func:`directory`."""
    if value:
        directory(value)


def tls_file(value: str) -> None:
    """The path of a certificate or key on this machine, or none (manual, figure 13-8)."""
    if len(value) > TLS_FILE_MAX or not re.fullmatch(r"[\w\-./:\\]*", value):
        raise InvalidInput(
            N_("1 to {limit} letters of any script, digits, dashes, dots, underscores, colons or slashes."),
            limit=TLS_FILE_MAX,
        )


def file_name(value: str) -> None:
    """A file below a directory: relative, without ``..``; no part begins with a dot."""
    if not value or value.startswith("/") or len(value) > 255 or not printable(value):
        raise InvalidInput(N_("A file name relative to the directory is needed."))
    if any(part in ("", "..") or part.startswith(".") for part in value.split("/")):
        raise InvalidInput(N_("The file must be inside the directory; no part may begin with a dot."))
    if not _fits_file_system(value):
        raise InvalidInput(N_("A part of the path is too long for a file system: it takes 255 bytes."))
