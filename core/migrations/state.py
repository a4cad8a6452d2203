"""Which version a database has, and whether this program may work with it. Cheap: every start of hostd asks."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Column, inspect, select, text
from sqlalchemy.orm import Session

from core.database import Database
from core.errors import Refused
from core.i18n import N_
from core.migrations import SCHEMA, SCHEMA_KEY, UPGRADE_KEY
from core.model import Base, Setting

#: Columns that are named before the rest is counted.
_NAMED = 5
#: Table, column, and whether it must be given, of all columns there are: one statement, for every start asks.
_COLUMNS = {
    "sqlite": 'SELECT t.name, c.name, c."notnull" AND c.dflt_value IS NULL AND NOT c.pk'
    " FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'",
    "mysql": "SELECT table_name, column_name,"
    " is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%'"
    " FROM information_schema.columns WHERE table_schema = DATABASE()",
}


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
        Refused: it is not of a cloud, of another version of DOSVM or of none, or just being upgraded.
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
    _check_columns(database, where)


def _check_columns(database: Database, where: str) -> None:
    """Refuse tables that lack what this program reads, or want what it does not write.

    Between two versions they change with each commit, and the version that they shall have stands in them already.
    """

    def look(session: Session) -> dict[tuple[str, str], bool]:
        dialect = session.get_bind().dialect.name
        found = session.execute(text(_COLUMNS["sqlite" if dialect == "sqlite" else "mysql"]))
        return {(table, column): bool(wanted) for table, column, wanted in found}

    there = database.read(look)
    known: dict[tuple[str, str], Column[object]] = {
        (table.name, column.name): column for table in Base.metadata.tables.values() for column in table.columns
    }
    tables = {table for table, _column in known}
    missing = [column for column in known if column not in there]
    strange = [column for column, wanted in there.items() if wanted and column not in known and column[0] in tables]
    if not missing and not strange:
        return
    text_of = N_("The tables of {where} lack columns of version {known}: {columns}.")
    if not missing:
        text_of = N_("The tables of {where} have columns that version {known} does not fill: {columns}.")
    raise Refused(
        text_of,
        remedy=N_(
            "A DOSVM between two versions made them: go on with that one, or make another cloud by `dosvm init`."
        ),
        where=where,
        known=SCHEMA,
        columns=_named(missing or strange),
    )


def _named(columns: list[tuple[str, str]]) -> str:
    names = [f"{table}.{column}" for table, column in sorted(columns)]
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")


def _other(where: str, found: int, remedy: str) -> Refused:
    return Refused(
        N_("The database {where} has version {found}, this program reads version {known}."),
        remedy=remedy,
        where=where,
        found=found,
        known=SCHEMA,
    )
