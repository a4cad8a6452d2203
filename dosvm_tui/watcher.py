"""Listens for news of the cloud in a thread of its own, one for the whole console."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump

from core.errors import AuthenticationFailed, DosvmError, PasswordChangeRequired
from core.rpc.backend import WAIT_SECONDS, Backend

#: Seconds between looks at tasks that are under way: their progress rings no bell.
PROGRESS_SECONDS = 1.0
#: Seconds before listening again after the cloud could not be reached; doubled each time up to the last.
FIRST_PAUSE, LAST_PAUSE = 1.0, 10.0


class News(Message, bubble=False):
    """Something changed, or tasks got on. ``changed`` is False when only tasks were looked at."""

    def __init__(self, changed: bool, tasks: list[Mapping[str, Any]]) -> None:
        """Make it."""
        super().__init__()
        self.changed = changed
        self.tasks = tasks


class Deaf(Message, bubble=False):
    """Listening failed; ``error`` says why."""

    def __init__(self, error: DosvmError) -> None:
        """Make it."""
        super().__init__()
        self.error = error


class Watcher:
    """The thread. It listens while it is told to, and tells ``to`` by message."""

    def __init__(self, backend: Backend, to: MessagePump, tasks: Callable[[], tuple[str, ...]]) -> None:
        """Make it.

        Args:
            backend: what is listened to.
            to: who is told.
            tasks: gives the tasks that are followed; only read, from the thread.
        """
        self._backend = backend
        self._to = to
        self._tasks = tasks
        self._listen = threading.Event()
        self._closed = threading.Event()
        self._started = False

    def start(self) -> None:
        """Begin to listen, or go on."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="watcher", daemon=True).start()
        self._listen.set()

    def pause(self) -> None:
        """Stop listening: nobody is logged in."""
        self._listen.clear()

    def close(self) -> None:
        """Stop for good; a call under way is not waited for."""
        self._closed.set()
        self._listen.set()

    def _run(self) -> None:
        revision = -1
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            self._listen.wait()
            if self._closed.is_set():
                return
            tasks = self._tasks()
            try:
                answer = self._backend.wait(
                    since=revision, tasks=tasks, seconds=PROGRESS_SECONDS if tasks else WAIT_SECONDS
                )
            except DosvmError as error:
                if not self._listen.is_set() or self._closed.is_set():
                    continue
                if isinstance(error, AuthenticationFailed | PasswordChangeRequired):
                    self._listen.clear()
                self._to.post_message(Deaf(error))
                self._closed.wait(pause)
                pause = min(LAST_PAUSE, pause * 2)
                revision = -1
                continue
            pause = FIRST_PAUSE
            changed = answer.get("revision", revision) != revision
            revision = answer.get("revision", revision)
            if changed or answer.get("tasks"):
                self._to.post_message(News(changed, list(answer.get("tasks") or ())))
            if not changed and tasks:
                # The answer comes at once when all of them have ended; without news of that, do not spin.
                self._closed.wait(0.05)
