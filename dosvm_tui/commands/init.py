"""`dosvm init`: makes a new cloud in ``DOSVM_HOME``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from core.errors import UsageError
from core.i18n import N_, _
from dosvm_tui import wiring
from dosvm_tui.commands.asking import make_sure
from dosvm_tui.commands.help import usage
from dosvm_tui.commands.options import secret_from
from dosvm_tui.commands.words import EVERYWHERE, Option, Words, part, too_many

OPTIONS: tuple[Option, ...] = (
    Option("database", "URL", N_("sqlite:///FILE or mysql://USER:PASSWORD@HOST/NAME; a file in DOSVM_HOME otherwise")),
    Option("database-file", "FILE", N_("the first line is that URL; keeps its password out of the process list")),
    Option("sysadm-password-file", "FILE", N_("the first password of sysadm; one is made up and shown otherwise")),
)


def run(argv: Sequence[str]) -> int:
    """Make the cloud and return the exit code.

    Raises:
        UsageError: something is missing and nobody can be asked.
        DosvmError: there is a cloud already, or something cannot be written; nothing was changed.
    """
    words = part(argv, (*EVERYWHERE, *OPTIONS))
    if words.flags.get("help"):
        print(usage("init", OPTIONS))
        return 0
    if words.bare:
        raise too_many(words.bare[0], "init")
    home = wiring.home()
    database = _database(words, f"sqlite:///{home / 'cloud.db'}")
    path = words.value("sysadm-password-file")
    password = None if path is None else secret_from(path)
    if not words.flags.get("yes"):
        make_sure(_(N_("Make a new cloud in {home}? Type yes: ")).format(home=home))

    from core.setup import initialise  # SQLAlchemy and argon2 are not for every command

    made_up = initialise(database, home, password)
    print(_(N_("The cloud is made in {home}.")).format(home=home))
    if made_up is not None:
        print(_(N_("Log in as sysadm with this password, which is shown only now:")))
        print(f"\n    {made_up}\n")
    print(_(N_("Next: `dosvm hostd run` on this host, then `dosvm` for the console.")))
    return 0


def _database(words: Words, usual: str) -> str:
    path = words.value("database-file")
    if path is not None:
        return secret_from(path)
    url = words.value("database")
    if url is not None or words.flags.get("yes"):
        return url or usual
    if not sys.stdin.isatty():
        raise UsageError(N_("{option} is missing."), option="--database")
    print(_(N_("Database [{usual}]: ")).format(usual=usual), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or usual
