"""Carries questions to the cloud in threads and brings the answers back as messages.

Threads never touch widgets: an answer is a message to the screen that asked, looked at when the screen gets to it.
The threads are daemons of our own: those of the standard pools are waited for at the end of the program, and
a call that hangs would keep the terminal.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump

from core.errors import DosvmError
from core.i18n import N_

#: Threads, and with them connections to hostd: a list, a chart, an action and one to spare.
THREADS = 4


class Answered(Message, bubble=False):
    """An answer came. Its receiver calls :meth:`give`."""

    def __init__(self, give: Callable[[], None]) -> None:
        """Wrap what the receiver is to do."""
        super().__init__()
        self.give = give


class Courier:
    """A few threads that run calls, in the order they were asked for."""

    def __init__(self, threads: int = THREADS) -> None:
        """Make it; threads start with the first errand."""
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = threads
        self._started = False

    def send(
        self,
        work: Callable[[], Any],
        to: MessagePump,
        then: Callable[[Any], None],
        failed: Callable[[DosvmError], None],
    ) -> None:
        """Run ``work`` in a thread; ``then`` or ``failed`` is called later in the receiver's own time.

        Args:
            work: what blocks.
            to: who receives the answer; when it is gone by then, nobody does.
            then: takes the result.
            failed: takes the error.
        """
        if not self._started:
            self._started = True
            for number in range(self._threads):
                threading.Thread(target=self._run, name=f"courier-{number}", daemon=True).start()

        self._errands.put(_errand(work, to, then, failed))

    @staticmethod
    def aside(
        work: Callable[[], Any],
        to: MessagePump,
        then: Callable[[Any], None],
        failed: Callable[[DosvmError], None],
    ) -> None:
        """As :meth:`send`, in a thread of its own: for what takes minutes, and would hold up lists and charts."""
        threading.Thread(target=_errand(work, to, then, failed), name="aside", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._errands.get()()


def _errand(
    work: Callable[[], Any],
    to: MessagePump,
    then: Callable[[Any], None],
    failed: Callable[[DosvmError], None],
) -> Callable[[], None]:
    """What a thread does: the work, and a message with its end."""

    def errand() -> None:
        try:
            result = work()
        except DosvmError as error:
            told = error
            to.post_message(Answered(lambda: failed(told)))
        except Exception as error:  # noqa: BLE001
            # A person at a terminal is told, whatever it was; the rest of the screen goes on.
            wrong = DosvmError(
                N_("An error in the console itself: {kind}: {text}."), kind=type(error).__name__, text=str(error)
            )
            to.post_message(Answered(lambda: failed(wrong)))
        else:
            to.post_message(Answered(lambda: then(result)))

    return errand
