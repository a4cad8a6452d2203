"""The table of calls a hostd answers; server and client are made from it.

All are ``POST /v1/<name>`` with a JSON object, signed as in :mod:`core.rpc.signature` (a console elsewhere,
which has no cluster key, shows a certificate instead: :mod:`core.rpc.tls`), answered with ``{"ok": ...}`` or
``{"error": ...}`` (the wire form of :class:`core.errors.DosvmError`).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Timeout(Enum):
    """How long the caller waits, in seconds, before it takes the call for lost."""

    FAST = 5.0
    NORMAL = 30.0
    LONG = 60.0


class Call(NamedTuple):
    """One call: what it is for, what goes in and comes out, and how long it may take."""

    name: str
    timeout: Timeout
    personal: bool
    """A person asks, by password or session token: over the Unix socket of the same machine, or over TLS with a
    client certificate; never over the network in plain text. The others are for hosts among themselves, which sign
    with the cluster key, with TLS or without."""
    doc: str

    payload: int = 0
    """Most bytes that may follow the JSON object and a line feed; the signature is over all of it."""

    @property
    def path(self) -> str:
        """Where it is posted."""
        return f"/v1/{self.name}"


HELLO = Call(
    "hello", Timeout.FAST, True, "{} -> {host, uuid, version}; whether the way is open, before anybody logs in"
)
LOGIN = Call(
    "login",
    Timeout.NORMAL,
    True,
    "{account, password, client} -> {token, user: {...}}; client is the address the person comes from",
)
LOGOUT = Call("logout", Timeout.FAST, True, "{token} -> {}")
CALL = Call(
    "call",
    Timeout.LONG,
    True,
    "{operation, arguments, request, client, token | account+password} -> the operation's result",
)
WAIT = Call(
    "wait",
    Timeout.LONG,
    True,
    "{token | account+password, client, since, tasks: [uuid], seconds} -> {revision, tasks: [row]}; returns"
    " when something changed after revision `since`, when all the tasks have ended, or after `seconds`",
)
DOORBELL = Call(
    "doorbell", Timeout.FAST, False, "{topics: [str]} -> {}; there is work for this host, or news for its watchers"
)
HOST_SAMPLES = Call(
    "host-samples", Timeout.FAST, False, "{since} -> {samples: [...]}; recent load of this host, see hostd.metrics"
)
MACHINE_SAMPLES = Call(
    "machine-samples",
    Timeout.FAST,
    False,
    "{machines: [uuid], since} -> {samples: {uuid: [...]}}; recent load of VMs that run on this host",
)

#: A part of a file: what one signed message carries, and what both sides hold in memory.
PART = 4 * 1024 * 1024
#: What one message carries over TLS, where it is sent and worked on piece by piece; afterwards its sender is looked at
#: again.
STREAM = 256 * 1024 * 1024
#: In place of a SHA-256: its sender handed over the file, or sent all of it over TLS to a hostd that has known since
#: the first byte; what hostd sums by itself is of just that.
AS_IT_CAME = "as-it-came"
UPLOAD = Call(
    "upload",
    Timeout.LONG,
    True,
    "{image, sender, offset, token | account+password, client} and bytes of the file -> {received, sum}: what is there,"
    " from which it goes on, and whether the sender has to sum what he streams; {image, sender, finish: SHA-256, or as"
    " it came, ...} when all is there -> {task}, which looks at it, or {again}: hostd does not know that all of it came"
    " from this sender (any more)",
    PART,
)

CALLS = {
    call.name: call for call in (HELLO, LOGIN, LOGOUT, CALL, WAIT, DOORBELL, HOST_SAMPLES, MACHINE_SAMPLES, UPLOAD)
}
