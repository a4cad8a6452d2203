"""The parameters that all hosts of a cloud share (manual 13.2.1): their ranges, first values and dependences.

Where the manual gives a range it is exactly the manual's. The first values make a small cloud quick to look at
within these ranges; a large one saves statements by longer intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.errors import InvalidInput
from core.i18n import N_


class Range(NamedTuple):
    """What a parameter may be, both ends included, and what it is until somebody sets it."""

    low: int
    high: int
    first: int


#: Intervals are seconds, retentions days.
RANGES: Mapping[str, Range] = {
    "vm_sample_interval": Range(2, 1800, 5),
    "vm_flush_interval": Range(4, 1800, 60),
    "host_sample_interval": Range(5, 1800, 5),
    "host_history_interval": Range(10, 3600, 60),
    "heartbeat_interval": Range(2, 300, 2),
    "scheduling_interval": Range(5, 300, 5),
    "missed_heartbeats": Range(1, 10, 3),
    "port": Range(1, 65535, 5555),
    "host_history_days": Range(1, 3650, 30),
    "task_days": Range(1, 3650, 30),
    "trash_days": Range(0, 3650, 30),
}

#: The second must be greater than the first.
_GREATER = {
    "vm_flush_interval": ("vm_sample_interval", N_("It must be greater than the interval of VM samples, {limit} s.")),
    "host_history_interval": (
        "host_sample_interval",
        N_("It must be greater than the interval of host samples, {limit} s."),
    ),
}


class Parameters(NamedTuple):
    """The parameters at one moment. ``version`` grows with every change; 0 while nobody changed any.

    ``port`` is None, and ``temporary_directory`` empty, while nobody set them: each host then lives by its
    ``dosvm.toml``.
    """

    version: int = 0
    vm_sample_interval: int = RANGES["vm_sample_interval"].first
    vm_flush_interval: int = RANGES["vm_flush_interval"].first
    host_sample_interval: int = RANGES["host_sample_interval"].first
    host_history_interval: int = RANGES["host_history_interval"].first
    heartbeat_interval: int = RANGES["heartbeat_interval"].first
    scheduling_interval: int = RANGES["scheduling_interval"].first
    missed_heartbeats: int = RANGES["missed_heartbeats"].first
    port: int | None = None
    temporary_directory: str = ""
    host_history_days: int = RANGES["host_history_days"].first
    task_days: int = RANGES["task_days"].first
    trash_days: int = RANGES["trash_days"].first

    def as_dict(self) -> dict[str, Any]:
        """Each by its name."""
        return self._asdict()

    @property
    def down_after(self) -> float:
        """Seconds of silence, on the watcher's own clock, after which a host counts as down."""
        return down_after(self.heartbeat_interval, self.missed_heartbeats)


def down_after(interval: float, missed: int) -> float:
    """How long a counter may stand still before its host counts as down, in seconds.

    The missed beats, and one more for the time a beat takes to be written and read.
    """
    return interval * (missed + 1)


def problems(values: Mapping[str, Any]) -> dict[str, InvalidInput]:
    """What is wrong with parameters: key -> why. Keys that are missing or None are not looked at."""
    found: dict[str, InvalidInput] = {}
    for key, known in RANGES.items():
        value = values.get(key)
        if isinstance(value, int) and not known.low <= value <= known.high:
            found[key] = InvalidInput(
                N_("A whole number from {low} to {high} is needed."), field=key, low=known.low, high=known.high
            )
    for key, (less, words) in _GREATER.items():
        value, limit = values.get(key), values.get(less)
        if isinstance(value, int) and isinstance(limit, int) and value <= limit and key not in found:
            found[key] = InvalidInput(words, field=key, limit=limit)
    return found


def check_parameters(values: Mapping[str, Any]) -> None:
    """Whether parameters hold together.

    Raises:
        InvalidInput: one does not; names the field.
    """
    for error in problems(values).values():
        raise error
