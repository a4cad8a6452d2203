"""What a new instance is when nothing else is said."""

from __future__ import annotations

from typing import Any


def first_screens() -> list[dict[str, Any]]:
    """The screens of a new instance: almost everybody wants to see the guest, and nobody it open to the network.

    Without a password a screen listens on its host's own address only, see :mod:`core.specs.instance`.
    """
    return [{"type": "vnc"}]
