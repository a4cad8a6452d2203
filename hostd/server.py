"""hostd's API: the calls of :mod:`core.rpc.calls` over the Unix socket and, when wanted, over TCP.

Every request must be signed, and every answer is. Calls that carry passwords exist on the Unix socket
only. The event loop has a thread of its own and does nothing but read, wait and write; what may block
runs in a pool of threads.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import socket
import stat
import threading
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import DosvmError, EngineError, InvalidInput, PermissionDenied
from core.i18n import N_
from core.rpc.calls import CALLS
from core.rpc.signature import HEADER, Signer
from hostd.log import fields

logger = logging.getLogger("hostd.server")

#: Largest request body in bytes; the largest honest one is an instance with its own XML.
MAX_BODY = 1024 * 1024

Body = dict[str, Any]
#: What answers a call; a blocking function runs in the pool, a coroutine in the event loop.
Handler = Callable[[Body], Any] | Callable[[Body], Awaitable[Any]]


class Server:
    """Serves a table of handlers."""

    def __init__(self, signer: Signer, handlers: dict[str, Handler], *, threads: int) -> None:
        """Prepare.

        Args:
            signer: checks requests and signs answers.
            handlers: call name -> what answers it; must cover the call table.
            threads: how many blocking calls run at the same time.
        """
        missing = set(CALLS) ^ set(handlers)
        if missing:
            raise ValueError(f"call table and handlers differ: {missing}")
        self._signer = signer
        self._handlers = handlers
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._sockets: list[tuple[socket.socket, bool]] = []
        self._servers: list[uvicorn.Server] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._unix: Path | None = None

    def listen_unix(self, path: Path) -> None:
        """Listen on a Unix socket that its owner and group may use.

        Raises:
            DosvmError: it cannot be made.
        """
        try:
            if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
                raise DosvmError(N_("{path} is in the way: it is not a socket."), path=str(path))
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # Closed to all until its mode is right.
            old = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(old)
            path.chmod(0o660)
            listener.listen(256)
        except OSError as error:
            raise DosvmError(
                N_("Cannot listen on {path}: {reason}."), path=str(path), reason=error.strerror or str(error)
            ) from error
        self._unix = path
        self._sockets.append((listener, True))

    def listen_tcp(self, address: str, port: int) -> None:
        """Listen on an address of this host, for other hosts.

        Raises:
            DosvmError: it cannot be done.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(256)
        except OSError as error:
            raise DosvmError(
                N_("Cannot listen on {address}:{port}: {reason}."),
                remedy=N_("Look at localhost and port under [network] in dosvm.toml."),
                address=address,
                port=port,
                reason=error.strerror or str(error),
            ) from error
        self._sockets.append((listener, False))

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
            for listener, local in self._sockets:
                config = uvicorn.Config(
                    self._application(local),
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    server_header=False,
                    date_header=False,
                    timeout_keep_alive=75,
                    timeout_graceful_shutdown=3,
                    http="h11",
                    ws="none",
                    backlog=256,
                    limit_concurrency=1000,
                )
                server = uvicorn.Server(config)
                self._servers.append(server)
                tasks.append(asyncio.create_task(server.serve(sockets=[listener])))
            ready.set()
            await asyncio.gather(*tasks)

        asyncio.run(serve())

    def _application(self, local: bool) -> Starlette:
        routes = [
            Route(call.path, functools.partial(self._answer, name), methods=["POST"])
            for name, call in CALLS.items()
            if local or not call.local
        ]
        return Starlette(routes=routes)

    async def _answer(self, name: str, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return _unsigned(413, InvalidInput(N_("The request is larger than {limit} bytes."), limit=MAX_BODY))
        try:
            nonce = self._signer.check(request.headers.get(HEADER, ""), "POST", request.url.path, body)
        except PermissionDenied as error:
            client = request.client.host if request.client else "unix"
            logger.warning("request refused %s", fields(call=name, client=client, reason=error.message))
            return _unsigned(403, error)
        status, answer = await self._run_handler(name, body)
        payload = json.dumps(answer, ensure_ascii=False, default=str).encode()
        signature = self._signer.sign_answer(nonce, payload)
        return Response(payload, status, {HEADER: signature}, media_type="application/json")

    async def _run_handler(self, name: str, body: bytes) -> tuple[int, Body]:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            return 400, {"error": InvalidInput(N_("The request is not a JSON object.")).to_wire()}
        handler = self._handlers[name]
        try:
            if asyncio.iscoroutinefunction(handler):
                return 200, {"ok": await handler(data)}
            return 200, {"ok": await self.in_thread(handler, data)}
        except DosvmError as error:
            return 200, {"error": error.to_wire()}
        except Exception:
            number = uuid.uuid4().hex[:8]
            # The body stays out of the log: it may hold a password.
            logger.exception("call failed %s", fields(call=name, id=number, operation=_operation(data)))
            trouble = EngineError(
                N_("Something went wrong inside hostd (id {number})."),
                remedy=N_("Its log says more under this id."),
                number=number,
            )
            return 500, {"error": trouble.to_wire()}

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a blocking function in the pool and await its result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        """Stop listening, let running answers end (some seconds at most), and remove the socket."""
        for server in self._servers:
            server.should_exit = True
        if self._thread is not None:
            self._thread.join(6)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._unix is not None:
            self._unix.unlink(missing_ok=True)


def _operation(data: Body) -> str | None:
    name = data.get("operation")
    return name if isinstance(name, str) else None


def _unsigned(status: int, error: DosvmError) -> Response:
    payload = json.dumps({"error": error.to_wire()}, ensure_ascii=False).encode()
    return Response(payload, status, media_type="application/json")
