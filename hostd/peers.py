"""The other hosts' hostds, as this one talks to them: signed calls, never in anybody's way."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from core.errors import DosvmError, HostdUnavailable
from core.rpc.calls import DOORBELL, Call
from core.rpc.client import Client
from core.rpc.signature import Signer
from core.rpc.tls import Tls
from hostd.log import Throttled

logger = logging.getLogger("hostd.peers")

#: Seconds another hostd has for an answer about samples: a list on screen waits for it.
SHORT = 2.0
_THREADS = 8


#: News are collected for so many seconds before they are spread.
_COLLECT = 0.2
#: In a cloud of more hosts news are not spread: consoles there look again by themselves.
_SPREAD_MOST = 64


class Peers:
    """Clients of other hostds by address, and a thread that rings doorbells."""

    def __init__(self, signer: Signer, tls: Tls | None = None) -> None:
        """``tls``: how to talk to them; None for plain text, signed all the same."""
        self._signer = signer
        self._tls = tls
        self._guard = threading.Lock()
        self._clients: dict[tuple[str, int], Client] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="peer")
        self._rings: queue.Queue[tuple[tuple[str, int], frozenset[str]] | None] = queue.Queue(maxsize=1000)
        self._news: set[str] = set()
        self._news_came = threading.Event()
        self._closing = threading.Event()
        self._others: Callable[[], list[tuple[str, int]]] = list
        self._throttled = Throttled(logger)

    def others(self, look: Callable[[], list[tuple[str, int]]]) -> None:
        """Where to ask for the addresses of the other hosts that are up."""
        self._others = look

    def start(self) -> None:
        """Begin to ring."""
        threading.Thread(target=self._spread, name="news", daemon=True).start()
        threading.Thread(target=self._ring, name="doorbell", daemon=True).start()

    def close(self) -> None:
        """Stop ringing."""
        self._closing.set()
        self._news_came.set()
        self._rings.put(None)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _client(self, address: tuple[str, int]) -> Client:
        with self._guard:
            client = self._clients.get(address)
            if client is None:
                client = self._clients[address] = Client(address, self._signer, self._tls)
            return client

    def ask(self, address: tuple[str, int], call: Call, body: dict[str, Any], *, seconds: float = SHORT) -> Any:
        """Make a call.

        Raises:
            HostdUnavailable: no answer in time.
            DosvmError: what the other side says.
        """
        if not address[0]:
            raise HostdUnavailable("this address is not on the network")
        return self._client(address).request(call, body, timeout=seconds)

    def ask_all(
        self, questions: Iterable[tuple[tuple[str, int], Call, dict[str, Any]]], *, seconds: float = SHORT
    ) -> list[Any]:
        """Ask several at once; who does not answer in time gives None."""
        running = [
            self._pool.submit(self.ask, address, call, body, seconds=seconds) for address, call, body in questions
        ]
        give_up = time.monotonic() + seconds
        answers: list[Any] = []
        for future in running:
            try:
                answers.append(future.result(max(0.0, give_up - time.monotonic())))
            except (DosvmError, FutureTimeout):
                answers.append(None)
        return answers

    def ring(self, address: tuple[str, int], topics: Iterable[str] = ()) -> None:
        """Ring a doorbell, soon. It may be lost: everybody looks for work by itself as well."""
        if not address[0]:
            return
        try:
            self._rings.put_nowait((address, frozenset(topics)))
        except queue.Full:
            pass

    def spread(self, topics: frozenset[str]) -> None:
        """Tell all other hosts, soon, that rows of these kinds changed, for the consoles there."""
        with self._guard:
            self._news |= topics
        self._news_came.set()

    def _spread(self) -> None:
        while True:
            self._news_came.wait()
            if self._closing.wait(_COLLECT):
                return
            self._news_came.clear()
            with self._guard:
                topics, self._news = frozenset(self._news), set()
            others = self._others()
            if len(others) <= _SPREAD_MOST:
                for address in others:
                    self.ring(address, topics)

    def _ring(self) -> None:
        while (first := self._rings.get()) is not None:
            # Many changes at once ring each door once.
            waiting = {first[0]: first[1]}
            last = False
            while not self._rings.empty():
                more = self._rings.get()
                if more is None:
                    last = True
                    break
                waiting[more[0]] = waiting.get(more[0], frozenset()) | more[1]
            for address, topics in waiting.items():
                self._pool.submit(self._ring_one, address, topics)
            if last:
                return

    def _ring_one(self, address: tuple[str, int], topics: frozenset[str]) -> None:
        try:
            self.ask(address, DOORBELL, {"topics": sorted(topics)})
            self._throttled.clear(str(address))
        except DosvmError as error:
            self._throttled.warning(
                str(address), "doorbell not heard", address=f"{address[0]}:{address[1]}", reason=error.text()
            )
