"""The tasks that were started at this console: how far they are and how they ended. Pure data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import DosvmError, from_wire
from core.i18n import _
from core.rules.pace import Pace

#: States after which nothing happens to a task any more.
ENDED = frozenset({"done", "failed", "cancelled"})
#: Ended tasks that are kept to be looked at.
_KEPT = 200


@dataclass
class Followed:
    """A task: ``action`` (msgid) is done to ``name``; ``row`` as the task operations give it, empty at first.

    ``again`` opens the form it came from with what was typed, told what went wrong; or goes on with what is missing.
    """

    uuid: str
    action: str
    name: str
    row: Mapping[str, Any] = field(default_factory=dict)
    again: Callable[[DosvmError | None], None] | None = None

    @property
    def what(self) -> str:
        """What is done, in the reader's language."""
        return _(self.action)

    @property
    def can_again(self) -> bool:
        """Whether there is a way back to what was asked for: once it did not come to be."""
        return self.again is not None and self.state in ("failed", "cancelled")

    def try_again(self) -> None:
        """Go that way."""
        if self.again is not None:
            error = self.row.get("error")
            self.again(from_wire(dict(error)) if isinstance(error, Mapping) else None)

    @property
    def state(self) -> str:
        """Its state word."""
        return str(self.row.get("state", "queued"))

    @property
    def progress(self) -> float:
        """How much is done, in percent."""
        return float(self.row.get("progress") or 0.0)

    @property
    def detail(self) -> str:
        """What else is said of it while it runs."""
        return ""

    @property
    def error(self) -> str:
        """Why it failed, in the reader's language; empty when it did not."""
        return error_text(self.row.get("error"))

    @property
    def outcome(self) -> str:
        """What it found, in the reader's language; empty when it had nothing to find."""
        return error_text(self.row.get("outcome"))


class Sent(Followed):
    """A file that this console sends; it ends with the console, and can be gone on with."""

    def __init__(self, key: str, action: str, name: str, size: int, again: Callable[[], None]) -> None:
        """Begin.

        Args:
            key: tells it from all others.
            action: msgid of what is done.
            name: to what.
            size: bytes of the file.
            again: sends what is missing, after it was broken off.
        """
        super().__init__(key, action, name, {"state": "running"})
        self.again = lambda _error: again()
        #: Set when no more is to be sent.
        self.stop = threading.Event()
        self._pace = Pace(size)

    def tell(self, now: float, done: int, checked: int = 0) -> None:
        """At ``now`` (seconds of a steady clock) so many bytes are there; see :class:`Pace`; from any thread."""
        self._pace.tell(now, done, checked)
        self.row = {"state": "running", "progress": self._pace.percent}

    @property
    def detail(self) -> str:
        """How fast it goes, and how long it will take."""
        return self._pace.words() if self.state not in ENDED else ""

    def end(self, error: DosvmError) -> None:
        """It ended before all was there."""
        state = "cancelled" if self.stop.is_set() else "failed"
        self.row = {"state": state, "progress": self._pace.percent, "error": error.to_wire()}


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

    def follow(
        self, uuid: str, action: str, name: str, again: Callable[[DosvmError | None], None] | None = None
    ) -> None:
        """Enter a task."""
        self._held.setdefault(uuid, Followed(uuid, action, name, again=again))
        ended = [task.uuid for task in self._held.values() if task.state in ENDED]
        for old in ended[: max(0, len(self._held) - _KEPT)]:
            del self._held[old]

    def send(self, sent: Sent) -> None:
        """Enter a file that is sent from here, in place of an earlier try, which ends."""
        before = self._held.pop(sent.uuid, None)
        if isinstance(before, Sent):
            before.stop.set()
        self._held[sent.uuid] = sent

    def forget(self, sent: Sent) -> None:
        """Take one out, unless a later try has its place."""
        if self._held.get(sent.uuid) is sent:
            del self._held[sent.uuid]

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
        """The identities of the cloud's tasks that have not ended."""
        return tuple(
            task.uuid for task in list(self._held.values()) if task.state not in ENDED and not isinstance(task, Sent)
        )

    @property
    def sending(self) -> list[Sent]:
        """The files that are being sent."""
        return [task for task in self._held.values() if isinstance(task, Sent) and task.state not in ENDED]

    @property
    def all(self) -> list[Followed]:
        """All of them, the youngest first."""
        return list(reversed(self._held.values()))
