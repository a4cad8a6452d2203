"""Making a new cloud: whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from core import setup
from core.database import Database
from core.errors import DatabaseUnavailable, DosvmError, InvalidInput, Refused
from core.model import Setting, User
from core.rpc.signature import load_key
from core.security.passwords import Passwords
from core.services.sessions import Sessions
from core.setup import initialise, open_database
from tests.fakes.clock import StillClock
from tests.fakes.mariadb import MariaDB

GIVEN = "Adm1n-secret-9"


@dataclass
class Settings:
    database_url: str
    max_connections: int = 4


def written(home: Path) -> Settings:
    return Settings(tomllib.loads((home / "dosvm.toml").read_text())["database"]["url"])


def everything_under(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/cloud.db"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "new" / "home"


def admin(settings: Settings, passwords: Passwords, password: str) -> dict[str, object]:
    database = open_database(settings)
    try:
        return Sessions(database, StillClock(), passwords).login("sysadm", password, "local")[1]
    finally:
        database.close()


def test_a_new_cloud_can_be_logged_in_to(url: str, home: Path, passwords: Passwords) -> None:
    assert initialise(url, home, GIVEN, passwords=passwords) is None
    user = admin(written(home), passwords, GIVEN)
    assert (user["account"], user["role"], user["must_change_password"]) == ("sysadm", "sysadm", False)
    assert len(load_key(home / "cluster.key")) == 32
    assert everything_under(home) == ["cluster.key", "dosvm.toml"]


def test_a_key_that_is_missing_beside_a_cloud_is_to_be_restored(url: str, home: Path, passwords: Passwords) -> None:
    initialise(url, home, GIVEN, passwords=passwords)
    (home / "cluster.key").unlink()
    with pytest.raises(InvalidInput) as missing:
        load_key(home / "cluster.key")
    assert "Put it back from a backup" in missing.value.text()
    assert "dosvm init" not in missing.value.text()


def test_a_made_up_password_works_once_and_must_be_changed(url: str, home: Path, passwords: Passwords) -> None:
    password = initialise(url, home, None, passwords=passwords)
    assert password is not None
    assert len(password) >= 16
    assert admin(written(home), passwords, password)["must_change_password"]


def test_only_the_owner_reads_what_is_secret(url: str, home: Path, tmp_path: Path, passwords: Passwords) -> None:
    initialise(url, home, GIVEN, passwords=passwords)
    for file in (home / "cluster.key", home / "dosvm.toml", tmp_path / "cloud.db"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_the_given_password_is_nowhere(url: str, home: Path, tmp_path: Path, passwords: Passwords) -> None:
    initialise(url, home, GIVEN, passwords=passwords)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or GIVEN.encode() not in path.read_bytes()


def test_a_relative_file_is_where_init_was_called(
    home: Path, tmp_path: Path, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    initialise("sqlite:///cloud.db", home, GIVEN, passwords=passwords)
    assert written(home).database_url == f"sqlite:///{tmp_path}/cloud.db"


def test_a_second_init_changes_nothing(url: str, home: Path, tmp_path: Path, passwords: Passwords) -> None:
    initialise(url, home, GIVEN, passwords=passwords)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for other in (url, f"sqlite:///{tmp_path}/other.db"):
        with pytest.raises(Refused, match="exists already"):
            initialise(other, home, GIVEN, passwords=passwords)
    with pytest.raises(Refused, match=r"cloud\.db exists already"):
        initialise(url, tmp_path / "elsewhere", GIVEN, passwords=passwords)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("password", ["short-1", "x" * 129])
def test_a_password_that_breaks_the_rule_stops_it(url: str, home: Path, tmp_path: Path, password: str) -> None:
    with pytest.raises(InvalidInput) as error:
        initialise(url, home, password)
    assert error.value.field == "sysadm_password"
    assert everything_under(tmp_path) == []


@pytest.mark.parametrize("broken", ["nonsense", "sqlite:///nowhere/at/all/cloud.db", "sqlite:////dev/null/cloud.db"])
def test_a_database_that_cannot_be_leaves_nothing(
    broken: str, home: Path, tmp_path: Path, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DosvmError):
        initialise(broken, home, GIVEN, passwords=passwords)
    assert everything_under(tmp_path) == []


@pytest.mark.parametrize("step", ["_fill", "create_key", "_write_settings"])
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_init_that_fails_halfway_leaves_nothing(
    url: str,
    home: Path,
    tmp_path: Path,
    passwords: Passwords,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    fault: BaseException,
) -> None:
    def fail(*_arguments: object) -> None:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(setup, step, fail)
        with pytest.raises((Refused, KeyboardInterrupt)):
            initialise(url, home, GIVEN, passwords=passwords)
    assert everything_under(tmp_path) == []
    initialise(url, home, GIVEN, passwords=passwords)


def test_files_that_are_in_the_home_stay(url: str, tmp_path: Path, passwords: Passwords) -> None:
    (tmp_path / "adm.pw").write_text("x")
    initialise(url, tmp_path, GIVEN, passwords=passwords)
    assert everything_under(tmp_path) == ["adm.pw", "cloud.db", "cluster.key", "dosvm.toml"]


def test_settings_are_what_hostd_reads(home: Path, passwords: Passwords, tmp_path: Path) -> None:
    from hostd.settings import load

    odd = tmp_path / 'odd "name" \\ 字.db'
    initialise(f"sqlite:///{odd}", home, GIVEN, passwords=passwords)
    settings = load(home)
    assert Database(settings.database_url).file == odd


def test_a_database_without_a_cloud_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="No such file"):
        open_database(Settings(f"sqlite:///{tmp_path}/cloud.db"))
    (tmp_path / "cloud.db").touch()
    with pytest.raises(Refused, match="dosvm init"):
        open_database(Settings(f"sqlite:///{tmp_path}/cloud.db"))


@pytest.mark.parametrize(("version", "advice"), [(99, "Install the DOSVM"), (0, "dosvm upgrade")])
def test_a_database_of_another_version_is_left_alone(
    url: str, home: Path, passwords: Passwords, version: int, advice: str
) -> None:
    initialise(url, home, GIVEN, passwords=passwords)
    database = Database(url)
    database.write(lambda s: s.execute(update(Setting).values(value=json.dumps(version))))
    database.close()
    with pytest.raises(Refused, match=advice):
        open_database(written(home))


# MariaDB


@pytest.fixture
def server(mariadb: MariaDB) -> Iterator[MariaDB]:
    names = ("fresh", "old", "mine")
    yield mariadb
    mariadb.run(*(f"DROP DATABASE IF EXISTS {name}" for name in names), "DROP USER IF EXISTS zhao@localhost")


def databases(server: MariaDB) -> list[str]:
    database = Database(server.url("mysql"))
    try:
        return database.read(lambda s: list(s.connection().exec_driver_sql("SHOW DATABASES").scalars()))
    finally:
        database.close()


@pytest.mark.engine
def test_a_database_is_made_on_a_server(server: MariaDB, home: Path, passwords: Passwords) -> None:
    initialise(server.url("fresh"), home, GIVEN, passwords=passwords)
    assert admin(written(home), passwords, GIVEN)["account"] == "sysadm"


@pytest.mark.engine
def test_an_empty_database_on_a_server_is_filled(server: MariaDB, home: Path, passwords: Passwords) -> None:
    server.run(
        "CREATE DATABASE mine CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "CREATE OR REPLACE USER zhao@localhost IDENTIFIED BY 'p@ss/word'",
        "GRANT ALL ON mine.* TO zhao@localhost",
    )
    url = server.url("mine").replace("root@", "zhao:p%40ss%2Fword@")
    initialise(url, home, GIVEN, passwords=passwords)
    assert admin(written(home), passwords, GIVEN)["account"] == "sysadm"


@pytest.mark.engine
def test_a_server_database_with_tables_is_left_alone(
    server: MariaDB, home: Path, tmp_path: Path, passwords: Passwords
) -> None:
    server.run("CREATE DATABASE old", "CREATE TABLE old.precious (a INT)")
    with pytest.raises(Refused, match="precious"):
        initialise(server.url("old"), home, GIVEN, passwords=passwords)
    initialise(server.url("fresh"), home, GIVEN, passwords=passwords)
    with pytest.raises(Refused, match=r"holds a cloud already.*copy"):
        initialise(server.url("fresh"), tmp_path / "second", GIVEN, passwords=passwords)
    assert not (tmp_path / "second").exists()
    assert admin(written(home), passwords, GIVEN)["account"] == "sysadm"


@pytest.mark.engine
@pytest.mark.parametrize("there", [False, True])
def test_an_init_that_fails_halfway_leaves_the_server_as_it_was(
    server: MariaDB,
    home: Path,
    tmp_path: Path,
    passwords: Passwords,
    monkeypatch: pytest.MonkeyPatch,
    there: bool,
) -> None:
    if there:
        server.run("CREATE DATABASE fresh")

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(setup, "_write_settings", fail)
        with pytest.raises(Refused, match="No space"):
            initialise(server.url("fresh"), home, GIVEN, passwords=passwords)
    assert ("fresh" in databases(server)) == there
    assert everything_under(tmp_path) == []
    initialise(server.url("fresh"), home, GIVEN, passwords=passwords)


@pytest.mark.engine
@pytest.mark.parametrize("url", ["mysql://zhao:Secret-9@127.0.0.1:1/x", "denied", "mysql://root@localhost"])
def test_a_server_that_refuses_is_told_without_the_password(
    server: MariaDB, url: str, home: Path, tmp_path: Path, passwords: Passwords
) -> None:
    server.run("CREATE OR REPLACE USER zhao@localhost IDENTIFIED BY 'Secret-9'")
    if url == "denied":
        url = server.url("fresh").replace("root@", "zhao:Secret-9@")
    with pytest.raises(DosvmError) as error:
        initialise(url, home, GIVEN, passwords=passwords)
    assert error.value.field == "database"
    assert "Secret-9" not in error.value.text()
    assert everything_under(tmp_path) == []


@pytest.mark.engine
def test_the_first_administrator_is_the_only_one(server: MariaDB, home: Path, passwords: Passwords) -> None:
    initialise(server.url("fresh"), home, GIVEN, passwords=passwords)
    database = open_database(written(home))
    assert database.read(lambda s: list(s.scalars(select(User.account)))) == ["sysadm"]
    database.close()


def test_a_directory_that_one_may_not_look_into_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests run as root, whom nothing is closed to: the kernel's answer is given in its place."""
    closed = tmp_path / "closed"
    closed.mkdir()
    real = os.stat

    def looked(path: Any, **how: Any) -> os.stat_result:
        if str(path).startswith(f"{closed}/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **how)

    monkeypatch.setattr(os, "stat", looked)
    with pytest.raises(Refused, match=r"dosvm\.toml cannot be written: Permission denied"):
        initialise(f"sqlite:///{tmp_path}/cloud.db", closed, "Adm1n-secret-9")
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["closed"]
