"""Waits for a task to end, and shows how far it is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import DosvmError, HostdUnavailable, from_wire
from core.i18n import N_, _
from core.rpc.backend import HostdBackend
from core.rules.pace import Pace
from core.rules.sizes import format_size
from dosvm_tui.commands.output import printable
from dosvm_tui.wiring import await_answer
from screens.spec import STATE_WORDS

#: Cells of a bar, and seconds between two of its states.
_BAR, _BETWEEN = 20, 0.2
_ENDS = frozenset({"done", "failed", "cancelled"})


def wait_for(backend: HostdBackend, task: str, label: str) -> dict[str, Any]:
    """Wait until a task has ended and return its row.

    hostd may be restarted meanwhile: the task goes on, so waiting does too.

    Args:
        backend: logged in.
        task: the task's UUID.
        label: what is shown beside the progress, in the language now set.

    Raises:
        DosvmError: it failed; in the words of the host that tried it.
        HostdUnavailable: hostd went away and did not come back.
    """
    since = -1
    progress = Progress(label)
    try:
        while True:
            try:
                # Whoever watches is told at once how it stands; otherwise one question waits for the end.
                look = progress.wanted and since < 0
                answer = backend.wait(since=since, tasks=(task,), **({"seconds": 0.0} if look else {}))
            except HostdUnavailable:
                await_answer()
                since = -1
                continue
            since = answer.get("revision", -1) if progress.wanted else -1
            rows = answer.get("tasks", [])
            if not rows:
                raise DosvmError(N_("The task {task} is gone."), task=task)
            row: dict[str, Any] = rows[0]
            if row["state"] in _ENDS:
                break
            progress.show(row)
    finally:
        progress.clear()
    if row["state"] != "done":
        raise _failure(row)
    return row


def tell_open(tasks: Sequence[str]) -> None:
    """Say of tasks that nobody waits for any longer that they go on, and how to see or cancel them."""
    print(file=sys.stderr)  # behind what the terminal makes of Ctrl+C
    for task in tasks:
        text = _("It goes on: task {task}. `dosvm task show {task}` shows it, `dosvm task cancel {task}` may end it.")
        print(f"dosvm: {text.format(task=task)}", file=sys.stderr)


def _failure(row: Mapping[str, Any]) -> DosvmError:
    error = row.get("error")
    if isinstance(error, Mapping):
        return from_wire(dict(error))
    if error:
        return DosvmError("{text}", text=str(error))
    return DosvmError(N_("The task was cancelled.") if row["state"] == "cancelled" else N_("The task failed."))


class Progress:
    """One line on standard error, rewritten in place, and only where somebody sees it."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = False
        self._pace: Pace | None = None
        self._told = 0.0
        self.wanted = sys.stderr.isatty()

    def show(self, row: Mapping[str, Any]) -> None:
        """So far is a task."""
        if self.wanted:
            state = _(STATE_WORDS.get(str(row["state"]), str(row["state"])))
            percent = f" {row['progress']}%" if row.get("progress") else ""
            print(f"\r\x1b[K{printable(self._label)}: {state}{percent}", end="", file=sys.stderr, flush=True)
            self._shown = True

    def sent(self, done: int, size: int, checked: int = 0) -> None:
        """So many bytes of a file are there: a bar, how fast it goes, and how long it will take; see :class:`Pace`."""
        now = time.monotonic()
        if self._pace is None:
            self._pace = Pace(size)
        self._pace.tell(now, done, checked)
        if not self.wanted or (now - self._told < _BETWEEN and done < size):
            return
        self._told = now
        full = done * _BAR // max(1, size)
        bar = f"{'#' * full}{'.' * (_BAR - full)}"
        text = f"{printable(self._label)}: [{bar}] {self._pace.percent:.0f}% {format_size(done)} {self._pace.words()}"
        try:
            room = os.get_terminal_size(sys.stderr.fileno()).columns - 1
        except (OSError, ValueError):
            room = 79
        print(f"\r\x1b[K{text.rstrip()[:room]}", end="", file=sys.stderr, flush=True)
        self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
