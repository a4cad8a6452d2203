"""Fixtures of the lab: hosts that all its tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab


@pytest.fixture(scope="session")
def one_host() -> Iterator[Lab]:
    """One host on SQLite, without a cloud at first."""
    lab = Lab(hosts=1)
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def two_hosts() -> Iterator[Lab]:
    """Two hosts on one MariaDB, without a cloud at first."""
    lab = Lab(hosts=2)
    yield lab
    lab.close()
