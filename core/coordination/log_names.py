"""What the logs speak of, each text once, so that part of an account's name is found without reading a million rows.

The logs grow with every change and every login, and their writers pay nothing for this table: hostd gathers the names
of rows that came since the last time, every minute. Whoever searches looks through the names, and through the few rows
that are not gathered yet themselves. A name whose rows were cleared is harmless, and goes with the next clearing.

Names stand on sheets besides (:class:`core.model.LogSheet`): an engine looks through a few hundred long texts five
times faster than through a hundred thousand short rows. Names are looked at on the sheets alone that have the text.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import Session

from core.database import Database, insert_new
from core.model import LoginLog, LogName, LogSheet, OperationLog, Setting

#: The columns that are searched, by log.
SEARCHED: dict[Any, tuple[Any, ...]] = {
    OperationLog: (OperationLog.account, OperationLog.target, OperationLog.operation, OperationLog.address),
    LoginLog: (LoginLog.account, LoginLog.address),
}
#: Rows whose names are gathered by one transaction.
_BATCH = 5000
#: Names on a sheet.
_LINES = 200
#: A text that is on more sheets than this is so common that names are looked at as they come.
_SHEETS = 500
#: Rows younger than this are left for the next time, and so many rows are looked at twice: a row's number is drawn
#: before its transaction commits, so that a smaller one may come to light later.
_SETTLED, _TWICE = timedelta(minutes=2), 2000


def part(column: Any) -> str:
    """The name of a log's column in :class:`core.model.LogName`."""
    return f"{column.class_.__tablename__}.{column.key}"


def _key(log: Any) -> str:
    return f"log-names.{log.__tablename__}"


def gathered(session: Session, log: Any) -> int:
    """The id of the newest row whose names are gathered; 0 when there is none.

    When it is cleared away and SQLite begins anew with its numbers, nothing that comes is gathered yet.
    """
    stored = session.scalar(select(Setting.value).where(Setting.key == _key(log)))
    return _as_far_as_there_are(session, log, int(json.loads(stored))) if stored else 0


def _as_far_as_there_are(session: Session, log: Any, stored: int) -> int:
    newest = session.scalar(select(func.max(log.id))) if stored else None
    return stored if newest is not None and newest >= stored else 0


def gather(database: Database, now: datetime) -> int:
    """Gather the names of rows that came since the last time; how many rows were looked at.

    Several hosts may do so at the same time.
    """
    return sum(_gather(database, log, now) for log in SEARCHED)


def _gather(database: Database, log: Any, now: datetime) -> int:
    def ends(session: Session) -> tuple[int, int]:
        newest = select(log.id).where(log.at < now - _SETTLED).order_by(log.at.desc(), log.id.desc()).limit(1)
        return gathered(session, log), session.scalar(newest) or 0

    begin, end = database.read(ends)
    if begin >= end:
        return 0
    at = max(0, begin - _TWICE)
    while at < end:
        upto = min(end, at + _BATCH)
        database.write(lambda session, a=at, u=upto: _enter(session, log, a, u))  # type: ignore[misc]
        at = upto
    return end - begin


def _enter(session: Session, log: Any, after: int, upto: int) -> None:
    # First of all, so that nobody else enters names of this log meanwhile.
    insert_new(session, Setting, [{"key": _key(log), "value": "0"}])
    setting = session.get_one(Setting, _key(log), with_for_update=True)
    for column in SEARCHED[log]:
        mine = part(column)
        rows = select(column).where(log.id > after, log.id <= upto).distinct()
        names = set(session.scalars(rows)) - {""}
        known = select(LogName.name).where(LogName.part == mine, LogName.name.in_(names))
        new = names - set(session.scalars(known)) if names else names
        left = sorted(new)
        while left:
            left = left[_on_a_sheet(session, mine, left) :]
    setting.value = json.dumps(max(upto, _as_far_as_there_are(session, log, int(json.loads(setting.value)))))
    session.flush()


def _folded(name: str) -> str:
    return name.lower()[:255]


def _on_a_sheet(session: Session, mine: str, names: list[str]) -> int:
    """Enter as many of some new names as the newest sheet has room for, or a new one; how many these are."""
    newest = select(LogSheet).where(LogSheet.part == mine).order_by(LogSheet.id.desc()).limit(1)
    sheet = session.scalar(newest.with_for_update())
    lines = sheet.folded.split("\n") if sheet is not None else []
    if sheet is None or len(lines) >= _LINES:
        sheet, lines = LogSheet(part=mine, folded=""), []
        session.add(sheet)
        session.flush()
    entered = names[: _LINES - len(lines)]
    # MariaDB takes a name with blanks at its end for the same name.
    rows = [{"part": mine, "sheet": sheet.id, "name": name, "folded": _folded(name)} for name in entered]
    insert_new(session, LogName, rows)
    sheet.folded = "\n".join([*lines, *map(_folded, entered)])
    session.flush()
    return len(entered)


def forget(session: Session, after: int, limit: int) -> int | None:
    """Delete those of ``limit`` names after an id that no row has any more; the id to go on from, None at the end."""
    names = session.execute(select(LogName).where(LogName.id > after).order_by(LogName.id).limit(limit)).scalars().all()
    columns = {part(column): column for searched in SEARCHED.values() for column in searched}
    gone = [
        name for name in names if not session.scalar(select(exists(select(1).where(columns[name.part] == name.name))))
    ]
    for number in sorted({name.sheet for name in gone}):
        # Before its names: who gathers may be writing on it.
        sheet = session.scalar(select(LogSheet).where(LogSheet.id == number).with_for_update())
        ids = [name.id for name in gone if name.sheet == number]
        session.execute(delete(LogName).where(LogName.id.in_(ids)))
        lines = session.scalars(select(LogName.folded).where(LogName.sheet == number).order_by(LogName.id)).all()
        if sheet is not None and lines:
            sheet.folded = "\n".join(lines)
        elif sheet is not None:
            session.delete(sheet)
    session.flush()
    return names[-1].id if names else None


def fitting(session: Session, columns: tuple[Any, ...], text: str, most: int) -> dict[Any, list[str]] | None:
    """The gathered names that have a text in them, by column; None when they are more than ``most``."""
    parts, folded = [part(column) for column in columns], text.lower()
    on = select(LogSheet.id).where(LogSheet.part.in_(parts), LogSheet.folded.contains(folded, autoescape=True))
    sheets = session.scalars(on.limit(_SHEETS + 1)).all()
    names = select(LogName.part, LogName.name).where(
        LogName.part.in_(parts), LogName.folded.contains(folded, autoescape=True)
    )
    if len(sheets) <= _SHEETS:
        names = names.where(LogName.sheet.in_(sheets))
    found: dict[str, list[str]] = {}
    rows = session.execute(names.limit(most + 1)).all()
    if len(rows) > most:
        return None
    for mine, name in rows:
        found.setdefault(mine, []).append(name)
    return {column: found[part(column)] for column in columns if part(column) in found}


def among(names: dict[Any, list[str]], apart: int) -> list[ColumnElement[bool]]:
    """Conditions of which one holds when a row has one of some names; up to ``apart`` names have one each."""
    if sum(map(len, names.values())) <= apart:
        return [column == name for column, each in names.items() for name in each]
    return [column.in_(each) for column, each in names.items()]


def younger(session: Session, log: Any) -> ColumnElement[bool]:
    """The condition that a row's names are not gathered yet."""
    condition: ColumnElement[bool] = log.id > gathered(session, log)
    return condition
