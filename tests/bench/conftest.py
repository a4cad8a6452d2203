"""Fixtures of the measurements."""

from __future__ import annotations

import compileall
from collections.abc import Iterator

import pytest

from tests.bench.figures import Figures
from tests.lab.host import REPOSITORY


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    """As `make setup` leaves it, also where Python may write no bytecode."""
    for part in ("core", "hostd", "dosvm_tui", "screens", "themes", "widgets", "tests/bench"):
        compileall.compile_dir(REPOSITORY / part, quiet=1)


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """Where a measurement puts its figures; printed and kept at the end."""
    collected = Figures()
    yield collected
    file = collected.keep()
    if file is not None:
        print(f"\n\n{collected.table()}\n\nAll measurements: {file}")
