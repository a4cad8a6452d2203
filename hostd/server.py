"""hostd's API: the calls of :mod:`core.rpc.calls` over the Unix socket and, when wanted, over TCP.

Who asks proves it: by a signature with the cluster key, or, for the calls of people over TLS, by a certificate of the
cloud's authority; over TCP in plain text the calls of people are refused. The event loop has a thread of its own and
does nothing but read, wait and write; what may block runs in a pool of threads.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import logging
import socket
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from uvicorn.server import Server as UvicornServer

from core.errors import DosvmError, EngineError, InvalidInput, NotFound, PermissionDenied
from core.i18n import N_
from core.model.base import NAME_LENGTH, VIA
from core.rpc.calls import CALLS, STREAM, Call
from core.rpc.signature import HEADER, Signer
from core.rpc.tls import Tls
from hostd.gate import Gate, open_listener
from hostd.log import fields
from hostd.sockets import unix_listener

logger = logging.getLogger("hostd.server")

#: Largest request body in bytes; the largest honest one is an instance with its own XML.
MAX_BODY = 1024 * 1024

#: Seconds one who is answered in the middle of what he says may take to hang up.
_LAST_WORDS = 5.0
#: Calls that bring parts of files and are worked on at the same time.
_FILES = 8
#: Bytes of a stream that are worked on together.
PIECE = 2 * 1024 * 1024
#: Most characters of an address that logs and sessions keep.
ADDRESS_LENGTH = NAME_LENGTH

_SWITCH_ON = N_("Switch use_ssl on under [ssl] in dosvm.toml of that host, and SSL on here.")

Body = dict[str, Any]
#: What ASGI hands an application (https://asgi.readthedocs.io/en/latest/specs/www.html): the request, and how to go on.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
#: What answers a call; a blocking function runs in the pool, a coroutine in the event loop.
Handler = Callable[[Body], Any] | Callable[[Body], Awaitable[Any]]
#: Begins to answer a call whose bytes follow: what takes the next of them, and says whether more are wanted, and what
#: ends it and answers.
Streamed = Callable[[Body], tuple[Callable[[memoryview], bool], Callable[[], Any]]]


class Way(Enum):
    """How a request came in."""

    UNIX = "unix"
    PLAIN = "plain"
    TLS = "tls"


class _Uvicorn(UvicornServer):
    """One that rests: Uvicorn's own looks ten times a second whether it is to end, and keeps a date nobody is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for :meth:`end`."""
        await self._end.wait()

    def end(self) -> None:
        """Stop listening, let running answers end; from its event loop."""
        self.should_exit = True
        self._end.set()


