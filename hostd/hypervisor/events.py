"""libvirt's events, handed on in plain words to whoever subscribed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import libvirt

from hostd.hypervisor.connection import Connection

_LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: "defined",
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "undefined",
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: "shutdown",
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}


@dataclass(frozen=True)
class Event:
    """Something happened to a domain. ``uuid`` is empty for "look at everything" (libvirtd came or went)."""

    uuid: str
    kind: str


class Events:
    """Receives events of one connection, on libvirt's event thread, and hands them on from a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._listeners: list[Callable[[Event], None]] = []
        self._watches: dict[str, set[threading.Event]] = {}
        connection.on_connect(self._register)
        connection.on_change(lambda up: self._queue.put(Event("", "connected" if up else "disconnected")))

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call ``listener(event)`` for each event, in order; it must return soon."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin to hand on."""
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def close(self) -> None:
        """Stop handing on."""
        self._queue.put(None)

    @contextmanager
    def watch(self, uuid: str) -> Iterator[threading.Event]:
        """A flag that is set whenever something happens to this domain, or to the connection."""
        flag = threading.Event()
        with self._guard:
            self._watches.setdefault(uuid, set()).add(flag)
        try:
            yield flag
        finally:
            with self._guard:
                self._watches[uuid].discard(flag)
                if not self._watches[uuid]:
                    del self._watches[uuid]

    def _register(self, connection: libvirt.virConnect) -> None:
        # Called on libvirt's only event thread: nothing but queueing may happen here.
        def put(kind: str) -> Callable[..., None]:
            def handler(_connection: Any, domain: libvirt.virDomain, *_details: Any) -> None:
                self._queue.put(Event(domain.UUIDString(), kind))

            return handler

        def lifecycle(_connection: Any, domain: libvirt.virDomain, event: int, _detail: int, _opaque: Any) -> None:
            self._queue.put(Event(domain.UUIDString(), _LIFECYCLE.get(event, "changed")))

        for number, handler in (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, put("rebooted")),
            (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR, put("io-error")),
            (libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG, put("watchdog")),
            (libvirt.VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, put("control-error")),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, put("device")),
            (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, put("device")),
        ):
            connection.domainEventRegisterAny(None, number, handler, None)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            with self._guard:
                if event.uuid:
                    flags = list(self._watches.get(event.uuid, ()))
                else:
                    flags = [flag for watching in self._watches.values() for flag in watching]
            for flag in flags:
                flag.set()
            for listener in self._listeners:
                listener(event)
