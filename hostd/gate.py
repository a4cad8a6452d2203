"""The way in over TCP: who comes is listened to for a moment, and let in only as the settings say.

With TLS, nobody without a certificate of the cloud's authority gets as far as a request, and nobody whose certificate
does not name the address he comes from. Who talks TLS to a hostd without it, or plain text to one with it, is told so,
here (log) and there. Files of certificates are looked at for each connection, so a renewed one counts at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server as HttpServer
from uvicorn.server import ServerState

from core.errors import DosvmError, InvalidInput, PermissionDenied
from core.i18n import N_
from core.rpc.client import TLS_ONLY
from core.rpc.tls import Tls, common_name, names_address, plain_words
from hostd.log import Throttled

logger = logging.getLogger("hostd.gate")

#: Seconds one who connects has until his first words, and until the handshake is done.
_FIRST_WORDS, _HANDSHAKE = 10.0, 10.0
#: Seconds one who is sent away may take to hang up.
_LAST_WORDS = 1.0
#: Connections that may be at the gate at the same time, and those of one address.
_WAITING, _OF_ONE = 256, 32
_TLS_RECORD = 0x16


class GuardedProtocol(H11Protocol):
    """HTTP for those whose certificate names the address they come from; for others a sentence."""

    _refusal: bytes = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look at the certificate."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        peer = transport.get_extra_info("peername")
        if certificate is None or peer is None or names_address(certificate, peer[0]):
            return
        name = common_name(certificate)
        error = PermissionDenied(
            N_("The certificate of {name} does not name the address {address}, from which it was used."),
            remedy=N_("Issue one with this address: `dosvm cert issue NAME --ip ADDRESS`."),
            name=name,
            address=peer[0],
        )
        self._refusal = answer(403, error)
        _refused.warning(
            f"address {peer[0]}", "connection refused", client=peer[0], certificate=name,
            reason="the certificate does not name this address",
        )  # fmt: skip

    def data_received(self, data: bytes) -> None:
        """Take a request, or answer it with the refusal unread."""
        if self._refusal:
            self.transport.write(self._refusal)
            self.transport.close()
        else:
            super().data_received(data)


_refused = Throttled(logger)


def answer(status: int, error: DosvmError) -> bytes:
    """A whole HTTP answer for one who is sent away."""
    body = json.dumps({"error": error.to_wire()}, ensure_ascii=False).encode()
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def open_listener(address: str, port: int) -> socket.socket:
    """A socket that listens on an address of this host.

    Raises:
        DosvmError: it cannot be done.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(256)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise DosvmError(
            N_("Cannot listen on {address}:{port}: {reason}."),
            remedy=N_("Look at [network] in dosvm.toml, and at the port in the runtime parameters."),
            address=address,
            port=port,
            reason=error.strerror or str(error),
        ) from error
    return listener


