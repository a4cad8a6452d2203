"""`dosvm upgrade`: brings the database to this version of DOSVM."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from core.i18n import _
from dosvm_tui import wiring
from dosvm_tui.commands.asking import make_sure
from dosvm_tui.commands.help import usage
from dosvm_tui.commands.words import EVERYWHERE, part, too_many


def run(argv: Sequence[str]) -> int:
    """Upgrade the database and return the exit code.

    Raises:
        UsageError: nobody can be asked.
        DosvmError: a hostd still runs, another upgrade does, or the database refuses.
    """
    words = part(argv, EVERYWHERE)
    if words.flags.get("help"):
        print(usage("upgrade", ()))
        return 0
    if words.bare:
        raise too_many(words.bare[0], "upgrade")

    # SQLAlchemy and what hostd stands on are not for every command.
    from core.database import Database
    from core.migrations import SCHEMA
    from core.migrations.state import check_schema, known_state
    from core.migrations.upgrade import upgrade
    from hostd import intervals
    from hostd.settings import load
    from hostd.state_lock import hold

    settings = load(wiring.home())
    database = Database(settings.database_url)
    try:
        state = known_state(database)
        if state.version == SCHEMA and not state.upgrading:
            check_schema(database)
            print(_("The database is of this version already; nothing was done."))
            return 0
        lock = hold(settings.state)  # no hostd of this host runs, and none starts meanwhile
        try:
            if not words.flags.get("yes"):
                if not database.is_sqlite:
                    print(_("Make a backup of the database first; it cannot be taken back."), file=sys.stderr)
                make_sure(_("Upgrade the database to version {version}? Type yes: ").format(version=SCHEMA))
            done = upgrade(
                database,
                own_host=settings.host_uuid,
                patience=intervals.STOPPED_AFTER,
                tell=lambda version, subject: print(f"  {version} {subject}", flush=True),
            )
        finally:
            os.close(lock)
    finally:
        database.close()
    if done.backup is not None:
        print(_("The database as it was: {file}").format(file=done.backup))
    print(_("The database is of version {version} now.").format(version=SCHEMA))
    return 0
