"""What was sent again because no answer came is the same wish, where only one of two could be granted."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import HostdUnavailable
from core.rpc.backend import HostdBackend
from core.rpc.calls import LOGIN, Call


class Wire:
    """Loses as many answers as it is told to, and keeps the keys of what was asked."""

    where = "here"

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.lost = 0

    def request(self, call: Call, body: dict[str, Any], *, patience: float = 0.0, timeout: float | None = None) -> Any:
        if call is LOGIN:
            return {"token": "t", "user": {}}
        self.keys.append(body["request"])
        if self.lost:
            self.lost -= 1
            raise HostdUnavailable(self.where)
        return {}


def asked(backend: HostdBackend, wire: Wire, lost: int, operation: str, **arguments: Any) -> set[str]:
    """Ask once, with so many answers lost; the keys by which it was asked."""
    wire.keys, wire.lost = [], lost
    try:
        backend.call(operation, **arguments)
    except HostdUnavailable:
        assert lost > 1
    return set(wire.keys)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def backend(wire: Wire) -> HostdBackend:
    made = HostdBackend(wire)
    made.login("zhao", "x")
    return made


def test_a_form_that_is_sent_again_adds_once(wire: Wire, backend: HostdBackend) -> None:
    first = asked(backend, wire, 2, "vm.add", name="web", instance="tiny")
    assert len(first) == 1
    assert asked(backend, wire, 2, "vm.add", instance="tiny", name="web") == first
    assert asked(backend, wire, 0, "vm.add", name="web", instance="tiny") == first
    assert asked(backend, wire, 0, "vm.add", name="web", instance="tiny") != first, (
        "it was answered: the next is another"
    )


def test_another_form_is_another_wish(wire: Wire, backend: HostdBackend) -> None:
    first = asked(backend, wire, 2, "vm.add", name="web", instance="tiny")
    assert asked(backend, wire, 0, "vm.add", name="web", instance="large") != first


def test_who_starts_stops_and_starts_wishes_three_times(wire: Wire, backend: HostdBackend) -> None:
    first = asked(backend, wire, 2, "vm.start", vm="web")
    assert asked(backend, wire, 0, "vm.start", vm="web") != first


def test_who_logs_in_next_wishes_for_himself(wire: Wire, backend: HostdBackend) -> None:
    first = asked(backend, wire, 2, "vm.add", name="web")
    backend.login("qian", "y")
    assert asked(backend, wire, 0, "vm.add", name="web") != first
