"""Connections to libvirtd: one for each thread that makes calls, and none for those that have nothing to do."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from hostd import intervals
from hostd.hypervisor import connection as module
from hostd.hypervisor.connection import Connection
from tests.waiting import until


class _Fake:
    """What libvirt.open() gives, as far as it is used here."""

    def __init__(self, opened: list[_Fake]) -> None:
        self.closed = False
        opened.append(self)

    def setKeepAlive(self, _interval: int, _count: int) -> None:
        """Taken."""

    def unregisterCloseCallback(self) -> None:
        """Taken."""

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[_Fake]:
    """All connections that were opened, in their order."""
    found: list[_Fake] = []
    monkeypatch.setattr(module, "_translated_open", lambda _url: _Fake(found))
    monkeypatch.setattr(intervals, "CONNECTION_IDLE", 0.2)
    return found


def _connected(size: int) -> Connection:
    made = Connection("test:///default", size=size)
    fake: Any = object()
    made._connection = fake
    return made


def test_a_storm_leaves_no_connections_behind(opened: list[_Fake]) -> None:
    connection = _connected(8)
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=connection.call, args=(lambda _c: barrier.wait(10),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(opened) == 8
    until(lambda: all(each.closed for each in opened))
    assert not connection._own
    assert connection.call(lambda c: c) is opened[8]


def test_one_that_is_needed_now_and_then_stays_open(opened: list[_Fake]) -> None:
    connection = _connected(8)
    for _ in range(8):
        connection.call(lambda _c: None)
        time.sleep(0.05)
    assert len(opened) == 1
    assert not opened[0].closed
