"""The steps themselves, found by their names."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from core.migrations.changes import Changes


class Piece(Protocol):
    """One subject's part of a step."""

    def upgrade(self, change: Changes) -> None:
        """Change the tables; may be run again after it was interrupted anywhere."""


def pieces(version: int) -> Iterator[tuple[str, Piece]]:
    """What leads from ``version`` - 1 to ``version``: names and modules, in the order to run them."""
    package = import_module(f"{__package__}.to_{version}")
    for name in sorted(module.name for module in iter_modules(package.__path__)):
        yield name, import_module(f"{package.__name__}.{name}")
