"""A security object as hosts are given it: sealed until the moment it is used."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.security.vault import Vault


def purpose(uuid: str) -> str:
    """What the value of a security object is sealed for: the object itself."""
    return f"secret {uuid}"


@dataclass(frozen=True)
class SealedSecret:
    """A security object; its value, sealed, shows in no representation."""

    uuid: str
    name: str
    kind: str
    value: str = field(repr=False)

    def open(self, vault: Vault) -> str:
        """The value.

        Raises:
            Refused: it was sealed with another cluster key, or for another object.
        """
        return vault.open(self.value, purpose(self.uuid))
