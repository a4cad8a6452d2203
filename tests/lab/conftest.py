"""Fixtures of the lab: hosts that all its tests share, and a cloud on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.cloud import Cloud
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


@pytest.fixture(scope="module")
def small_cloud(one_host: Lab) -> Cloud:
    """A fresh cloud on one host and SQLite."""
    return Cloud(one_host)


@pytest.fixture(scope="module")
def wide_cloud(two_hosts: Lab) -> Cloud:
    """A fresh cloud on two hosts and MariaDB."""
    return Cloud(two_hosts)
