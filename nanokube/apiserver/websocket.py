"""Streams over WebSocket: logs and watches for clients that cannot read a chunked body (browsers).

Source: staging apiserver pkg/util/wsstream/stream.go, pkg/endpoints/handlers/watch.go; RFC 6455.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from wsproto import connection, events
from wsproto.utilities import ProtocolError

from cri.wire import upgrade
from nanokube.api import errors
from nanokube.kit.http.message import Answer, Request, StreamResponse, UpgradeResponse
from nanokube.kit.http.stream import Stream, Tunnel

# subprotocol -> whether bytes go as base64 text
PROTOCOLS: Final[Mapping[str, bool]] = {"": False, "binary.k8s.io": False, "base64.binary.k8s.io": True}


def carry(request: Request, answer: StreamResponse, *, is_lines: bool = False) -> Answer:
    """Send a stream's body over the WebSocket that a request asks for, if it does. Raises ApiError (400).

    is_lines: each line is a message of text, as events of a watch are; else bytes, as the subprotocol says.
    """
    if request.upgrade != "websocket":
        return answer
    wish, chosen = _handshake(request)

    async def run(tunnel: Tunnel) -> None:
        messages = Messages(tunnel, _lines if is_lines else _base64 if PROTOCOLS[chosen] else _bytes)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(messages.read())
            try:
                with contextlib.suppress(ConnectionResetError):
                    await answer.run(messages)
            finally:
                messages.finish()
                reader.cancel()

    return UpgradeResponse("websocket", run, headers=upgrade.accept_fields(wish, chosen))


def check(request: Request) -> None:
    """Refuse what carry would refuse, before a server behind us is asked. Raises ApiError (400)."""
    if request.upgrade == "websocket":
        _handshake(request)


def _handshake(request: Request) -> tuple[upgrade.Wish, str]:
    wish = upgrade.parse(request.headers)
    if wish is None or not upgrade.is_valid_key(wish.key):
        raise errors.bad_request("cannot upgrade to WebSocket: no valid Sec-WebSocket-Key")
    chosen = next((each for each in wish.protocols if each in PROTOCOLS), "")
    if wish.protocols and not chosen:
        raise errors.bad_request(f"cannot upgrade to WebSocket: none of {list(wish.protocols)} is supported")
    return wish, chosen


Encode = Callable[[bytes], Iterable[events.Event]]


def _bytes(data: bytes) -> Iterable[events.Event]:
    return [events.BytesMessage(data)] if data else []


def _base64(data: bytes) -> Iterable[events.Event]:
    return [events.TextMessage(base64.b64encode(data).decode())] if data else []


def _lines(data: bytes) -> Iterable[events.Event]:
    return (events.TextMessage(line.decode()) for line in data.splitlines(keepends=True))


class Messages(Stream):
    """A stream whose writes are messages of a WebSocket."""

    __slots__ = ("_connection", "_encode", "_tunnel")

    def __init__(self, tunnel: Tunnel, encode: Encode) -> None:
        self._tunnel = tunnel
        self._encode = encode
        self._connection = connection.Connection(connection.ConnectionType.SERVER)

    def write(self, data: bytes) -> None:
        """Send data as messages. Raises ConnectionResetError when the peer is gone or too slow."""
        for event in self._encode(data):
            self._send(event)

    def write_framed(self, framed: bytes) -> None:
        """Send what frame() made. Raises as write does."""
        self.write(framed[framed.index(b"\r\n") + 2 : -2])

    async def drain(self) -> None:
        """Wait until the peer has taken what was written."""
        await self._tunnel.drain()

    async def wait_closed(self) -> None:
        """Wait until the peer is gone."""
        await self._tunnel.wait_closed()

    @property
    def closed(self) -> bool:
        """The peer is gone."""
        return self._tunnel.closed

    def abort(self) -> None:
        """Drop the connection, so that the peer sees that the stream is incomplete."""
        self._tunnel.abort()

    def finish(self) -> None:
        """Say that all was sent, unless the peer is gone."""
        if self._connection.state is connection.ConnectionState.OPEN:
            with contextlib.suppress(ConnectionResetError):
                self._send(events.CloseConnection(1000))

    async def read(self) -> None:
        """Answer pings, drop messages; when the peer leaves, or breaks the protocol, drop the connection."""
        try:
            while data := await self._tunnel.read():
                self._connection.receive_data(data)
                for event in self._connection.events():
                    if isinstance(event, events.Ping):
                        self._send(event.response())
                    elif isinstance(event, events.CloseConnection):
                        if self._connection.state is connection.ConnectionState.REMOTE_CLOSING:
                            self._send(event.response())
                        return self._tunnel.abort()
        except (ProtocolError, ConnectionResetError):
            pass
        self._tunnel.abort()

    def _send(self, event: events.Event) -> None:
        if self._connection.state in (
            connection.ConnectionState.CLOSED,
            connection.ConnectionState.LOCAL_CLOSING,
        ):
            raise ConnectionResetError("WebSocket is closed")
        self._tunnel.write(self._connection.send(event))
