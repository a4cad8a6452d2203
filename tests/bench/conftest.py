"""Fixtures of the measurements."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench.figures import Figures


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """Where a measurement puts its figures; printed and kept at the end."""
    collected = Figures()
    yield collected
    file = collected.keep()
    if file is not None:
        print(f"\n\n{collected.table()}\n\nAll measurements: {file}")
