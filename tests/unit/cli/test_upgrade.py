"""`dosvm upgrade`: from the refusal of an old database to a cloud that opens again."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from core.migrations import SCHEMA
from hostd.state_lock import hold
from tests.unit.cli.conftest import Dosvm

OLD = Path(__file__).parent.parent / "migrations" / "data" / "version-1.sqlite.sql"


@pytest.fixture
def old(dosvm: Dosvm, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DOSVM_HOME of a cloud of version 1."""
    monkeypatch.setattr("hostd.intervals.STOPPED_AFTER", 0.3)
    assert dosvm("init", "--yes", who="").code == 0
    for file in home.glob("cloud.db*"):
        file.unlink()
    connection = sqlite3.connect(home / "cloud.db")
    connection.executescript(OLD.read_text())
    connection.close()
    return home


def test_the_refusal_says_what_to_run_and_that_helps(dosvm: Dosvm, old: Path) -> None:
    refused = dosvm("hostd", "run", who="")
    assert refused.code == 1
    assert "run `dosvm upgrade`" in refused.err
    done = dosvm("upgrade", "--yes", who="")
    assert (done.code, done.err) == (0, "")
    assert f"version {SCHEMA} now" in done.out
    (backup,) = old.glob("cloud.db.version-1.*")
    assert str(backup) in done.out
    again = dosvm("upgrade", "--yes", who="")
    assert (again.code, again.out) == (0, "The database is of this version already; nothing was done.\n")
    assert list(old.glob("cloud.db.version-*")) == [backup]


@pytest.mark.parametrize(
    ("words", "code", "hint"), [(["upgrade"], 2, "--yes"), (["upgrade", "now", "--yes"], 2, "now is one word too many")]
)
def test_wrong_words(dosvm: Dosvm, old: Path, words: list[str], code: int, hint: str) -> None:
    done = dosvm(*words, who="")
    assert (done.code, hint in done.err, len(done.err.splitlines())) == (code, True, 1)
    assert list(old.glob("cloud.db.version-*")) == []


def test_not_while_hostd_runs_here(dosvm: Dosvm, old: Path) -> None:
    lock = hold(old / "state")
    try:
        done = dosvm("upgrade", "--yes", who="")
    finally:
        os.close(lock)
    assert done.code == 1
    assert "Another hostd runs for this host already" in done.err
    assert list(old.glob("cloud.db.version-*")) == []


def test_without_a_cloud(dosvm: Dosvm, home: Path) -> None:
    done = dosvm("upgrade", "--yes", who="")
    assert done.code == 1
    assert "dosvm.toml does not exist" in done.err


def test_tables_of_a_dosvm_between_two_versions_are_told_in_a_sentence(dosvm: Dosvm, home: Path) -> None:
    assert dosvm("init", "--yes", who="").code == 0
    connection = sqlite3.connect(home / "cloud.db")
    connection.execute("ALTER TABLE host DROP COLUMN architecture")
    connection.commit()
    connection.close()
    for words in (("hostd", "run"), ("upgrade", "--yes")):
        done = dosvm(*words, who="")
        assert (done.code, done.out) == (1, ""), words
        assert "lack columns of version 2: host.architecture. A DOSVM between two versions made them" in done.err
        assert len(done.err.splitlines()) == 1
    assert "host.architecture" in dosvm("doctor", who="").out
