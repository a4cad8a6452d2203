"""What an operation asks of the database: its statements, how long the engine took, and the plans."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event

from core.database import Database


class Watch:
    """The statements that are run within a ``with``, and the seconds until their rows were there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.seen: list[tuple[str, Any]] = []
        self.seconds = 0.0

    def __enter__(self) -> Watch:
        event.listen(self._database.engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._database.engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            self.seen.append((statement, parameters))

    def again(self) -> float:
        """Run the statements once more, without anything around them; the seconds until all rows were there."""
        with self._database.engine.connect() as connection:
            cursor = connection.connection.cursor()
            begin = time.perf_counter()
            for statement, parameters in self.seen:
                cursor.execute(statement, parameters)
                cursor.fetchall()
            seconds = time.perf_counter() - begin
            cursor.close()
        return seconds

    def plan(self, place: int) -> str:
        """How the engine runs a statement, as one text."""
        return "\n".join(str(tuple(row)) for row in self.explain(place))

    def explain(self, place: int) -> list[Any]:
        """How the engine runs a statement."""
        statement, parameters = self.seen[place]
        prefix = "EXPLAIN QUERY PLAN " if self._database.is_sqlite else "EXPLAIN "
        with self._database.engine.connect() as connection:
            return list(connection.exec_driver_sql(prefix + statement, parameters).all())

    def excesses(self, big: set[str], *, chosen: bool) -> Iterator[str]:
        """What reads more of a big table than the page needs, one sentence each.

        Args:
            big: the names of tables that may not be read from one end to the other.
            chosen: whether rows are chosen by a filter or search: then not even a count goes along a whole index.
        """
        judge = _sqlite if self._database.is_sqlite else _mariadb
        for place, (statement, _parameters) in enumerate(self.seen):
            counts = bool(re.match(r"SELECT count\(", statement)) or "ORDER BY" not in statement
            for what in judge(self.explain(place), big, walks=not (counts and chosen)):
                yield f"{what}\n  {statement}\n  {self.plan(place)}"


def _sqlite(rows: list[Any], big: set[str], *, walks: bool) -> Iterator[str]:
    """EXPLAIN QUERY PLAN has lines (id, parent, _, what): ``SCAN table [USING INDEX ...]``, ``SEARCH table ...``."""
    sorts = {row[1] for row in rows if "TEMP B-TREE FOR" in row[3] and "ORDER BY" in row[3]}
    for _id, parent, _unused, what in rows:
        verb, _space, rest = what.partition(" ")
        if verb not in ("SCAN", "SEARCH") or rest.split(" ")[0] not in big:
            continue
        if verb == "SCAN" and not (walks and "USING" in rest):
            yield f"reads all of it: {what}"
        if parent in sorts:
            yield f"sorts all that fits: {what}"


def _mariadb(rows: list[Any], big: set[str], *, walks: bool) -> Iterator[str]:
    """EXPLAIN has rows (id, select_type, table, type, ..., Extra); a sort is told in the first row of its select."""
    sorts = {row.id for row in rows if row.Extra and "Using filesort" in row.Extra}
    for row in rows:
        if row.table not in big:
            continue
        if row.type == "ALL" or (row.type == "index" and not walks):
            yield f"reads all of it: {row.table} ({row.type}, {row.key})"
        if row.id in sorts:
            yield f"sorts all that fits: {row.table} ({row.type}, {row.key}, {row.Extra})"
