"""The tasks that were started at this console: how far they are and how they ended. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import from_wire

#: States after which nothing happens to a task any more.
ENDED = frozenset({"done", "failed", "cancelled"})
#: Ended tasks that are kept to be looked at.
_KEPT = 200


@dataclass
class Followed:
    """A task: ``what`` is done to ``name``; ``row`` as the task operations give it, empty at first."""

    uuid: str
    what: str
    name: str
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Its state word."""
        return str(self.row.get("state", "queued"))

    @property
    def progress(self) -> float:
        """How much is done, in percent."""
        return float(self.row.get("progress") or 0.0)

    @property
    def error(self) -> str:
        """Why it failed, in the reader's language; empty when it did not."""
        return error_text(self.row.get("error"))


def error_text(error: Any) -> str:
    """An error as rows hold it, in the reader's language."""
    if isinstance(error, Mapping):
        return from_wire(dict(error)).text()
    return str(error or "")


class TaskBook:
    """Tasks by identity, in the order they were started."""

    def __init__(self) -> None:
        """Make it empty."""
        self._held: dict[str, Followed] = {}

    def follow(self, uuid: str, what: str, name: str) -> None:
        """Enter a task."""
        self._held.setdefault(uuid, Followed(uuid, what, name))
        ended = [task.uuid for task in self._held.values() if task.state in ENDED]
        for old in ended[: max(0, len(self._held) - _KEPT)]:
            del self._held[old]

    def get(self, uuid: str) -> Followed | None:
        """A task that is followed."""
        return self._held.get(uuid)

    def hear(self, rows: Iterable[Mapping[str, Any]]) -> list[Followed]:
        """Take news of tasks; returns those that ended by them."""
        ended = []
        for row in rows:
            task = self._held.get(str(row.get("uuid", "")))
            if task is None or task.state in ENDED:
                continue
            task.row = row
            if task.state in ENDED:
                ended.append(task)
        return ended

    @property
    def running(self) -> tuple[str, ...]:
        """The identities of those that have not ended."""
        return tuple(task.uuid for task in self._held.values() if task.state not in ENDED)

    @property
    def all(self) -> list[Followed]:
        """All of them, the youngest first."""
        return list(reversed(self._held.values()))
