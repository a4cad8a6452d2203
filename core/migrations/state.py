"""Which version a database has, and whether this program may work with it. Cheap: every start of hostd asks."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from core.database import Database
from core.errors import Refused
from core.i18n import N_
from core.migrations import SCHEMA, SCHEMA_KEY, UPGRADE_KEY
from core.model import Setting


@dataclass(frozen=True)
class SchemaState:
    """``version`` of the tables; while ``upgrading``, the one they shall get."""

    version: int
    upgrading: bool


def read_state(session: Session) -> SchemaState | None:
    """The state of a database, None when it holds no cloud."""
    if not inspect(session.connection()).has_table(Setting.__tablename__):
        return None
    statement = select(Setting.key, Setting.value).where(Setting.key.in_((SCHEMA_KEY, UPGRADE_KEY)))
    found = dict(session.execute(statement).all())
    if SCHEMA_KEY not in found:
        return None
    return SchemaState(int(json.loads(found[SCHEMA_KEY])), UPGRADE_KEY in found)


def known_state(database: Database) -> SchemaState:
    """The state of a database that is not newer than this program.

    Raises:
        DatabaseUnavailable: it does not answer.
        Refused: it is not of a cloud, or newer.
    """
    state = database.read(read_state)
    where = database.url.render_as_string(hide_password=True)
    if state is None:
        raise Refused(
            N_("There is no cloud in the database {where}."), remedy=N_("Make one by `dosvm init`."), where=where
        )
    if state.version > SCHEMA:
        raise _other(where, state.version, N_("Install the DOSVM that belongs to the database on this host."))
    return state


def check_schema(database: Database) -> None:
    """Refuse a database that this program cannot work with.

    Raises:
        DatabaseUnavailable: it does not answer.
        Refused: it is not of a cloud, of another version of DOSVM, or just being upgraded.
    """
    state = known_state(database)
    where = database.url.render_as_string(hide_password=True)
    if state.version < SCHEMA:
        raise _other(where, state.version, N_("Stop hostd on all hosts, then run `dosvm upgrade` on one of them."))
    if state.upgrading:
        raise Refused(
            N_("The database {where} is being upgraded, or an upgrade was interrupted."),
            remedy=N_("Wait until it has ended; if none runs, repeat `dosvm upgrade`."),
            where=where,
        )


def _other(where: str, found: int, remedy: str) -> Refused:
    return Refused(
        N_("The database {where} has version {found}, this program reads version {known}."),
        remedy=remedy,
        where=where,
        found=found,
        known=SCHEMA,
    )
