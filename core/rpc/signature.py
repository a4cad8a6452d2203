"""Who may command a hostd: those who hold the cluster key. Every request and every answer is signed.

A signature is HMAC-SHA256 (RFC 2104) under a key derived from the cluster key, over the method, path,
time, nonce and the digest of the body. An answer is signed over the nonce of its request, so that an
old answer cannot be passed off as a new one. Random bytes come from ``os.urandom``, as
those of :mod:`secrets` do, which costs every command more to import.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from pathlib import Path

from core.errors import InvalidInput, PermissionDenied
from core.i18n import N_

HEADER = "X-Dosvm-Signature"
#: How far two hosts' wall clocks may be apart, in seconds. This guards against replay, not liveness.
SKEW = 300
KEY_BYTES = 32


def derive(cluster_key: bytes, purpose: str) -> bytes:
    """A key for one purpose (HKDF's expand step, RFC 5869, with the cluster key as its input)."""
    return hmac.new(cluster_key, b"dosvm " + purpose.encode() + b"\x01", hashlib.sha256).digest()


def load_key(path: Path) -> bytes:
    """Read the cluster key (64 hexadecimal digits).

    Raises:
        InvalidInput: the file is missing, unreadable, too open, or not a key.
    """
    try:
        text = path.read_text().strip()
        mode = path.stat().st_mode
    except OSError as error:
        if isinstance(error, FileNotFoundError) and any(path.with_name(n).exists() for n in ("dosvm.toml", "cloud.db")):
            # A new cloud would not open what the one that is here has sealed.
            raise InvalidInput(
                N_("The cluster key {path} is missing, but there is a cloud here."),
                remedy=N_(
                    "Put it back from a backup, or copy it from another host of this cloud: what it sealed opens"
                    " with no other."
                ),
                path=str(path),
            ) from error
        raise InvalidInput(
            N_("The cluster key {path} cannot be read: {reason}."),
            remedy=N_(
                "If the cloud is elsewhere, name its directory in DOSVM_HOME (`make run` uses /var/lib/dosvm)."
                " If hostd is on another machine, run `dosvm console-settings edit`."
                " Otherwise run `dosvm init`, or copy the key from another host of this cloud."
            ),
            path=str(path),
            reason=error.strerror or str(error),
        ) from error
    if mode & 0o007:
        raise InvalidInput(
            N_("The cluster key {path} is open to everybody."),
            remedy=N_("Run `chmod 640 {path}`."),
            path=str(path),
        )
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(N_("The cluster key {path} is damaged."), path=str(path))
    return key


def create_key(path: Path) -> bytes:
    """Make a new cluster key in a file that only its owner reads; never overwrites one."""
    key = os.urandom(KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
    return key


class Signer:
    """Signs and checks with one derived key; remembers nonces so that a request counts once."""

    def __init__(self, cluster_key: bytes) -> None:
        self._key = derive(cluster_key, "api")
        # Nonces of this term and of the one before; a term is as long as a request may count as fresh.
        self._seen: set[str] = set()
        self._before: set[str] = set()
        self._term_began = time.monotonic()
        self._guard = threading.Lock()

    def _digest(self, *parts: bytes | str) -> str:
        message = b"\n".join(part.encode() if isinstance(part, str) else part for part in parts)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def sign(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        """The header for a request, and its nonce (to check the answer with)."""
        now, nonce = str(int(time.time())), os.urandom(12).hex()
        body_digest = hashlib.sha256(body).hexdigest()
        return f"v1 {now} {nonce} {self._digest(method, path, now, nonce, body_digest)}", nonce

    def check(self, header: str, method: str, path: str, body: bytes | bytearray) -> str:
        """The nonce of a request that is truly signed, fresh and new.

        Raises:
            PermissionDenied: it is not.
        """
        parts = header.split(" ")
        if len(parts) != 4 or parts[0] != "v1" or not parts[1].isdigit():
            raise PermissionDenied(N_("The request is not signed with this cloud's key."))
        _version, sent, nonce, signature = parts
        expected = self._digest(method, path, sent, nonce, hashlib.sha256(body).hexdigest())
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise PermissionDenied(N_("The request is not signed with this cloud's key."))
        now = time.time()
        if abs(now - int(sent)) > SKEW:
            raise PermissionDenied(N_("The request is too old; the hosts' clocks differ by minutes."))
        with self._guard:
            if time.monotonic() - self._term_began > 2 * SKEW:
                self._before, self._seen, self._term_began = self._seen, set(), time.monotonic()
            if nonce in self._seen or nonce in self._before:
                raise PermissionDenied(N_("The request was sent twice."))
            self._seen.add(nonce)
        return nonce

    def sign_answer(self, nonce: str, body: bytes) -> str:
        """The header of the answer to the request with this nonce."""
        return self._digest("answer", nonce, hashlib.sha256(body).hexdigest())

    def check_answer(self, header: str, nonce: str, body: bytes) -> bool:
        """Whether an answer was made by a holder of the key for this very request."""
        return hmac.compare_digest(self.sign_answer(nonce, body).encode(), header.encode())
