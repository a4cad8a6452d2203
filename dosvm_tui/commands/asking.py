"""The question before what cannot be taken back."""

from __future__ import annotations

import sys

from core.errors import Refused, UsageError
from core.i18n import N_, _
from dosvm_tui.commands import output


def make_sure(question: str) -> None:
    """Go on when the person at the terminal types yes.

    Args:
        question: in the language now set, with "Type yes: " at its end.

    Raises:
        UsageError: nobody can be asked.
        Refused: something else was typed.
    """
    if not sys.stdin.isatty():
        raise UsageError(N_("This needs --yes when nobody can be asked."))
    print(output.printable(question), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("yes", "y", _(N_("yes"))):
        raise Refused(N_("Nothing was done."))
