"""Secrets at rest: AES-256-GCM under a key derived from the cluster key (NIST SP 800-38D).

A sealed secret is a text that says what it belongs to: sealed for one purpose it does not open for another,
so that nobody who can write rows can move a secret to where it would be shown.
"""

from __future__ import annotations

import base64
import os
from functools import cached_property
from typing import TYPE_CHECKING

from core.errors import Refused
from core.i18n import N_
from core.rpc.signature import derive

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "sealed:1:"
_NONCE = 12


def is_sealed(text: str) -> bool:
    """Whether a stored text is a sealed secret."""
    return text.startswith(PREFIX)


class Vault:
    """Seals and opens secrets with the cluster's key."""

    def __init__(self, cluster_key: bytes) -> None:
        self._key = derive(cluster_key, "vault")

    @cached_property
    def _cipher(self) -> AESGCM:
        """Loaded with the first secret: it takes 8 MiB of a hostd, and many clouds seal none."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    def seal(self, secret: str, purpose: str) -> str:
        """The secret as it may be stored; ``purpose`` names what it belongs to and is bound to it."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, secret.encode(), purpose.encode())
        return PREFIX + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, purpose: str) -> str:
        """The secret again.

        Raises:
            Refused: it was sealed with another key or for another purpose, or is damaged.
        """
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(sealed.removeprefix(PREFIX), validate=True)
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], purpose.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise Refused(
                N_("A stored secret cannot be opened with this cluster key."), remedy=N_("Set the secret again.")
            ) from error
