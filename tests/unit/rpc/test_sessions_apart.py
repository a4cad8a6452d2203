"""A session that ends late ends itself, not that of who logged in at the same console meanwhile."""

from __future__ import annotations

from typing import Any

from core.rpc.backend import HostdBackend
from core.rpc.calls import LOGIN, LOGOUT, Call


class Wire:
    """Keeps what was sent; each login gets a token of its own."""

    where = "here"

    def __init__(self) -> None:
        self.sent: list[tuple[Call, dict[str, Any]]] = []

    def request(self, call: Call, body: dict[str, Any], *, patience: float = 0.0, timeout: float | None = None) -> Any:
        self.sent.append((call, body))
        return {"token": f"of {body['account']}", "user": {}} if call is LOGIN else {}


def test_logging_out_late_does_not_end_the_session_of_who_came_next() -> None:
    wire = Wire()
    backend = HostdBackend(wire)
    backend.login("zhao", "x")
    before = backend.same_session()
    backend.login("sysadm", "y")
    before.call("profile.set-preferences", preferences="{}")
    before.logout()
    assert [body["token"] for _call, body in wire.sent[2:]] == ["of zhao", "of zhao"]
    backend.call("user.list")
    assert wire.sent[-1][1]["token"] == "of sysadm"
    assert [call for call, _body in wire.sent].count(LOGOUT) == 1
