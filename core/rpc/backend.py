"""The cloud as the console and the command line see it: operations by name, through a hostd.

There is one way in: ``backend.call("vm.start", vm="web-1")``. Whatever is asked carries an idempotency
key, so a change whose answer was lost is asked again and still happens once.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import DosvmError, HostdUnavailable, from_wire
from core.rpc.calls import CALL, LOGIN, LOGOUT, UPLOAD, WAIT, Call

if TYPE_CHECKING:
    from core.rpc.handover import Told
    from core.rpc.http import Stream

#: Seconds one `wait` may stay open at the other side.
WAIT_SECONDS = 25.0


class Backend(Protocol):
    """What screens are handed. Thread-safe; calls block, so they run in workers."""

    def send(self, payload: bytes | Stream, **about: Any) -> dict[str, Any]:
        """Send a part of a file; see :data:`core.rpc.calls.UPLOAD`."""

    @property
    def streams(self) -> bool:
        """Whether :meth:`send` takes a part of any length, by :class:`core.rpc.http.Stream`."""

    def go_to(self, host: str) -> bool:
        """Ask another host from now on, if it can be; see :meth:`core.rpc.ways.Ways.go_to`."""

    def hand_over(self, descriptor: int, told: Told, **about: Any) -> dict[str, Any] | None:
        """Have an open file of this machine copied; None where that cannot be. See :mod:`core.rpc.handover`."""

    def call(self, operation: str, **arguments: Any) -> Any:
        """Run an operation of the services and return its result (JSON data)."""

    def wait(self, *, since: int = -1, tasks: tuple[str, ...] = (), seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Wait for a change after revision ``since``, or for tasks to end; see :data:`core.rpc.calls.WAIT`."""


def call_each(
    backend: Backend, operation: str, argument: str, references: Sequence[str], arguments: Mapping[str, Any]
) -> list[Any | DosvmError]:
    """Run an operation that takes many objects on some of them by one call.

    Args:
        backend: logged in.
        operation: one whose ``argument`` may be a list.
        argument: the argument that names the objects.
        references: up to :data:`core.rules.many.AT_ONCE` of them.
        arguments: the other arguments, the same for all.

    Returns:
        In their order what each was answered, or why it was refused.

    Raises:
        DosvmError: nothing was done with any.
    """
    if len(references) == 1:
        return [backend.call(operation, **{**arguments, argument: references[0]})]
    answer = backend.call(operation, **{**arguments, argument: list(references)})
    return [from_wire(one["error"]) if one.keys() == {"error"} else one for one in answer["each"]]


def client_address() -> str:
    """The address the person comes from: the SSH client's, or ``local``."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    return connection[0][:64] if connection else "local"


class Way(Protocol):
    """What carries calls to a hostd: :class:`core.rpc.client.Client`, or :class:`core.rpc.ways.Ways` for several."""

    @property
    def where(self) -> str:
        """The hostd that is asked now, as people write it."""

    @property
    def streams(self) -> bool:
        """See :meth:`core.rpc.client.Client.streams`."""

    def go_to(self, host: str) -> bool:
        """See :meth:`core.rpc.ways.Ways.go_to`."""

    def hand_over(self, body: dict[str, Any], descriptor: int, told: Told) -> dict[str, Any] | None:
        """See :meth:`core.rpc.client.Client.hand_over`."""

    def request(
        self,
        call: Call,
        body: dict[str, Any],
        *,
        patience: float = 0.0,
        timeout: float | None = None,
        payload: bytes | Stream | None = None,
    ) -> Any:
        """See :meth:`core.rpc.client.Client.request`."""


def _fingerprint(operation: str, arguments: Mapping[str, Any]) -> str:
    """The same for the same wish; passwords that are in it cannot be read from it."""
    return hashlib.sha256(json.dumps([operation, arguments], sort_keys=True, default=str).encode()).hexdigest()


class HostdBackend:
    """A backend over the way to a hostd, with a session (console) or a password per call (command line)."""

    def __init__(self, client: Way, *, patience: float = 0.0) -> None:
        self._client = client
        self._heard_from = ""
        self._patience = patience
        self._identity: dict[str, str] = {}
        self._address = client_address()
        #: The keys under which something was to be added, and no answer came at all.
        self._unanswered: dict[str, str] = {}

    def login(self, account: str, password: str) -> dict[str, Any]:
        """Open a session; later calls use it. Returns the user's own row."""
        answer = self._client.request(
            LOGIN, {"account": account, "password": password, "client": self._address}, patience=self._patience
        )
        self._identity = {"token": answer["token"]}
        self._unanswered = {}
        user: dict[str, Any] = answer["user"]
        return user

    def use_password(self, account: str, password: str) -> None:
        """Prove identity with each call instead of a session (one-shot commands)."""
        self._identity = {"account": account, "password": password}

    def logout(self) -> None:
        """End the session here and in the database."""
        if "token" in self._identity:
            self._client.request(LOGOUT, dict(self._identity))
        self._identity = {}

    def same_session(self) -> HostdBackend:
        """A backend that stays with the session of now, whoever logs in here meanwhile."""
        return copy.copy(self)

    def call(self, operation: str, **arguments: Any) -> Any:
        """See :meth:`Backend.call`; a lost connection is tried once more with the same idempotency key.

        Whoever adds something, hears nothing and sends the same again goes on under that key: otherwise he would be
        told that the name is taken, by what he has made himself. What may be asked twice for, such as a start, does
        not: start, stop and start are three wishes.
        """
        known = _fingerprint(operation, arguments) if operation.endswith(".add") else ""
        body = {
            "operation": operation,
            "arguments": arguments,
            "request": self._unanswered.pop(known, "") or os.urandom(16).hex(),
            "client": self._address,
            **self._identity,
        }
        try:
            return self._client.request(CALL, body, patience=self._patience)
        except HostdUnavailable:
            try:
                return self._client.request(CALL, body, patience=self._patience)
            except HostdUnavailable:
                if known:
                    self._unanswered[known] = str(body["request"])
                raise

    @property
    def streams(self) -> bool:
        """See :meth:`Backend.streams`."""
        return self._client.streams

    def go_to(self, host: str) -> bool:
        """See :meth:`Backend.go_to`."""
        return self._client.go_to(host)

    def hand_over(self, descriptor: int, told: Told, **about: Any) -> dict[str, Any] | None:
        """See :meth:`Backend.hand_over`; a lost connection is the caller's to deal with."""
        return self._client.hand_over({"client": self._address, **about, **self._identity}, descriptor, told)

    def send(self, payload: bytes | Stream, **about: Any) -> dict[str, Any]:
        """See :meth:`Backend.send`; a lost connection is the caller's to deal with."""
        body = {"client": self._address, **about, **self._identity}
        answer: dict[str, Any] = self._client.request(UPLOAD, body, patience=self._patience, payload=payload)
        return answer

    def wait(self, *, since: int = -1, tasks: tuple[str, ...] = (), seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """See :meth:`Backend.wait`."""
        where = self._client.where
        body = {
            # Each hostd counts its news by itself: of another one all is new.
            "since": since if where == self._heard_from else -1,
            "tasks": list(tasks),
            "seconds": min(seconds, WAIT_SECONDS),
            "client": self._address,
            **self._identity,
        }
        answer: dict[str, Any] = self._client.request(WAIT, body, patience=self._patience)
        self._heard_from = where
        return answer
