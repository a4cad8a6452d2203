"""Waiting for what another thread, process or machine does: one looks again and again, and a limit is generous.

How long something takes says how busy the machine is. Where a time is promised, the test measures it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 30.0, what: str | Callable[[], str] = "") -> T:
    """Wait until a condition gives something true, and return it.

    Args:
        condition: looked at 50 times a second.
        seconds: after which it is given up.
        what: said then.

    Raises:
        AssertionError: it does not hold in time.
    """
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > give_up:
            told = what() if callable(what) else what
            raise AssertionError(f"not within {seconds:g} s: {told or condition}")
        time.sleep(0.02)
    return found


def refuses_connections(address: tuple[str, int]) -> bool:
    """Whether nobody listens at an address any more."""
    import socket

    try:
        socket.create_connection(address, 1).close()
    except ConnectionRefusedError:
        return True
    return False
