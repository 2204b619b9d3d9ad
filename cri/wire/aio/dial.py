"""One HTTP/1.1 request on a connection of its own: for proxies, which must not share or reuse connections.

An answer is given as it comes; redirects are never followed.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence

import h11

from cri.wire.aio.pipe import LEAVE_S, StreamPipe
from cri.wire.errors import RemoteProtocolError

CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 64 * 1024

Fields = Sequence[tuple[str, str]]


class Answer:
    """The head of an answer and the connection behind it, which the caller closes."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        http: h11.Connection,
        head: h11.InformationalResponse | h11.Response,
    ) -> None:
        self._reader, self._writer, self._http = reader, writer, http
        self.status: int = head.status_code
        self.fields: Fields = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
        ]

    def field(self, name: str) -> str:
        """Return the first field called name (lower case), or ""."""
        return next((value for key, value in self.fields if key == name), "")

    @property
    def is_upgraded(self) -> bool:
        """The peer answered 101: use pipe()."""
        return self.status == 101

    def pipe(self) -> StreamPipe:
        """Return the upgraded connection, bytes that followed the head included."""
        return StreamPipe(self._reader, self._writer, self._http.trailing_data[0])

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises RemoteProtocolError if it is cut short, ConnectionError."""
        while True:
            event = await _next_event(self._reader, self._http)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    async def read(self, limit: int) -> bytes:
        """Return the body's first bytes."""
        data = b""
        async for part in self.body():
            data += part
            if len(data) >= limit:
                break
        return data[:limit]

    def abort(self) -> None:
        """Drop the connection at once."""
        self._writer.transport.abort()

    def abort_later(self) -> None:
        """Drop the connection once what its client said last has had time to get through."""
        asyncio.get_running_loop().call_later(LEAVE_S, self.abort)

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def dial(
    host: str,
    port: int,
    method: str,
    target: str,
    fields: Fields,
    body: bytes = b"",
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
    head_timeout_s: float | None = 30.0,
) -> Answer:
    """Connect, send a request and return the head of the answer.

    fields: without Host, Connection and the body's framing; an Upgrade field asks for an upgrade.
    server_name: whom the peer's certificate must be for, if that is not host.
    Raises OSError (TimeoutError, ssl.SSLError), RemoteProtocolError.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(
            host, port, ssl=tls, server_hostname=(server_name or host) if tls else None
        )
    try:
        http = h11.Connection(h11.CLIENT)
        writer.write(_encode(http, host, port, method, target, fields, body))
        async with asyncio.timeout(head_timeout_s):
            head = await _read_head(reader, http)
    except BaseException:
        writer.transport.abort()
        raise
    return Answer(reader, writer, http, head)


def _encode(
    http: h11.Connection, host: str, port: int, method: str, target: str, fields: Fields, body: bytes
) -> bytes:
    is_upgrade = any(name.lower() == "upgrade" for name, _ in fields)
    framing = [("Content-Length", str(len(body)))] if body or method in ("POST", "PUT", "PATCH") else []
    own = [
        ("Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
        ("Connection", "Upgrade" if is_upgrade else "close"),
        *([] if is_upgrade else framing),
    ]
    try:
        data = http.send(h11.Request(method=method, target=target, headers=[*own, *fields])) or b""
        if body and not is_upgrade:
            data += http.send(h11.Data(data=body)) or b""
        return data + (http.send(h11.EndOfMessage()) or b"")
    except h11.LocalProtocolError as err:
        raise RemoteProtocolError(f"cannot forward request: {err}") from err


async def _read_head(
    reader: asyncio.StreamReader, http: h11.Connection
) -> h11.InformationalResponse | h11.Response:
    while True:
        event = await _next_event(reader, http)
        if isinstance(event, h11.Response):
            return event
        if isinstance(event, h11.InformationalResponse):
            if event.status_code == 101:
                return event
        elif not isinstance(event, h11.Event):
            raise RemoteProtocolError("cannot read answer: the connection ended")


async def _next_event(
    reader: asyncio.StreamReader, http: h11.Connection
) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(CHUNK_BYTES))
    except h11.RemoteProtocolError as err:
        raise RemoteProtocolError(f"cannot read answer: {err}") from err
    return event
