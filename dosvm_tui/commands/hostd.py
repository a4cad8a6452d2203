"""`dosvm hostd run`: the daemon of this host, in the foreground; `dosvm hostd status`: whether it answers."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import UsageError
from core.i18n import N_, _
from dosvm_tui import wiring
from dosvm_tui.commands.help import usage
from dosvm_tui.commands.words import EVERYWHERE, Option, part

OPTIONS: tuple[Option, ...] = (Option("log", "FILE", N_("write the log to this file rather than to standard error")),)


def run(argv: Sequence[str]) -> int:  # noqa: RET503  (it does not return from leaving)
    """Run hostd until it is told to stop, which ends the process.

    Returns:
        The exit code of what is not ``run``.

    Raises:
        UsageError: the words are wrong.
        DosvmError: it cannot start; says why.
    """
    words = part(argv, (*EVERYWHERE, *OPTIONS))
    if words.flags.get("help"):
        print(usage("hostd run|status", OPTIONS))
        return 0
    if words.bare == ["status"]:
        wiring.await_hostd(patience=0.0)
        print(_("hostd answers."))
        return 0
    if words.bare != ["run"]:
        raise UsageError(N_("Usage: dosvm hostd run [--log FILE] | dosvm hostd status."))

    from hostd.lean import lean

    lean()
    from hostd.daemon import run as run_daemon  # all that hostd stands on is imported for it alone
    from hostd.ending import leave

    leave(run_daemon(wiring.home(), log=words.value("log")))
