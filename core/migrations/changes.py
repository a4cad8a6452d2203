"""What a step may do to the tables. Everything looks before it acts.

MariaDB has no transaction around DDL: a step that was interrupted is run again from its start, so each change
here finds out what of it is there already. On SQLite all steps are one transaction, and what its ALTER TABLE
cannot do (NOT NULL, constraints, types) is done by making the table anew, with its indexes as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from alembic.operations import BatchOperations, Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    text,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Inspector
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.elements import ColumnElement, TextClause

#: The types of columns that differ between the engines, as versions 1 and later have them.
BIG = BigInteger().with_variant(Integer(), "sqlite")
TIME = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
UUID = String(36)
NAME = String(64)

_NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


class Changes:
    """The tables of one database, to be changed."""

    def __init__(self, connection: Connection, check: Callable[[], None] = lambda: None) -> None:
        """``check()`` is called before each change, and raises when there shall be no more."""
        self._connection = connection
        self._check = check
        self._operations = Operations(MigrationContext.configure(connection))
        self._is_sqlite = connection.dialect.name == "sqlite"

    def table(self, name: str, *items: SchemaItem) -> None:
        """Make a table of columns, constraints and indexes; what they are called follows from the naming rules."""
        self._check()
        table = self._frozen(name, items)
        table.create(self._connection, checkfirst=True)
        self._make_indexes(table)

    def columns(self, table: str, *columns: Column[Any], fill: Mapping[str, Any] | None = None) -> None:
        """Add columns to a table that is there, with their indexes, UNIQUE and foreign keys.

        Args:
            table: its name.
            columns: as in the model, and without defaults.
            fill: column -> what old rows get, a value or an SQL expression; must be there for each column that
                may not be NULL.
        """
        wanted = self._frozen(table, columns)
        for column in wanted.columns:
            self._check()
            if column.name not in self._columns(table):
                self._operations.add_column(table, Column(column.name, column.type, nullable=True))
        for name, value in (fill or {}).items():
            self._check()
            column = wanted.columns[name]
            self._connection.execute(update(wanted).where(column.is_(None)).values({column: value}))
        self._check()
        self._hold(wanted)
        self._make_indexes(wanted)

    def retype(self, table: str, column: Column[Any]) -> None:
        """Give a column the type and nullability of ``column``; its values must fit."""
        self._check()
        with self._batch(table) as batch:
            batch.alter_column(column.name, existing_type=column.type, type_=column.type, nullable=column.nullable)

    def drop_column(self, table: str, name: str) -> None:
        """Remove a column on which no index and no constraint stands."""
        self._check()
        if name in self._columns(table):
            with self._batch(table) as batch:
                batch.drop_column(name)

    def index(self, name: str, table: str, *columns: str) -> None:
        """Make an index; a column may be ``"name DESC"``."""
        self._check()
        if name not in self._indexes(table):
            self._operations.create_index(name, table, [text(c) if " " in c else c for c in columns])

    def drop_index(self, name: str, table: str) -> None:
        """Remove an index."""
        self._check()
        if name in self._indexes(table):
            self._operations.drop_index(name, table)

    def drop_table(self, name: str) -> None:
        """Remove a table with what is in it."""
        self._check()
        if self._look().has_table(name):
            self._operations.drop_table(name)

    def execute(self, statement: str, **values: Any) -> None:
        """Change rows by a statement that may be run twice."""
        self._check()
        self._connection.execute(text(statement), values)

    def quoted(self, name: str) -> str:
        """A name as this engine wants it written where it is a word of SQL."""
        return self._connection.dialect.identifier_preparer.quote(name)

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Read rows as they are now."""
        return [dict(row) for row in self._connection.execute(text(query), values).mappings()]

    def _look(self) -> Inspector:
        return inspect(self._connection)  # a new one each time: it remembers what it saw

    def _columns(self, table: str) -> dict[str, bool]:
        """Column -> whether it may be NULL."""
        return {column["name"]: column["nullable"] for column in self._look().get_columns(table)}

    def _indexes(self, table: str) -> set[str | None]:
        return {index["name"] for index in self._look().get_indexes(table)}

    def _frozen(self, name: str, items: tuple[SchemaItem, ...]) -> Table:
        metadata = MetaData(naming_convention=_NAMING)
        table = Table(name, metadata, *items, **_OPTIONS)
        for key in [key for column in table.columns for key in column.foreign_keys]:
            # To speak of a column of a table, SQLAlchemy wants to have heard of it.
            target, _dot, column = key.target_fullname.partition(".")
            Table(target, metadata, Column(column, key.parent.type), extend_existing=True)
        return table

    def _make_indexes(self, table: Table) -> None:
        there = self._indexes(table.name)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in there:
                index.create(self._connection)

    def _hold(self, wanted: Table) -> None:
        """NOT NULL, UNIQUE and foreign keys of columns that were added bare."""
        there, look = self._columns(wanted.name), self._look()
        named = {key["name"] for key in look.get_foreign_keys(wanted.name)}
        named |= {unique["name"] for unique in look.get_unique_constraints(wanted.name)}
        bare = [column for column in wanted.columns if not column.nullable and there[column.name]]
        missing = [
            constraint
            for constraint in wanted.constraints
            if isinstance(constraint, (UniqueConstraint, ForeignKeyConstraint)) and constraint.name not in named
        ]
        if not bare and not missing:
            return
        with self._batch(wanted.name) as batch:
            for column in bare:
                batch.alter_column(column.name, existing_type=column.type, nullable=False)
            for constraint in sorted(missing, key=lambda constraint: str(constraint.name)):
                name, own = str(constraint.name), [column.name for column in constraint.columns]
                if isinstance(constraint, UniqueConstraint):
                    batch.create_unique_constraint(name, own)
                else:
                    target = [element.column for element in constraint.elements]
                    batch.create_foreign_key(
                        name, target[0].table.name, own, [c.name for c in target], ondelete=constraint.ondelete
                    )

    @contextmanager
    def _batch(self, table: str) -> Iterator[BatchOperations]:
        """Change a table by ALTER TABLE, or on SQLite by making it anew."""
        if not self._is_sqlite:
            with self._operations.batch_alter_table(table) as batch:
                yield batch
            return
        # What is read back of an index lacks the order of its columns: its own SQL does not.
        indexes = self.rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :name AND sql IS NOT NULL",
            name=table,
        )
        for index in indexes:
            self._operations.drop_index(index["name"], table)
        with self._operations.batch_alter_table(table, recreate="always") as batch:
            yield batch
        for index in indexes:
            self._connection.exec_driver_sql(index["sql"])


def sql(expression: str) -> ColumnElement[Any] | TextClause:
    """An SQL expression for ``fill``."""
    return text(expression)


__all__ = ["BIG", "LONG_TEXT", "NAME", "TIME", "UUID", "Changes", "Index", "sql"]
