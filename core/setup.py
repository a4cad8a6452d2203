"""Makes a new cloud, and opens the database of one that is there.

Whatever goes wrong while a cloud is made, nothing of it stays: files are written beside their place and
renamed at the end, the settings last; tables made in a database server are dropped again.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session

from core.clock import Clock, SystemClock
from core.database import Database, parse_url, reason_of
from core.errors import DosvmError, InvalidInput, Refused
from core.i18n import N_
from core.migrations import SCHEMA, SCHEMA_KEY
from core.migrations.state import check_schema
from core.model import SYSADM, Base, Role, Setting, User
from core.rpc.signature import create_key
from core.rules import names
from core.security.passwords import Passwords
from core.services.fields import ruled

SETTINGS = "dosvm.toml"
KEY = "cluster.key"
#: The columns of the first account.
Admin = dict[str, Any]
Undo = Callable[[Callable[[], object]], None]

#: Letters and digits that nobody takes for one another.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"

_TEMPLATE = """\
# Settings of this host. What is left out has the value shown in the comment.

[network]
# The IP address under which other hosts reach this one; empty: hostd does not listen on the network.
localhost = ""
# port = 5555
# min_tcp_port = 49152
# max_tcp_port = 49215

[database]
url = {url}
# max_connections = 4

[threads]
# count = 10

[config]
# host_uuid is made at the first start and stays.
# libvirt_url = "qemu:///system"
# How others bring VMs that run to this host's libvirtd, and MiB per second that one may send (0: no limit).
# migration_url = "qemu+tls://{{address}}/system"
# migration_speed = 0

[log]
# path = "hostd.log"

[ssl]
# Mutual TLS with other hosts and with consoles elsewhere; on all hosts, or on none. See `dosvm cert`.
# use_ssl = false
# ssl_ca = "pki/cacert.pem"
# ssl_cert = "pki/cert.pem"
# ssl_key = "pki/key.pem"
# ssl_password = ""
"""


class DatabaseSettings(Protocol):
    """What is needed to open a database."""

    @property
    def database_url(self) -> str:
        """``sqlite:///FILE`` or ``mysql://USER:PASSWORD@HOST/NAME``."""

    @property
    def max_connections(self) -> int:
        """How many connections are kept at most."""


def initialise(
    database_url: str,
    home: Path,
    sysadm_password: str | None = None,
    *,
    passwords: Passwords | None = None,
    clock: Clock | None = None,
) -> str | None:
    """Make a new cloud: tables, system administrator, cluster key, settings.

    Args:
        database_url: where its database shall be; must not be there yet, or be empty.
        home: the directory for settings and key; made when missing.
        sysadm_password: the first password of ``sysadm``; one is made up when None, which must then be
            changed at the first login.
        passwords: how to hash it.
        clock: the time.

    Returns:
        The password that was made up, or None when one was given.

    Raises:
        InvalidInput: the URL or the password breaks a rule.
        Refused: there is something already, or it cannot be written; nothing was changed.
    """
    url = _absolute(parse_url(database_url))
    if sysadm_password is not None:
        ruled("sysadm_password", names.password, sysadm_password)
    password = sysadm_password or _made_up()
    admin = {
        "account": SYSADM,
        "role": Role.SYSADM.value,
        "password_hash": (passwords or Passwords()).hash(password),
        "must_change_password": sysadm_password is None,
        "created": (clock or SystemClock()).now(),
    }
    with _undone_on_failure() as undo:
        _refuse_cloud(home)
        _make_home(home, undo)
        make = _make_sqlite if url.get_backend_name() == "sqlite" else _make_server_tables
        finish = make(url, admin, undo)
        create_key(home / KEY)
        undo(lambda: (home / KEY).unlink(missing_ok=True))
        finish()
        _write_settings(home / SETTINGS, url)
    return None if sysadm_password is not None else password


def open_database(settings: DatabaseSettings, *, clock: Clock | None = None) -> Database:
    """Open the database of a cloud.

    Raises:
        DatabaseUnavailable: it does not answer; trying again later makes sense.
        Refused: it is not of a cloud, or of another version of DOSVM; says what to do.
    """
    database = Database(settings.database_url, max_connections=settings.max_connections, clock=clock)
    try:
        check_schema(database)
    except BaseException:
        database.close()
        raise
    return database


