"""Passwords: argon2id for the database, and a short memory for scripts.

An argon2id check is meant to cost a tenth of a second and 64 MiB. A script of a hundred commands proves
its identity a hundred times, so a password that was right is remembered for five minutes, in memory only,
as a digest under a key that dies with the process. The digest covers the stored hash as well: a changed
password ends it at once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from core.clock import Clock, SystemClock

#: Seconds a right password is remembered.
MEMORY_SECONDS = 300.0
#: How many are remembered at most.
MEMORY_ENTRIES = 1000
#: Checks computed at the same time; each takes the memory below.
CONCURRENT = 2


class Passwords:
    """Makes and checks password hashes."""

    def __init__(self, clock: Clock | None = None, *, memory_kib: int = 65536, passes: int = 3, lanes: int = 4) -> None:
        """Set the cost of a hash; lower ones are for tests only."""
        self._clock = clock or SystemClock()
        self._hasher = PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes, hash_len=32, salt_len=16, type=Type.ID
        )
        self._running = threading.BoundedSemaphore(CONCURRENT)
        self._key = secrets.token_bytes(32)
        self._guard = threading.Lock()
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._nobody: str | None = None
        #: Held around each attempt that is not proved yet: a burst of guesses is judged one after the other,
        #: each with those before it on record, and takes no more than one hash's memory.
        self.attempts = threading.Lock()

    def hash(self, password: str) -> str:
        """The hash to store, with its salt and costs in it."""
        with self._running:
            return self._hasher.hash(_bytes(password))

    def verify(self, password: str, stored: str | None) -> bool:
        """Whether a password is the stored one.

        ``None`` stands for an account that does not exist: it costs the same time and is never right.
        """
        if stored is None:
            self._compute(password, self._nobodys_hash())
            return False
        if self.remembers(password, stored):
            return True
        right = self._compute(password, stored)
        if right:
            self._remember(password, stored)
        return right

    def remembers(self, password: str, stored: str) -> bool:
        """Whether this password was found right for this stored hash within the last five minutes."""
        digest = self._digest(password, stored)
        with self._guard:
            until = self._remembered.get(digest)
            if until is not None and until <= self._clock.monotonic():
                del self._remembered[digest]
                until = None
            return until is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether a hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _compute(self, password: str, stored: str) -> bool:
        with self._running:
            try:
                return self._hasher.verify(stored, _bytes(password))
            except (VerificationError, InvalidHashError):
                return False

    def _nobodys_hash(self) -> str:
        if self._nobody is None:
            self._nobody = self.hash(secrets.token_hex(16))
        return self._nobody

    def _digest(self, password: str, stored: str) -> bytes:
        return hmac.new(self._key, stored.encode() + b"\0" + _bytes(password), hashlib.sha256).digest()

    def _remember(self, password: str, stored: str) -> None:
        digest = self._digest(password, stored)
        with self._guard:
            self._remembered[digest] = self._clock.monotonic() + MEMORY_SECONDS
            self._remembered.move_to_end(digest)
            while len(self._remembered) > MEMORY_ENTRIES:
                self._remembered.popitem(last=False)


def _bytes(password: str) -> bytes:
    """A password as it is hashed; whatever somebody sent, if it is text at all, has a form."""
    return password.encode("utf-8", "surrogatepass")
