"""Figures: collected, kept as JSON, printed as one table."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.lab.host import REPOSITORY

#: Ignored by git; one file per run.
KEPT = REPOSITORY / ".cache/bench"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that ``percent`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * percent // 100) - 1))]


@dataclass(frozen=True)
class Figure:
    """One line of the table. Values carry their unit: ``"41 ms"``."""

    goal: str
    what: str
    ours: str
    peer: str
    ratio: str
    wanted: str


class Figures:
    """The figures of a run."""

    def __init__(self) -> None:
        self._figures: list[Figure] = []
        self._raw: dict[str, Any] = {}

    def add(
        self, goal: str, what: str, ours: float, unit: str, *, peer: float | None = None, peer_is: str = "",
        wanted: str = "", raw: object = None,
    ) -> None:  # fmt: skip
        """Add a line.

        Args:
            goal: the anchor's name, such as ``B2``.
            what: what was measured.
            ours: the figure, in ``unit``.
            unit: of both figures.
            peer: the same measured at the peer, in the same run.
            peer_is: what the peer is.
            wanted: the goal in words.
            raw: every single measurement, kept in the file.
        """
        beside = "" if peer is None else f"{_short(peer)} {unit} ({peer_is})"
        ratio = "" if not peer else f"{ours / peer:.2f}"
        figure = Figure(goal, what, f"{_short(ours)} {unit}", beside, ratio, wanted)
        self._figures.append(figure)
        self._raw[f"{goal} {what}"] = {"ours": ours, "peer": peer, "unit": unit, "raw": raw}
        print(f"\n{figure}")

    def table(self) -> str:
        """The table."""
        head = Figure("", "measured", "ours", "peer", "ratio", "goal")
        rows = [list(asdict(figure).values()) for figure in (head, *self._figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def keep(self) -> Path | None:
        """Write the measurements to a file of their own; None when there are none."""
        if not self._figures:
            return None
        KEPT.mkdir(parents=True, exist_ok=True)
        file = KEPT / time.strftime("%Y%m%dT%H%M%S.json", time.gmtime())
        run = {"kernel": platform.release(), "python": platform.python_version(), "figures": self._raw}
        file.write_text(json.dumps(run, indent=1))
        return file


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
