"""A program in a pseudo terminal: all it writes, with the time at which it came and what the screen then showed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyte

#: What Textual asks a terminal for synchronized output, and our answer: it is known and off.
_ASKED, _ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"


@dataclass(frozen=True)
class Piece:
    """What one read brought. ``at`` is of time.perf_counter()."""

    at: float
    data: bytes


class Recorder:
    """Runs a program in a terminal; its output is kept, and shown on a screen only afterwards.

    Reading does as little as possible, so that what is measured is the program. :meth:`replay` then finds
    out which piece of output brought something onto the screen.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, width: int = 80, height: int = 24
    ) -> None:
        """Start the program."""
        self.width, self.height = width, height
        self.pieces: list[Piece] = []
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._replayed = 0
        self.begin = time.perf_counter()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
                os.execvpe(command[0], list(command), dict(environment))
            finally:
                os._exit(127)
        self._end = threading.Event()
        self._reader = threading.Thread(target=self._read, name="recorder", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._end.is_set():
            ready, _, _ = select.select([self._terminal], [], [], 0.2)
            if not ready:
                continue
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                return
            self.pieces.append(Piece(time.perf_counter(), data))
            if _ASKED in data:
                os.write(self._terminal, _ANSWER)

    def press(self, key: bytes) -> float:
        """Send a key; when."""
        at = time.perf_counter()
        os.write(self._terminal, key)
        return at

    def wait_for(self, text: str, seconds: float = 30.0) -> float:
        """Wait until text has been written (its bytes as they stand); when it came.

        Raises:
            AssertionError: it does not come.
        """
        wanted, give_up, seen = text.encode(), time.perf_counter() + seconds, 0
        before = b""
        while True:
            pieces = self.pieces
            while seen < len(pieces):
                before = before[-4096:] + pieces[seen].data
                if wanted in before:
                    return pieces[seen].at
                seen += 1
            assert time.perf_counter() < give_up, f"{text!r} does not come: {before[-2000:]!r}"
            time.sleep(0.002)

    def quiet(self, seconds: float = 0.3) -> None:
        """Wait until nothing has been written for so long."""
        while not self.pieces or time.perf_counter() - self.pieces[-1].at < seconds:
            time.sleep(0.02)

    def replay(self, look: Callable[[pyte.Screen, Piece], None]) -> None:
        """Write what came since the last replay onto a screen, and call ``look(screen, piece)`` after each piece."""
        for piece in self.pieces[self._replayed :]:
            self._stream.feed(piece.data)
            self._replayed += 1
            look(self._screen, piece)

    def pause(self) -> None:
        """Stop the program for a while, so that it does not disturb another one that is measured."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def resident_mib(self) -> float:
        """The program's memory now."""
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    def close(self) -> None:
        """End the program."""
        self._end.set()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._reader.join(5)
        os.close(self._terminal)
