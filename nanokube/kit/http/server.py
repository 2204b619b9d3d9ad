"""HTTP/1.1 server: listens, owns the connections and the tasks of their handlers.

    async with Server(handler) as server:
        host, port = await server.listen("127.0.0.1", 0, ssl_context)
        await server.wait()

Runs on uvloop and on the standard loop. TLS is the caller's context; client certificates need
`context.verify_mode = ssl.CERT_OPTIONAL` and the client CA loaded into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Never

from nanokube.kit.http.awake import Awake
from nanokube.kit.http.connection import Connection
from nanokube.kit.http.heads import Heads
from nanokube.kit.http.message import REASONS, Handler, Request, Response


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a peer may make the server hold.

    connections: above it the longest idle are dropped for new ones.
    stall_timeout_s: how long a peer may leave a slice of an answer unread; streams have no such limit.
    head_bytes: as Go's DefaultMaxHeaderBytes (net/http).
    body_bytes: kube-apiserver's MaxRequestBodyBytes (staging apiserver, server/config.go).
    """

    body_bytes: int = 3 << 20
    head_bytes: int = 1 << 20
    buffered_bytes: int = 8 << 20
    pipelined: int = 16
    connections: int = 10_000
    head_timeout_s: float = 32.0
    idle_timeout_s: float = 180.0
    stall_timeout_s: float = 60.0
    handshake_timeout_s: float = 10.0


def internal_error(request: Request, err: Exception) -> Response:
    """Answer 500 without a word about the cause."""
    return Response(500, b"internal server error\n", "text/plain")


def refusal(status: int) -> Response:
    """Answer what is no request, in Go's words."""
    return Response(status, f"{status} {REASONS[status]}".encode(), "text/plain; charset=utf-8")


class Server:
    """One handler behind any number of listeners. Use as an async context manager.

    handler: may be a plain function for what can be answered at once.
    streams_body: given a target, True for requests whose body the handler pulls from request.stream.
    on_refusal: makes the answer to what cannot be parsed or held: 400, 413, 431.
    on_error: makes the answer when the handler raised; the traceback is logged here.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        streams_body: Callable[[str], bool] | None = None,
        on_error: Callable[[Request, Exception], Response] = internal_error,
        on_refusal: Callable[[int], Response] = refusal,
    ) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.streams_body = streams_body
        self.on_error = on_error
        self.on_refusal = on_refusal
        self.heads = Heads()
        self.awake = Awake()
        self.connections: set[Connection] = set()
        self.closing = False
        self._listeners: list[asyncio.Server] = []
        self._group = asyncio.TaskGroup()
        self._sweeper: asyncio.Task[Never] | None = None
        self._idle = asyncio.Event()

    async def __aenter__(self) -> Server:
        await self._group.__aenter__()
        self._sweeper = self._group.create_task(self._sweep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(grace_s=0.0)
        await self._group.__aexit__(kind, err, trace)

    async def listen(
        self, host: str, port: int, ssl_context: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Accept connections at host:port. Returns the address bound. Raises OSError."""
        loop = asyncio.get_running_loop()
        timeout = self.limits.handshake_timeout_s if ssl_context else None
        listener = await loop.create_server(
            lambda: Connection(self),
            host,
            port,
            ssl=ssl_context,
            backlog=1024,
            reuse_address=True,
            ssl_handshake_timeout=timeout,
        )
        self._listeners.append(listener)
        name = listener.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def wait(self) -> Never:
        """Serve until cancelled."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    async def close(self, grace_s: float = 10.0) -> None:
        """Stop accepting, let requests under way end within grace_s, then drop what is left."""
        self.closing = True
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self.connections):
            connection.shut_down()
        if self.connections and grace_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._idle.wait()
        for connection in tuple(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def has_room(self, newcomer: Connection) -> bool:
        """Tell whether a connection may stay; above the bound the longest idle ones make room."""
        if len(self.connections) <= self.limits.connections:
            return True
        idle = [(t, c) for c in self.connections if (t := c.idle_since) is not None and c is not newcomer]
        idle.sort(key=lambda each: each[0])
        for _, connection in idle[: self.limits.connections // 100 + 1]:  # some at once: looking takes long
            self.connections.discard(connection)
            connection.abort()
        return bool(idle)

    def forget(self, connection: Connection) -> None:
        """A connection is lost."""
        self.connections.discard(connection)
        if self.closing and not self.connections:
            self._idle.set()

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Run work as a task of this server. work must not raise."""
        return self._group.create_task(_awaited(work))

    async def _sweep(self) -> Never:
        while True:
            await asyncio.sleep(5.0)
            now = time.monotonic()
            for connection in tuple(self.connections):
                connection.check_timeout(now)


async def _awaited(work: Awaitable[Any]) -> None:
    await work
