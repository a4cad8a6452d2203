"""The terminal is closed, or the machine goes down: the session ends with the console, and does not stay for hours.

A thread waits for the signals, and not a handler: with the terminal gone whoever writes to it may hang, the thread in
which handlers run among them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

#: Seconds in which the terminal is put back as it was, where there is one still.
RESTORE = 1.0


class Hangup:
    """Ends the console when it is told to by SIGHUP or SIGTERM; :attr:`code` is its exit code then, else 0."""

    def __init__(self, last_words: Callable[[], None], leave: Callable[[], None]) -> None:
        """Prepare.

        Args:
            last_words: what is said before the end; it takes a limited time.
            leave: has the console end as by its key, and returns at once; may be called from any thread.
        """
        self._last_words = last_words
        self._leave = leave
        self.code = 0

    def watch(self) -> None:
        """Begin to wait; to be called before other threads are started, which are to leave the signals alone."""
        # nohup ignores a hangup, and means it.
        signals = {one for one in (signal.SIGHUP, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        threading.Thread(target=self._wait, args=(signals,), name="hangup", daemon=True).start()

    def _wait(self, signals: set[signal.Signals]) -> None:
        number = signal.sigwait(signals)
        self.code = 128 + number  # as a shell reports it
        self._last_words()
        if number == signal.SIGTERM:
            self._leave()
            time.sleep(RESTORE)
        os._exit(self.code)
