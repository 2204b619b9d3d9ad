"""A WebSocket over a byte pipe, after the handshake: pieces of messages in, messages out. Either end."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator

from wsproto import connection, events
from wsproto.utilities import ProtocolError as WsprotoError

from cri.wire.aio.pipe import BytePipe
from cri.wire.errors import RemoteProtocolError

NORMAL = 1000  # RFC 6455 7.4.1


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A part of a message."""

    data: bytes
    is_text: bool
    is_last: bool


class WebSocket:
    """One WebSocket. One task reads; many may send."""

    def __init__(self, pipe: BytePipe, *, server: bool = True) -> None:
        kind = connection.ConnectionType.SERVER if server else connection.ConnectionType.CLIENT
        self._pipe = pipe
        self._ws = connection.Connection(kind)

    async def pieces(self) -> AsyncIterator[Piece]:
        """Yield pieces of messages until the peer closes or is gone; answers pings.

        Raises RemoteProtocolError, ConnectionError.
        """
        while data := await self._pipe.read():
            for event in self._receive(data):
                match event:
                    case events.BytesMessage():
                        yield Piece(bytes(event.data), False, event.message_finished)
                    case events.TextMessage():
                        yield Piece(event.data.encode(), True, event.message_finished)
                    case events.Ping():
                        await self._send(event.response())
                    case events.CloseConnection():
                        if self._ws.state is connection.ConnectionState.REMOTE_CLOSING:
                            with contextlib.suppress(ConnectionError):  # a peer may not wait for it
                                await self._send(event.response())
                        return

    async def send(self, data: bytes, *, as_text: bool = False) -> None:
        """Send one message. Raises ConnectionError."""
        if as_text:
            await self._send(events.TextMessage(data.decode()))
        else:
            await self._send(events.BytesMessage(data))

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Send a close frame unless one was sent. Raises ConnectionError."""
        if self._ws.state is connection.ConnectionState.OPEN:
            await self._send(events.CloseConnection(code, reason[:120]))

    def _receive(self, data: bytes) -> list[events.Event]:
        try:
            self._ws.receive_data(data)
            return list(self._ws.events())
        except WsprotoError as err:
            raise RemoteProtocolError(f"cannot read WebSocket frame: {err}") from err

    async def _send(self, event: events.Event) -> None:
        is_answer = isinstance(event, events.CloseConnection)
        is_closing = self._ws.state is connection.ConnectionState.REMOTE_CLOSING
        if self._ws.state is not connection.ConnectionState.OPEN and not (is_closing and is_answer):
            raise ConnectionResetError("WebSocket is closed")
        await self._pipe.write(self._ws.send(event))


class TunnelPipe:
    """A BytePipe inside a WebSocket's binary messages: how SPDY crosses proxies (KEP-4006)."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._pieces = websocket.pieces()

    async def read(self) -> bytes:
        """Return some bytes; b"" at the end. Raises RemoteProtocolError on a text message."""
        async for piece in self._pieces:
            if piece.is_text:
                raise RemoteProtocolError("cannot accept a text message in a tunnel")
            if piece.data:
                return piece.data
        return b""

    async def write(self, data: bytes) -> None:
        """Send bytes as one message."""
        await self._websocket.send(data)

    async def close(self) -> None:
        """Send a close frame."""
        try:
            await self._websocket.close()
        except ConnectionError:
            return
