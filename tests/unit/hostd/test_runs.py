"""What hostd keeps of runs until the database has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from core.coordination import runs as stored
from core.coordination.runs import Run
from core.database import Database
from core.errors import DatabaseUnavailable
from core.planning.run_time import RunTime
from hostd.runs import Runs

STARTED = datetime(2026, 11, 25, 12)  # noqa: DTZ001  (naive UTC, as the database keeps it)


class Quiet:
    """Events of a libvirtd that has none."""

    def listen(self, _listener: Callable[..., None]) -> None:
        """Nothing is ever told."""


class Ledger:
    """Stands for the database's: what came, and what becomes of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[str] = []
        self.broken: set[str] = set()
        self.away: set[str] = set()
        monkeypatch.setattr(stored, "save", self.save)

    def save(self, _session: Any, _host: str, found: list[Run]) -> None:
        """Take all of them or none."""
        names = [run.machine for run in found]
        if self.broken & set(names):
            raise ValueError("a row that cannot be")
        if self.away & set(names):
            raise DatabaseUnavailable("gone")
        self.written += names


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    return Ledger(monkeypatch)


@pytest.fixture
def keeper(sqlite: Database) -> Runs:
    """Three runs have ended, and the database does not know."""
    keeper = Runs(sqlite, "h" * 36, Quiet())  # type: ignore[arg-type]
    keeper._ended = [Run(name, "boot", 7, STARTED, RunTime(1000)) for name in ("one", "two", "three")]
    return keeper


def test_one_that_cannot_be_written_does_not_keep_the_others_from_it(keeper: Runs, ledger: Ledger) -> None:
    ledger.broken = {"two"}
    assert keeper._flush()
    assert ledger.written == ["one", "three"]
    assert keeper._ended == []


def test_none_is_passed_over_because_the_database_went_away_meanwhile(keeper: Runs, ledger: Ledger) -> None:
    ledger.broken, ledger.away = {"two"}, {"three"}
    assert not keeper._flush()
    assert [run.machine for run in keeper._ended] == ["one", "two", "three"], "all are tried again; twice does no harm"
    ledger.broken, ledger.away = set(), set()
    assert keeper._flush()
    assert ledger.written[-3:] == ["one", "two", "three"]
    assert keeper._ended == []
