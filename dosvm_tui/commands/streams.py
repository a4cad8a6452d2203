"""What a command is started with: its standard streams, and words that are text. Nothing of it is dosvm's own fault."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Mapping, Sequence

from core.errors import DosvmError, UsageError
from core.i18n import N_

#: Variables whose values go to hostd; what they hold is not repeated: one is a password.
_VARIABLES = ("DOSVM_ACCOUNT", "DOSVM_PASSWORD")
#: What the system says of a file, pipe or terminal that takes no more.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def prepare() -> None:
    """Have all three standard streams: one that was closed reads and writes nothing (``/dev/null``).

    Otherwise its number would be that of the next file or socket opened, and what is said on it an error. What the
    terminal's character set does not have is written as an escape.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  (as long as the program)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def check_text(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Refuse bytes that are no UTF-8, which Python keeps as lone surrogates and nothing takes later on.

    Raises:
        UsageError: names the word or the variable.
    """
    for word in words:
        if not _is_text(word):
            shown = os.fsencode(word).decode(errors="backslashreplace")
            raise UsageError(N_("{word} is not UTF-8 text."), word=shown)
    for name in _VARIABLES:
        if not _is_text(environment.get(name, "")):
            raise UsageError(N_("{word} is not UTF-8 text."), word=name)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def unwritten(error: Exception) -> DosvmError | None:
    """What to say when it is the output that could not be written; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _FULL or error.filename is not None:
        return None
    return DosvmError(N_("The output cannot be written: {reason}."), reason=os.strerror(error.errno))


def let_go() -> None:
    """Have nothing written any more: Python would try it again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
