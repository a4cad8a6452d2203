"""The SHA-256 of a file whose pieces are in use elsewhere meanwhile, taken in a thread of its own; or none."""

from __future__ import annotations

import hashlib
import queue
import threading

#: Pieces that may wait for the sum.
_WAITING = 6


class Summing:
    """Takes pieces, in their order, and uses their room again when they are in the sum."""

    def __init__(self, size: int) -> None:
        """``size``: most bytes of a piece."""
        #: Up to where pieces were taken, in bytes.
        self.taken = 0
        self.digest = hashlib.sha256()
        self._full: queue.Queue[memoryview | None] = queue.Queue(_WAITING)
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._size = size
        self._thread = threading.Thread(target=self._run, name="sum", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (piece := self._full.get()) is not None:
            self.digest.update(piece)
            room = piece.obj
            piece.release()
            assert isinstance(room, bytearray)
            self._free.put(room)

    def room(self) -> bytearray:
        """Room for a piece; what is not given to :meth:`take` afterwards is forgotten."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return bytearray(self._size)

    def take(self, at: int, piece: memoryview) -> None:
        """A piece (of a room) is what the file has at a place; waits while many are not in the sum yet.

        What was taken before is not taken again.
        """
        if at == self.taken:
            self.taken += len(piece)
            self._full.put(piece)

    def end(self) -> str:
        """Wait until all is in the sum; that in hexadecimal digits. Nothing can be taken afterwards."""
        self._full.put(None)
        self._thread.join()
        return self.digest.hexdigest()


class Unsummed:
    """In place of :class:`Summing` where nobody wants the sum."""

    def __init__(self, size: int) -> None:
        """``size``: most bytes of a piece."""
        self.taken = 0
        self._room = bytearray(size)

    def room(self) -> bytearray:
        """Room for a piece, until the next one."""
        return self._room

    def take(self, at: int, piece: memoryview) -> None:
        """A piece is what the file has at a place."""
        self.taken = max(self.taken, at + len(piece))

    def end(self) -> str:
        """No sum."""
        return ""
