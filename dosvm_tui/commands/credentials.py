"""Who gives the command, and the proof: from options, the environment or a prompt; never from an argument."""

from __future__ import annotations

import os
import sys

from core.errors import UsageError
from core.i18n import N_, _
from dosvm_tui.commands.options import secret_from
from dosvm_tui.commands.words import Words


class Credentials:
    """An account and its password; the password shows in no representation."""

    def __init__(self, account: str, password: str) -> None:
        """Hold them."""
        self.account = account
        self.password = password


def credentials(words: Words) -> Credentials:
    """The credentials of a command.

    Raises:
        UsageError: there are none and nobody to ask.
    """
    account = words.value("as") or os.environ.get("DOSVM_ACCOUNT") or _ask(N_("Account"), "--as", secret=False)
    path = words.value("password-file")
    if path is not None:
        return Credentials(account, secret_from(path))
    password = os.environ.get("DOSVM_PASSWORD") or _ask(N_("Password"), "--password-file", secret=True)
    return Credentials(account, password)


def _ask(label: str, option: str, *, secret: bool) -> str:
    if not sys.stdin.isatty():
        raise UsageError(N_("{option} is missing."), option=option)
    if secret:
        from getpass import getpass  # only for a prompt

        return getpass(f"{_(label)}: ")
    print(f"{_(label)}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