class Server:
    """Serves a table of handlers."""

    def __init__(
        self, signer: Signer, handlers: dict[str, Handler], streams: Mapping[str, Streamed] | None = None, *,
        threads: int,
    ) -> None:  # fmt: skip
        """Prepare.

        Args:
            signer: checks requests and signs answers.
            handlers: call name -> what answers it; must cover the call table.
            streams: call name -> what answers it when its bytes come over TLS, piece by piece.
            threads: how many blocking calls run at the same time.
        """
        missing = set(CALLS) ^ set(handlers)
        if missing:
            raise ValueError(f"call table and handlers differ: {missing}")
        self._signer = signer
        self._handlers = handlers
        self._streams = streams or {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        #: What brings files waits for disks: those who log in meanwhile do not.
        self._heavy = ThreadPoolExecutor(_FILES, thread_name_prefix="file")
        self._unix_listener: socket.socket | None = None
        self._gate: Gate | None = None
        self._gate_task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._tls: Tls | None = None
        self._network: tuple[uvicorn.Config, _Uvicorn] | None = None
        self._servers: list[_Uvicorn] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._unix: Path | None = None

    def listen_unix(self, path: Path) -> None:
        """Listen on a Unix socket that its owner and group may use.

        Raises:
            DosvmError: it cannot be made.
        """
        listener = unix_listener(path)
        self._unix = path
        self._unix_listener = listener

    def listen_tcp(self, address: str, port: int, tls: Tls | None = None) -> None:
        """Listen on an address of this host, for other hosts, and with TLS for consoles elsewhere.

        Raises:
            DosvmError: it cannot be done, or the files of the certificate cannot be used.
        """
        listener = open_listener(address, port)
        try:
            self._gate = Gate(listener, tls)
        except BaseException:
            listener.close()
            raise
        self._tls = tls

    def move_tcp(self, address: str, port: int, *, linger: float = 0.0) -> None:
        """Listen there instead, while it runs; who is connected stays so. Not from the event loop.

        Args:
            address: of this host.
            port: where to listen from now on.
            linger: seconds for which those who come to the old place are still let in.

        Raises:
            DosvmError: it cannot be done; everything stays as it was.
        """
        if self._loop is None or self._network is None:
            raise RuntimeError("not listening on the network")
        moved: concurrent.futures.Future[None] = asyncio.run_coroutine_threadsafe(
            self._move(address, port, linger), self._loop
        )
        moved.result(10)

    async def _move(self, address: str, port: int, linger: float) -> None:
        # A place that is being left may be the one that is wanted now.
        await self._left_at_once()
        await self._enter(Gate(open_listener(address, port), self._tls), linger)

    async def _enter(self, gate: Gate, linger: float = 0.0) -> None:
        assert self._network is not None
        before, self._gate = self._gate_task, gate
        self._gate_task = asyncio.create_task(gate.run(*self._network))
        if before is not None:
            self._leaving = asyncio.create_task(_leave(before, linger))
            if not linger:
                await self._leaving

    async def _left_at_once(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            await asyncio.wait([self._leaving])
            self._leaving = None

    def start(self) -> None:
        """Begin to answer."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="server", daemon=True)
        self._thread.start()
        ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            tasks = []
            if self._unix_listener is not None:
                server = _Uvicorn(self._config(Way.UNIX))
                self._servers.append(server)
                tasks.append(asyncio.create_task(server.serve(sockets=[self._unix_listener])))
            if self._gate is not None:
                config = self._config(Way.PLAIN if self._tls is None else Way.TLS)
                config.load()
                server = _Uvicorn(config)
                self._servers.append(server)
                # It has no sockets of its own: the gate hands it connections.
                tasks.append(asyncio.create_task(server.serve(sockets=[])))
                self._network = config, server
                await self._enter(self._gate)
            ready.set()
            await asyncio.gather(*tasks)
            await self._left_at_once()
            if self._gate_task is not None:
                self._gate_task.cancel()
                await asyncio.gather(self._gate_task, return_exceptions=True)

        asyncio.run(serve())

    def _config(self, way: Way) -> uvicorn.Config:
        return uvicorn.Config(
            self._application(way),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            proxy_headers=False,  # nobody is in between: who claims to be is lying about where he comes from
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
            http="h11",
            ws="none",
            backlog=256,
            limit_concurrency=1000,
        )

    def _application(self, way: Way) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """The ASGI application: a table of paths needs no framework, which took 3 MB and half of a call's time."""
        calls = {call.path: call for call in CALLS.values()}

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            call = calls.get(scope["path"])
            if call is None:
                answer: _Answer | None = _unsigned(
                    404, NotFound(N_("There is no call {path}."), path=scope["path"][:100])
                )
            elif scope["method"] != "POST":
                answer = _unsigned(405, InvalidInput(N_("Calls are made by POST.")))
            else:
                answer = await self._answer(call, way, scope, receive)
            if answer is not None:
                await answer.send(send, receive)

        return application

    async def _answer(self, call: Call, way: Way, scope: Scope, receive: Receive) -> _Answer | None:
        """What is said to a request; None when whoever asked has gone before the end of the question."""
        client = scope["client"][0] if scope.get("client") else "unix"
        if call.personal and way is Way.PLAIN:
            logger.warning("request refused %s", fields(call=call.name, client=client, reason="without TLS"))
            return _unsigned(403, PermissionDenied(N_("People are served over TLS only."), remedy=_SWITCH_ON))
        wanted = HEADER.lower().encode()
        header = next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")
        if call.name in self._streams and way is Way.TLS and not header:
            return await self._take(call, receive, client)
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > (limit := MAX_BODY + call.payload):
                return _too_large(limit, unread=more)
        nonce = ""
        # Over TLS a certificate has proved that somebody of this cloud asks; hosts among themselves sign as well.
        if header or way is not Way.TLS or not call.personal:
            try:
                nonce = self._signer.check(header, "POST", call.path, body)
            except PermissionDenied as error:
                logger.warning("request refused %s", fields(call=call.name, client=client, reason=error.message))
                return _unsigned(403, error)
        status, answer = await self._run_handler(call, body, client if way is Way.TLS else "")
        payload = json.dumps(answer, ensure_ascii=False, default=str).encode()
        return _Answer(status, payload, self._signer.sign_answer(nonce, payload) if nonce else "")

    async def _take(self, call: Call, receive: Receive, peer: str) -> _Answer | None:
        """Answer a call whose bytes are worked on as they come, a few in memory at a time; over TLS only."""
        body, more = bytearray(), True
        while more and (end := body.find(b"\n")) < 0:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY and body.find(b"\n", 0, MAX_BODY) < 0:
                return _too_large(MAX_BODY, unread=more)
        end = end if (end := body.find(b"\n")) >= 0 else len(body)
        data = _object(body[:end], peer)
        if data is None:
            return _unsigned(400, InvalidInput(N_("The request is not a JSON object.")), unread=more)
        del body[: end + 1]

        async def answered() -> Any:
            nonlocal body, more
            take, close = await self._answering(call, self._streams[call.name], data)
            working: asyncio.Future[bool] | None = None
            gone, wanted, total = False, True, len(body)
            while more and not gone and wanted:
                message = await receive()
                gone = message["type"] == "http.disconnect"
                total += len(message.get("body", b""))
                if total > STREAM:
                    break
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) >= PIECE or not more or gone:
                    # One piece is written while the next one comes.
                    wanted = working is None or await working
                    working = asyncio.ensure_future(self._answering(call, take, memoryview(body)))
                    body = bytearray()
            if working is not None:
                await working
            elif body:
                await self._answering(call, take, memoryview(body))
            if total > STREAM:
                raise InvalidInput(N_("The request is larger than {limit} bytes."), limit=STREAM)
            return await self._answering(call, close)

        status, answer = await self._guarded(call, data, answered)
        return _Answer(status, json.dumps(answer, ensure_ascii=False, default=str).encode(), unread=more)

    async def _run_handler(self, call: Call, body: bytearray, peer: str) -> tuple[int, Body]:
        end = body.find(b"\n") if call.payload else -1
        data = _object(body if end < 0 else body[:end], peer)
        if data is None:
            return 400, {"error": InvalidInput(N_("The request is not a JSON object.")).to_wire()}
        if call.payload:
            data["payload"] = memoryview(body)[end + 1 if end >= 0 else len(body) :]
        handler = self._handlers[call.name]

        async def answered() -> Any:
            if asyncio.iscoroutinefunction(handler):
                return await handler(data)
            return await self._answering(call, handler, data)

        return await self._guarded(call, data, answered)

    @staticmethod
    async def _guarded(call: Call, data: Body, answered: Callable[[], Awaitable[Any]]) -> tuple[int, Body]:
        """An answer and its status, whatever went wrong."""
        try:
            return 200, {"ok": await answered()}
        except DosvmError as error:
            return 200, {"error": error.to_wire()}
        except Exception:
            number = uuid.uuid4().hex[:8]
            # The body stays out of the log: it may hold a password.
            logger.exception("call failed %s", fields(call=call.name, id=number, operation=_operation(data)))
            trouble = EngineError(
                N_("Something went wrong inside hostd (id {number})."),
                remedy=N_("Its log says more under this id."),
                number=number,
            )
            return 500, {"error": trouble.to_wire()}

    async def _answering(self, call: Call, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run what answers a call in its pool and await its result."""
        pool = self._heavy if call.payload else self._pool
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    def close(self) -> None:
        """Stop listening, let running answers end (some seconds at most), and remove the socket."""
        if self._loop is not None and self._loop.is_running():
            for server in self._servers:
                self._loop.call_soon_threadsafe(server.end)
        if self._thread is not None:
            self._thread.join(6)
        for pool in (self._pool, self._heavy):
            pool.shutdown(wait=False, cancel_futures=True)
        if self._unix is not None:
            self._unix.unlink(missing_ok=True)


def _object(text: bytearray, peer: str) -> Body | None:
    """The JSON object of a request, in which ``peer`` is where it came from; None when it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    if peer and isinstance(data.get("client"), str):
        data["client"] = came_from(data["client"], peer)
    return data


def came_from(claimed: str, peer: str) -> str:
    """Where the person sits is what the console says; where the console is, is known, and is never cut off."""
    if claimed in ("", "local"):
        return peer
    known = f"{VIA}{peer}"
    return claimed[: ADDRESS_LENGTH - len(known)] + known


async def _leave(gate: asyncio.Task[None], linger: float) -> None:
    """Let nobody more in by a gate, after some seconds."""
    try:
        await asyncio.sleep(linger)
    finally:
        gate.cancel()
        await asyncio.wait([gate])


def _operation(data: Body) -> str | None:
    name = data.get("operation")
    return name if isinstance(name, str) else None


def _unsigned(status: int, error: DosvmError, *, unread: bool = False) -> _Answer:
    return _Answer(status, json.dumps({"error": error.to_wire()}, ensure_ascii=False).encode(), unread=unread)


def _too_large(limit: int, *, unread: bool) -> _Answer:
    error = InvalidInput(N_("The request is larger than {limit} bytes."), limit=limit)
    return _unsigned(413, error, unread=unread)


class _Answer(NamedTuple):
    """An answer: JSON, signed or not."""

    status: int
    payload: bytes
    signature: str = ""
    unread: bool = False
    """Not all of the question was read; closed with words unread, the answer would be lost on its way."""

    async def send(self, send: Send, receive: Receive) -> None:
        """Say it, and wait a moment for who is still sending to hear it and hang up."""
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self.payload)).encode())]
        if self.signature:
            headers.append((HEADER.lower().encode(), self.signature.encode("latin-1")))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.payload, "more_body": self.unread})
        if self.unread:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    more = True
                    while more:
                        message = await receive()
                        more = message["type"] != "http.disconnect" and message.get("more_body", False)
            await send({"type": "http.response.body", "body": b""})
