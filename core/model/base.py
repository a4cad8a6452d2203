"""What every table shares: column types, identity, and the naming of constraints."""

from __future__ import annotations

import uuid as uuid_module
from datetime import UTC, datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, Integer, MetaData, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, mapped_column

#: Longest name or title a person may type, in characters.
NAME_LENGTH = 64
#: What stands in an address between the one that a console names and the one that it has.
VIA = " via "

_BIG = BigInteger().with_variant(Integer(), "sqlite")
_TIME = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_LONG_TEXT = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def new_uuid() -> str:
    """A fresh identity: 36 characters, lower case."""
    return str(uuid_module.uuid4())


def utc_now() -> datetime:
    """The wall clock in UTC without zone, as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


Id = Annotated[int, mapped_column(_BIG, primary_key=True, autoincrement=True)]
Uuid = Annotated[str, mapped_column(String(36), unique=True, default=new_uuid)]
Name = Annotated[str, mapped_column(String(NAME_LENGTH))]
Title = Annotated[str, mapped_column(String(NAME_LENGTH), default="")]
Word = Annotated[str, mapped_column(String(32), default="")]
Line = Annotated[str, mapped_column(String(255), default="")]
Path = Annotated[str, mapped_column(String(1024), default="")]
Prose = Annotated[str, mapped_column(_LONG_TEXT, default="")]
Bytes = Annotated[int, mapped_column(BigInteger, default=0)]
Count = Annotated[int, mapped_column(Integer, default=0)]
Time = Annotated[datetime, mapped_column(_TIME)]
Created = Annotated[datetime, mapped_column(_TIME, default=utc_now)]


class Base(DeclarativeBase):
    """Root of all tables; binary collation, so that names differ when their characters do."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table_args__: Any = {
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
        "mariadb_engine": "InnoDB",
        "mariadb_charset": "utf8mb4",
        "mariadb_collate": "utf8mb4_bin",
    }


def table_arguments(*constraints: object) -> Any:
    """Constraints of one table followed by the options all tables share."""
    return (*constraints, Base.__table_args__)
