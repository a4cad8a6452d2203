"""What is done with a file behind those who write it, each in a thread of its own: it is summed, and written out.

hashlib and the kernel let Python go on meanwhile, and what was just written is read from the page cache: who copies
waits for neither.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from hostd.flushing import begin

#: Bytes that are read together: they stay in the processor's cache while they are summed.
_BLOCK = 256 * 1024
#: Bytes of which the writing out is begun together.
_PIECE = 16 * 1024 * 1024
#: Seconds between two signs of life to who waits for the end.
_BETWEEN = 0.2
#: How much more willingly a processor is given to others: the copy itself, and VMs.
_NICE = 5


class Trailing(ABC):
    """Goes through a file as far as it is there."""

    def __init__(self, descriptor: int) -> None:
        """Begin; nothing of the file is said to be there yet.

        Args:
            descriptor: the open file; it may be closed meanwhile.

        Raises:
            OSError: too many files are open.
        """
        self._descriptor = os.dup(descriptor)
        #: Bytes that it has gone through.
        self.at = 0
        self._there = 0
        self._ended = False
        self._left = threading.Event()
        self._news = threading.Condition()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="behind", daemon=True)
        self._thread.start()

    @abstractmethod
    def _step(self, there: int) -> int:
        """Do a little of what is between ``at`` and ``there``; how many bytes that was, 0 when more must be there.

        Raises:
            OSError: it cannot be done.
        """

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            self._go()
        except OSError as error:
            self._error = error
        finally:
            try:
                os.close(self._descriptor)
            except OSError as error:
                # A server of files may say only now that it had no room, and says it to no one else any more.
                self._error = self._error or error

    def _go(self) -> None:
        seen = -1
        while True:
            with self._news:
                while self._there <= seen and not self._ended:
                    self._news.wait()
                if self._left.is_set() or self._there <= seen:
                    return
                seen = self._there
            while not self._left.is_set() and (count := self._step(seen)):
                self.at += count

    def there(self, length: int) -> None:
        """So many bytes of the file will not change any more."""
        with self._news:
            self._there = length
            self._news.notify()

    def leave(self) -> None:
        """Nobody wants it any more; it is not waited for."""
        self._left.set()
        self._end()

    def end(self, alive: Callable[[], None] = lambda: None) -> None:
        """Wait until it has gone through all that is there.

        Args:
            alive: called a few times a second; what it raises ends the waiting.

        Raises:
            OSError: the file cannot be read.
        """
        self._end()
        while self._thread.is_alive():
            self._thread.join(_BETWEEN)
            alive()
        if self._error is not None:
            raise self._error

    def _end(self) -> None:
        with self._news:
            self._ended = True
            self._news.notify()


class Sum(Trailing):
    """The SHA-256 of a file."""

    def __init__(self, descriptor: int) -> None:
        """See :class:`Trailing`."""
        self._digest = hashlib.sha256()
        self._block = memoryview(bytearray(_BLOCK))
        super().__init__(descriptor)

    def _step(self, there: int) -> int:
        if there == self.at:
            return 0
        view = self._block[: there - self.at]
        count = os.preadv(self._descriptor, [view], self.at)
        if not count:
            raise OSError(errno.EIO, "it became shorter")
        self._digest.update(view[:count])
        return count

    def hexdigest(self, alive: Callable[[], None] = lambda: None) -> str:
        """The sum of all that is there, in hexadecimal digits; as :meth:`end`."""
        self.end(alive)
        return self._digest.hexdigest()


class WriteOut(Trailing):
    """Has a file written to the disk as it comes, so that little of it is left to wait for at the end."""

    def _step(self, there: int) -> int:
        if there - self.at < _PIECE:
            return 0
        begin(self._descriptor, self.at, _PIECE)
        return _PIECE
