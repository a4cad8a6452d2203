"""What each call of the call table does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from core.errors import DatabaseUnavailable, InvalidInput, NotFound
from core.i18n import N_
from core.model import TaskState
from core.rpc.calls import AS_IT_CAME
from core.rules.names import is_uuid
from core.services.actor import Actor
from core.services.dispatch import Services, check_permission
from core.services.image_uploads import finish
from core.services.operation import OPERATIONS
from core.services.sessions import Sessions
from core.services.tasks import shown
from core.version import version
from hostd import intervals
from hostd.bus import Bus
from hostd.metrics.collector import Collector
from hostd.uploads import Told, Uploads

Body = dict[str, Any]

_ENDS = {TaskState.DONE.value, TaskState.FAILED.value, TaskState.CANCELLED.value}
#: Longest `wait`, and most tasks of one.
_MAX_SECONDS, _MAX_TASKS = 55.0, 1000


class Api:
    """The handlers of one hostd."""

    def __init__(
        self,
        services: Services,
        sessions: Sessions,
        bus: Bus,
        collector: Collector,
        doorbell: Callable[[frozenset[str]], None],
        uploads: Uploads,
        host: str = "",
    ) -> None:
        """``doorbell(topics)`` is called when another hostd rang; it must return at once. ``host``: this one's name."""
        self._services = services
        self._sessions = sessions
        self._bus = bus
        self._collector = collector
        self._doorbell = doorbell
        self._uploads = uploads
        self._host = host

    def handlers(self) -> dict[str, Any]:
        """Call name -> what answers it, for the server."""
        return {
            "hello": self.hello,
            "login": self.login,
            "logout": self.logout,
            "call": self.call,
            "wait": self.wait,
            "doorbell": self.doorbell,
            "host-samples": self.host_samples,
            "machine-samples": self.machine_samples,
            "upload": self.upload,
        }

    def hello(self, _body: Body) -> Body:
        """Who answers: the way to it is open."""
        return {"host": self._host, "uuid": self._services.cloud.me, "version": version()}

    def login(self, body: Body) -> Body:
        """Open a session."""
        token, user = self._sessions.login(_text(body, "account"), _text(body, "password"), _text(body, "client"))
        return {"token": token, "user": user}

    def logout(self, body: Body) -> Body:
        """End a session."""
        self._sessions.logout(_text(body, "token"))
        return {}

    def _actor(self, body: Body, *, log: bool) -> Actor:
        client = _text(body, "client")
        if "token" in body:
            return self._sessions.authenticate_token(_text(body, "token"), client)
        return self._sessions.authenticate_password(_text(body, "account"), _text(body, "password"), client, log)

    def call(self, body: Body) -> Any:
        """Run an operation."""
        actor = self._actor(body, log=True)
        arguments = body.get("arguments")
        if not isinstance(arguments, dict):
            raise InvalidInput(N_("{field} has the wrong type."), field="arguments")
        return self._services.call(_text(body, "operation"), arguments, actor, _text(body, "request"))

    def _uploader(self, body: Body) -> tuple[Actor, str]:
        """Who sends parts of which image."""
        actor = self._actor(body, log=False)
        check_permission(OPERATIONS["image.upload"], actor)
        return actor, _identity(body, "image")

    def upload(self, body: Body) -> Body:
        """Take a part of a file, or the word that all of it was sent."""
        actor, image = self._uploader(body)
        if body.get("finish") is None:
            received = self._uploads.receive(
                image, actor.project_id, _text(body, "sender"), _offset(body), body["payload"]
            )
            return {"received": received, "sum": self._uploads.sums(image)}
        wanted, stamp = _text(body, "finish"), None
        try:
            if wanted == AS_IT_CAME:
                stamp = self._uploads.as_it_came(image, actor.project_id, _text(body, "sender"))
                if stamp is None:
                    return {"again": True}
            else:
                self._uploads.whole(image, actor.project_id)
        except NotFound:
            pass  # said before, and the answer was lost; or there is nothing, which is told now
        return self._services.duty(lambda call: finish(call, image, wanted, stamp), actor)

    def uploading(self, body: Body) -> tuple[Callable[[memoryview], bool], Callable[[], Body]]:
        """As :meth:`upload`, for bytes that come over TLS one after the other, after one look at who sends them."""
        actor, image = self._uploader(body)
        if body.get("finish") is not None:
            return _nothing_more, lambda: self.upload(body)
        sender, offset = _text(body, "sender"), _offset(body)
        take = self._uploads.stream(image, actor.project_id, sender, offset)

        def taken(part: memoryview) -> bool:
            """Whether it was what follows; else what is there is told at once, and the rest not waited for."""
            nonlocal offset
            offset += len(part)
            return take(part) == offset

        def close() -> Body:
            received = take(memoryview(b""))
            self._uploads.left(image, sender)
            return {"received": received}

        return taken, close

    def hand_over(
        self, body: Body, descriptor: int, gone: Callable[[], bool], told: Told
    ) -> Body:  # fmt: skip
        """Copy a file of this machine whose ``descriptor`` was handed over; see :mod:`core.rpc.handover`."""
        actor, image = self._uploader(body)
        received, digest = self._uploads.copy(
            image, actor.project_id, _text(body, "sender"), descriptor, gone, told
        )  # fmt: skip
        return {"received": received, "digest": digest}

    async def wait(self, body: Body) -> Body:
        """Wait for a change, for tasks to end, or for the time to pass."""
        actor = await asyncio.to_thread(self._actor, body, log=False)
        since, seconds, tasks = body.get("since", -1), body.get("seconds", 0), body.get("tasks", [])
        if not isinstance(since, int) or not isinstance(seconds, int | float) or not isinstance(tasks, list):
            raise InvalidInput(N_("The request is not a JSON object."))
        tasks = [str(task) for task in tasks[:_MAX_TASKS]]
        give_up = time.monotonic() + max(0.0, min(float(seconds), _MAX_SECONDS))
        rows: list[Body] = []
        # Each of many tasks makes news when it begins and when it ends: they are looked at together.
        pause = min(intervals.WAIT_CALM, len(tasks) * intervals.WAIT_CALM_EACH) if len(tasks) > 1 else 0.0
        rest = pause if since >= 0 else 0.0
        while True:
            if rest:
                await asyncio.sleep(max(0.0, min(rest, give_up - time.monotonic())))
            rest = pause
            # The revision is read first: what changes while the tasks are looked at is news for the next turn.
            revision = self._bus.revision
            if tasks:
                try:
                    rows = await asyncio.to_thread(self._rows, actor, tasks)
                except DatabaseUnavailable:
                    if time.monotonic() >= give_up:
                        raise
            ended = bool(tasks) and len(rows) > 0 and all(row["state"] in _ENDS for row in rows)
            nothing_to_wait_for = since < 0 and not tasks
            left = give_up - time.monotonic()
            news = 0 <= since < revision or self._bus.closed
            if ended or nothing_to_wait_for or news or left <= 0:
                return {"revision": revision, "tasks": rows}
            await self._bus.after(revision, min(left, intervals.WAIT_POLL) if tasks else left)

    def _rows(self, actor: Actor, tasks: list[str]) -> list[Body]:
        rows: list[Body] = self._services.look("task.show", actor, lambda call: shown(call, tasks))
        if tasks and not rows:
            raise NotFound(N_("There is no such task."))
        return rows

    def doorbell(self, body: Body) -> Body:
        """There is work for this host, or news for its watchers."""
        topics = body.get("topics")
        self._doorbell(frozenset(str(topic) for topic in topics) if isinstance(topics, list) else frozenset())
        return {}

    def host_samples(self, body: Body) -> Body:
        """Recent load of this host."""
        return {"samples": self._collector.host_samples(_number(body, "since"))}

    def machine_samples(self, body: Body) -> Body:
        """Recent load of VMs on this host."""
        machines = body.get("machines")
        if not isinstance(machines, list):
            raise InvalidInput(N_("{field} has the wrong type."), field="machines")
        return {"samples": self._collector.machine_samples([str(m) for m in machines], _number(body, "since"))}


def _nothing_more(part: memoryview) -> bool:
    if part:
        raise InvalidInput(N_("No bytes follow the word that all were sent."))
    return True


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise InvalidInput(N_("{field} is missing."), field=key)
    return value


def _identity(body: Body, key: str) -> str:
    """A UUID as it is kept; names of files are made of it, so nothing else will do."""
    value = _text(body, key)
    if not is_uuid(value):
        raise InvalidInput(N_("{field} has the wrong type."), field=key)
    return value.lower()


def _offset(body: Body) -> int:
    offset = body.get("offset", 0)
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise InvalidInput(N_("{field} has the wrong type."), field="offset")
    return offset


def _number(body: Body, key: str) -> float:
    value = body.get(key, 0.0)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidInput(N_("{field} has the wrong type."), field=key)
    return float(value)
