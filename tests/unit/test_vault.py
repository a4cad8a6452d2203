"""A stored secret opens with the cluster's key, for the purpose it was sealed for, and with nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.security.vault import PREFIX, Vault, is_sealed

VAULT = Vault(bytes(32))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=100), st.text("abc 1", max_size=20))
def test_what_is_sealed_opens_again(secret: str, purpose: str) -> None:
    sealed = VAULT.seal(secret, purpose)
    assert is_sealed(sealed)
    assert VAULT.open(sealed, purpose) == secret


def test_the_same_secret_never_looks_the_same() -> None:
    first, second = VAULT.seal("geheim", "screen"), VAULT.seal("geheim", "screen")
    assert first != second
    assert "geheim" not in first


@pytest.mark.parametrize(
    ("vault", "purpose"),
    [(VAULT, "instance b vnc"), (VAULT, ""), (Vault(bytes(31) + b"1"), "instance a vnc")],
)
def test_another_purpose_or_another_key_opens_nothing(vault: Vault, purpose: str) -> None:
    sealed = VAULT.seal("geheim", "instance a vnc")
    with pytest.raises(Refused) as refused:
        vault.open(sealed, purpose)
    assert "geheim" not in refused.value.text()


@given(st.integers(min_value=0, max_value=300))
def test_a_changed_bit_opens_nothing(position: int) -> None:
    data = bytearray(base64.b64decode(VAULT.seal("geheim", "x").removeprefix(PREFIX)))
    data[position // 8 % len(data)] ^= 1 << position % 8
    with pytest.raises(Refused):
        VAULT.open(PREFIX + base64.b64encode(data).decode(), "x")


@pytest.mark.parametrize("text", ["", PREFIX, PREFIX + "?", PREFIX + "AAAA", "geheim", PREFIX + "字"])
def test_what_was_never_sealed_opens_nothing(text: str) -> None:
    with pytest.raises(Refused):
        VAULT.open(text, "x")
