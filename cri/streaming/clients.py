"""The client's end of exec and attach: its input, terminal sizes, outputs and the final Status.

SpdyClient keeps each in a stream of its own, WebSocketClient in a numbered channel.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

from cri.wire import channels, remotecommand
from cri.wire.aio import spdy
from cri.wire.aio.buffer import Buffer
from cri.wire.aio.websocket import WebSocket
from cri.wire.channels import Channel

CREATION_TIMEOUT_S = 30.0  # upstream's DefaultStreamCreationTimeout
_CHANNELS: Mapping[str, Channel] = {
    remotecommand.STDOUT: Channel.STDOUT,
    remotecommand.STDERR: Channel.STDERR,
    remotecommand.ERROR: Channel.ERROR,
}


class Client(Protocol):
    """Input as two buffers, output by role (remotecommand.STDOUT, …)."""

    @property
    def stdin(self) -> Buffer: ...

    @property
    def sizes(self) -> Buffer: ...

    async def write(self, role: str, data: bytes) -> None:
        """Send output and wait for room. Raises ConnectionError."""
        ...

    async def finish(self, status: dict[str, Any]) -> None:
        """Send the Status and end the streams. Raises ConnectionError."""
        ...


class SpdyClient:
    """A client that opened one SPDY stream for each role."""

    def __init__(self, session: spdy.Session, streams: Mapping[str, spdy.Stream], protocol: str) -> None:
        self._session, self._streams, self._protocol = session, streams, protocol
        nothing = Buffer()
        nothing.end()
        stdin, resize = streams.get(remotecommand.STDIN), streams.get(remotecommand.RESIZE)
        self.stdin = stdin.received if stdin else nothing
        self.sizes = resize.received if resize else nothing

    async def write(self, role: str, data: bytes) -> None:
        """Send output on its stream; dropped if the client opened none."""
        if stream := self._streams.get(role):
            await stream.write(data)

    async def finish(self, status: dict[str, Any]) -> None:
        """Send the Status on the error stream, end all streams, say goodbye."""
        as_json = remotecommand.has_status(self._protocol)
        if data := remotecommand.encode_status(status, as_json=as_json):
            await self._streams[remotecommand.ERROR].write(data)
        for stream in self._streams.values():
            stream.received.discard()
            await stream.end()
        await self._session.leave()


async def gather_spdy(
    session: spdy.Session, options: remotecommand.Options, protocol: str
) -> SpdyClient | None:
    """Accept the streams that the options call for; None if the client does not open them in time."""
    expected = remotecommand.expected_streams(options, protocol)
    streams: dict[str, spdy.Stream] = {}
    try:
        async with asyncio.timeout(CREATION_TIMEOUT_S):
            while not expected <= streams.keys():
                stream = await session.accept()
                if stream is None:
                    return None
                role = stream.headers.get(remotecommand.STREAM_TYPE, "")
                if role not in expected or role in streams:
                    await stream.reset()
                    continue
                await session.reply(stream)
                streams[role] = stream
    except TimeoutError:
        return None
    for role in streams.keys() - {remotecommand.STDIN, remotecommand.RESIZE}:
        streams[role].received.discard()  # the client has nothing to say there
    return SpdyClient(session, streams, protocol)


class WebSocketClient:
    """A client that speaks numbered channels."""

    def __init__(
        self, websocket: WebSocket, dialect: channels.Dialect, options: remotecommand.Options
    ) -> None:
        self._websocket, self._dialect = websocket, dialect
        self.stdin, self.sizes = Buffer(), Buffer()
        self._opened = Channel.STDOUT if options.stdout else Channel.ERROR
        if options.stderr and not options.stdout:
            self._opened = Channel.STDERR
        if not options.stdin:
            self.stdin.end()

    async def open(self) -> None:
        """Send an empty message: the connection stands. Whoever left already may have sent input."""
        with contextlib.suppress(ConnectionError):
            await self._send(self._opened, b"")

    async def run(self) -> None:
        """Read until the client is gone; input in text messages too, as some clients send it.

        Raises RemoteProtocolError.
        """
        decoder = channels.Decoder(self._dialect)
        try:
            async for piece in self._websocket.pieces():
                for event in decoder.receive(piece.data, is_last=piece.is_last):
                    await self._handle(event)
        except ConnectionError:
            return
        finally:
            self.stdin.end()
            self.sizes.end()

    async def write(self, role: str, data: bytes) -> None:
        """Send output on its channel."""
        await self._send(_CHANNELS[role], data)

    async def finish(self, status: dict[str, Any]) -> None:
        """Send the Status on the error channel, then a close frame."""
        if data := remotecommand.encode_status(status, as_json=self._dialect.has_status):
            await self._send(Channel.ERROR, data)
        self.stdin.discard()
        self.sizes.discard()
        await self._websocket.close()

    async def _send(self, channel: Channel, data: bytes) -> None:
        payload = channels.encode(self._dialect, channel, data)
        await self._websocket.send(payload, as_text=self._dialect.is_base64)

    async def _handle(self, event: channels.Data | channels.HalfClosed) -> None:
        match event:
            case channels.Data(Channel.STDIN, data):
                await self.stdin.put(data)
            case channels.Data(Channel.RESIZE, data):
                await self.sizes.put(data)
            case channels.HalfClosed(Channel.STDIN):
                self.stdin.end()
            case _:
                pass  # upstream ignores what a client writes to our own channels
