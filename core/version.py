"""The version of DOSVM that is installed."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path


@cache
def version() -> str:
    """The version, from the name of the directory that an installation leaves (PyPA: ``NAME-VERSION.dist-info``).

    ``importlib.metadata`` reads the same, and brings the packages for e-mail, ZIP and CSV with it. Empty when DOSVM is
    not installed.
    """
    for place in sys.path:
        for found in Path(place or ".").glob("dosvm-*.dist-info"):
            return found.name.removesuffix(".dist-info").removeprefix("dosvm-")
    return ""
