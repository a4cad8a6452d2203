"""What a database says of its own tables, in a form that two of them can be compared in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, MetaData

from core.database import Database

Catalogue = dict[str, list[Any]]
Rows = dict[str, list[dict[str, Any]]]

_SERVER = {
    "options": "SELECT engine, table_collation FROM tables WHERE table_schema = DATABASE() AND table_name = %s",
    "column": "SELECT column_name, column_type, is_nullable, column_default, column_key, extra, collation_name"
    " FROM columns WHERE table_schema = DATABASE() AND table_name = %s",
    "index": "SELECT index_name, non_unique, seq_in_index, column_name, collation, sub_part"
    " FROM statistics WHERE table_schema = DATABASE() AND table_name = %s",
    "key": "SELECT constraint_name, column_name, ordinal_position, referenced_table_name, referenced_column_name"
    " FROM key_column_usage WHERE table_schema = DATABASE() AND table_name = %s",
    "rule": "SELECT constraint_name, delete_rule, update_rule"
    " FROM referential_constraints WHERE constraint_schema = DATABASE() AND table_name = %s",
}


def catalogue(database: Database) -> Catalogue:
    """Table -> its columns, indexes and constraints; the order of columns does not count."""
    read = _of_file if database.is_sqlite else _of_server
    with database.engine.connect() as connection:
        return {name: sorted(read(connection, name), key=repr) for name in _names(connection)}


def rows(database: Database) -> Rows:
    """Table -> its rows."""
    with database.engine.connect() as connection:
        metadata = MetaData()
        metadata.reflect(connection)
        return {
            name: sorted((dict(row) for row in connection.execute(table.select()).mappings()), key=repr)
            for name, table in metadata.tables.items()
        }


def _names(connection: Connection) -> list[str]:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    else:
        found = connection.exec_driver_sql("SHOW TABLES")
    return sorted(found.scalars())


def _of_server(connection: Connection, table: str) -> Iterator[Any]:
    for what, query in _SERVER.items():
        words = query.replace(" FROM ", " FROM information_schema.")
        for row in connection.exec_driver_sql(words, (table,)):
            yield what, *row


def _of_file(connection: Connection, table: str) -> Iterator[Any]:
    def pragma(name: str, of: str) -> list[Any]:
        return list(connection.exec_driver_sql(f"PRAGMA {name}('{of}')"))

    for _number, name, kind, not_null, default, key, hidden in pragma("table_xinfo", table):
        yield "column", name, kind, not_null, default, key, hidden
    for _number, name, unique, origin, partial in pragma("index_list", table):
        columns = [(row[2], row[3], row[4]) for row in pragma("index_xinfo", name) if row[5]]
        yield "index", name if origin == "c" else "", unique, origin, partial, columns
    for row in pragma("foreign_key_list", table):
        yield "key", *row[2:]