class Gate:
    """Lets connections of one listener in to an HTTP server. Everything but making it happens in the event loop."""

    def __init__(self, listener: socket.socket, tls: Tls | None) -> None:
        """Prepare; ``tls`` is None for plain text.

        Raises:
            InvalidInput: the files of the certificate cannot be used.
        """
        self._listener = listener
        self._tls = tls
        self._trouble = ""
        if tls is not None:
            tls.server()

    async def run(self, config: Config, server: HttpServer) -> None:
        """Let in until cancelled."""
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(_WAITING)
        greeting: set[asyncio.Task[None]] = set()
        waiting: Counter[str] = Counter()
        state: ServerState = server.server_state

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = GuardedProtocol(config, state, {}, loop)
            return made

        async def greet(connection: socket.socket, peer: str) -> None:
            try:
                await self._let_in(loop, connection, peer, protocol)
            finally:
                room.release()
                waiting[peer] -= 1
                if not waiting[peer]:
                    del waiting[peer]

        try:
            while True:
                await room.acquire()
                try:
                    connection, peer = await loop.sock_accept(self._listener)
                except OSError as error:
                    room.release()
                    _refused.warning("accept", "cannot accept a connection", reason=error.strerror or error)
                    await asyncio.sleep(0.1)
                    continue
                address = str(peer[0])
                if waiting[address] >= _OF_ONE:
                    # Who comes and says nothing does not keep others out.
                    connection.close()
                    room.release()
                    _refused.warning(f"{address} many", "connection refused", client=address, reason="too many at once")
                    continue
                waiting[address] += 1
                task = loop.create_task(greet(connection, address))
                greeting.add(task)
                task.add_done_callback(greeting.discard)
        finally:
            self._listener.close()
            for task in greeting:
                task.cancel()

    async def _let_in(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, peer: str,
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:  # fmt: skip
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(_FIRST_WORDS):
                first = await _peek(loop, connection)
            if not first:
                connection.close()
                return
            if (first[0] == _TLS_RECORD) != (self._tls is not None):
                await self._wrong_language(loop, connection, peer)
                return
            if self._tls is None:
                await loop.connect_accepted_socket(protocol, connection)
            else:
                await self._shake_hands(loop, connection, protocol)
        except TimeoutError:
            connection.close()  # who says nothing is not worth a word
        except (OSError, InvalidInput) as error:
            connection.close()
            reason = error.text() if isinstance(error, InvalidInput) else plain_words(error)
            _refused.warning(f"{peer} {reason}", "connection refused", client=peer, reason=reason)

    async def _shake_hands(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        context = self._context()
        # asyncio closes a connection whose handshake fails without a word; this end of it stays open to say why.
        kept = connection.dup()
        try:
            await loop.connect_accepted_socket(
                protocol,
                connection,
                ssl=_Telling(context, kept),  # type: ignore[arg-type]
                ssl_handshake_timeout=_HANDSHAKE,
            )
        except (OSError, asyncio.CancelledError):
            await _hang_up(loop, kept)
            raise
        finally:
            kept.close()

    def _context(self) -> ssl.SSLContext:
        assert self._tls is not None
        context = self._tls.server()
        context.sslobject_class = _Handshake
        if self._tls.trouble != self._trouble:
            self._trouble = self._tls.trouble
            if self._trouble:
                _refused.warning(
                    "renewed", "the new certificate cannot be used, the old one still is", reason=self._trouble
                )
        return context

    async def _wrong_language(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, peer: str) -> None:
        """Tell one side's log and the other side's caller that TLS is on here and off there, or the reverse."""
        if self._tls is None:
            reason = "it talks TLS, and use_ssl is off here"
            # No TLS record: the caller's library finds that this is no TLS.
            said = answer(400, InvalidInput(N_("This hostd talks without TLS.")))
        else:
            reason = "it talks without TLS, and use_ssl is on here"
            said = answer(TLS_ONLY, InvalidInput(N_("This hostd talks TLS only.")))
        _refused.warning(f"{peer} {reason}", "connection refused", client=peer, reason=reason)
        connection.send(said)  # the first words on a connection always fit
        await _hang_up(loop, connection)
        connection.close()


async def _hang_up(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Say no more, and read on for a moment: closed with words unread, the last ones said would be lost."""
    try:
        connection.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LAST_WORDS):
            left = 64 * 1024
            while left > 0 and (data := await loop.sock_recv(connection, 4096)):
                left -= len(data)
    except (OSError, TimeoutError):
        return


class _Telling:
    """Stands for a context in one handshake, and sends what TLS says of one that fails (asyncio does not)."""

    def __init__(self, context: ssl.SSLContext, connection: socket.socket) -> None:
        self._context = context
        self._connection = connection

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **options: Any) -> ssl.SSLObject:
        """What asyncio asks of a context."""
        made = self._context.wrap_bio(incoming, outgoing, **options)
        assert isinstance(made, _Handshake)
        made.last_words = lambda: self._connection.send(outgoing.read())
        return made


class _Handshake(ssl.SSLObject):
    last_words: Callable[[], object]

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            try:
                self.last_words()
            except OSError:
                pass  # nobody is there to hear them
            raise


async def _peek(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    """The first byte, which stays where it is; empty when the other side hung up."""
    ready = loop.create_future()
    loop.add_reader(connection, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)