def _made_up() -> str:
    """A first password: 16 characters (80 bits) in four groups."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def _absolute(url: URL) -> URL:
    if url.get_backend_name() == "sqlite" and url.database:
        return url.set(database=os.path.abspath(url.database))
    return url


@contextmanager
def _undone_on_failure() -> Iterator[Undo]:
    """Run what was left to be undone, last first, when the block does not end well."""
    stack: list[Callable[[], object]] = []
    try:
        yield stack.append
    except BaseException as error:
        for step in reversed(stack):
            try:
                step()
            except (OSError, DBAPIError):
                continue  # the first error is the one to tell
        if isinstance(error, OSError):
            raise Refused(
                N_("{file} cannot be written: {reason}."),
                file=str(error.filename or ""),
                reason=error.strerror or str(error),
            ) from error
        raise


def _refuse_cloud(home: Path) -> None:
    """Refuse a directory that has a cloud; who may not look into it gets the system's own error."""
    for file in (home / SETTINGS, home / KEY):
        if file.exists():
            raise Refused(
                N_("{file} exists already; init overwrites nothing."),
                remedy=N_("Choose another directory by DOSVM_HOME, or delete the old cloud yourself."),
                file=str(file),
            )


def _make_home(home: Path, undo: Undo) -> None:
    missing = [path for path in (home, *home.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o750)
        undo(path.rmdir)


def _fill(database: Database, admin: Admin) -> None:
    Base.metadata.create_all(database.engine)

    def rows(session: Session) -> None:
        session.add(User(**admin))
        session.add(Setting(key=SCHEMA_KEY, value=json.dumps(SCHEMA)))

    database.write(rows)


def _make_sqlite(url: URL, admin: Admin, undo: Undo) -> Callable[[], None]:
    file = Path(str(url.database))
    if file.exists():
        raise Refused(
            N_("The database {file} exists already; init overwrites nothing."),
            remedy=N_("Name another file, or delete the old one yourself."),
            field="database",
            file=str(file),
        )
    if not file.parent.is_dir():
        raise InvalidInput(
            N_("The directory {directory} does not exist."),
            remedy=N_("Make it first."),
            field="database",
            directory=str(file.parent),
        )
    draft = file.with_name(f"{file.name}.new")
    undo(lambda: _remove_sqlite(draft))
    _remove_sqlite(draft)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    database = Database(url.set(database=str(draft)).render_as_string(hide_password=False))
    try:
        _fill(database, admin)
    finally:
        database.close()

    def finish() -> None:
        os.link(draft, file)  # unlike rename, it never overwrites
        undo(lambda: _remove_sqlite(file))
        _remove_sqlite(draft)

    return finish


def _remove_sqlite(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-lock", "-lock-queue"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _make_server_tables(url: URL, admin: Admin, undo: Undo) -> Callable[[], None]:
    if not url.database:
        raise InvalidInput(
            N_("The database URL names no database."),
            remedy=N_("Write mysql://USER:PASSWORD@HOST/NAME."),
            field="database",
        )
    try:
        _make_schema(url, undo)
        database = Database(url.render_as_string(hide_password=False))
        try:
            tables = inspect(database.engine).get_table_names()
            if tables:
                raise _refuse_tables(database, url, tables)
            undo(lambda: _drop_tables(url))
            _fill(database, admin)
        finally:
            database.close()
    except DBAPIError as error:
        raise Refused(
            N_("The database server refuses: {reason}."),
            remedy=N_(
                "It must answer, and the user must have all rights on the database: "
                "CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin; GRANT ALL ON {name}.* TO ..."
            ),
            field="database",
            reason=reason_of(error),
            name=url.database,
        ) from error
    return lambda: None


def _make_schema(url: URL, undo: Undo) -> None:
    name = str(url.database)
    quoted = "`" + name.replace("`", "``") + "`"
    engine = create_engine(url.set(database=""), isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            there = connection.scalar(
                text("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = :name").bindparams(name=name)
            )
            if not there:
                connection.execute(text(f"CREATE DATABASE {quoted} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
                undo(lambda: _execute(url, f"DROP DATABASE {quoted}"))
    finally:
        engine.dispose()


def _execute(url: URL, statement: str) -> None:
    engine = create_engine(url.set(database=""), isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def _drop_tables(url: URL) -> None:
    database = Database(url.render_as_string(hide_password=False))
    try:
        Base.metadata.drop_all(database.engine)
    finally:
        database.close()


def _refuse_tables(database: Database, url: URL, tables: list[str]) -> DosvmError:
    try:
        check_schema(database)
    except (Refused, ProgrammingError):
        return Refused(
            N_("The database {name} has tables already ({table} ...)."),
            remedy=N_("Name an empty one; if an init was interrupted, drop the database first."),
            field="database",
            name=url.database,
            table=tables[0],
        )
    return Refused(
        N_("The database {name} holds a cloud already; init overwrites nothing."),
        remedy=N_("To add a host to it, copy dosvm.toml and cluster.key from a host that it has."),
        field="database",
        name=url.database,
    )


def _write_settings(path: Path, url: URL) -> None:
    content = _TEMPLATE.format(url=json.dumps(url.render_as_string(hide_password=False), ensure_ascii=False))
    draft = path.with_name(f"{path.name}.new")
    try:
        with open(draft, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
