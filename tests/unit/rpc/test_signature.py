"""Signatures: what is not truly signed, fresh and new is refused, in words, whatever its bytes are."""

from __future__ import annotations

import time

import pytest

from core.errors import PermissionDenied
from core.rpc.signature import SKEW, Signer

KEY = b"k" * 32


def test_a_request_counts_once() -> None:
    signer = Signer(KEY)
    header, nonce = signer.sign("POST", "/v1/call", b"{}")
    assert signer.check(header, "POST", "/v1/call", b"{}") == nonce
    with pytest.raises(PermissionDenied, match="twice"):
        signer.check(header, "POST", "/v1/call", b"{}")


@pytest.mark.parametrize("header", ["", "v1", "v1 1 n é", "v1 ² n s", "v1 99999999999999999999 n ÿ", "v2 1 n s"])
def test_nonsense_is_refused_in_words(header: str) -> None:
    with pytest.raises(PermissionDenied):
        Signer(KEY).check(header, "POST", "/v1/call", b"{}")


def test_an_answer_that_is_no_signature_is_none() -> None:
    assert not Signer(KEY).check_answer("é", "n", b"{}")


def test_a_request_is_remembered_for_as_long_as_it_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent when the sender's clock is ahead, it counts as fresh for twice the skew."""
    signer, now, ticks = Signer(KEY), time.time(), time.monotonic()
    monkeypatch.setattr("time.time", lambda: now + SKEW - 1)
    header, _nonce = signer.sign("POST", "/v1/doorbell", b"{}")
    monkeypatch.setattr("time.time", lambda: now)
    signer.check(header, "POST", "/v1/doorbell", b"{}")
    for later in (1, SKEW, 2 * SKEW - 2):
        monkeypatch.setattr("time.time", lambda later=later: now + later)
        monkeypatch.setattr("time.monotonic", lambda later=later: ticks + later)
        signer.check(signer.sign("POST", "/", b"")[0], "POST", "/", b"")
        with pytest.raises(PermissionDenied, match="twice"):
            signer.check(header, "POST", "/v1/doorbell", b"{}")


def test_remembering_costs_the_same_however_many_requests_there_were() -> None:
    signer = Signer(KEY)

    def take(count: int) -> float:
        headers = [signer.sign("POST", "/", b"")[0] for _ in range(count)]
        begin = time.thread_time()
        for header in headers:
            signer.check(header, "POST", "/", b"")
        return (time.thread_time() - begin) / count

    few = min(take(200) for _ in range(3))
    take(20_000)
    assert min(take(200) for _ in range(3)) < few * 10


def test_what_was_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    signer, ticks = Signer(KEY), time.monotonic()
    for later in (0, 3 * SKEW, 6 * SKEW):
        monkeypatch.setattr("time.monotonic", lambda later=later: ticks + later)
        for _ in range(10):
            signer.check(signer.sign("POST", "/", b"")[0], "POST", "/", b"")
    assert len(signer._seen) + len(signer._before) == 20
