"""Port-forward: connects each pair of a client's streams to a port in a sandbox."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence

from cri.streaming import backend as backends
from cri.streaming import claim
from cri.streaming.clients import CREATION_TIMEOUT_S
from cri.wire import channels, portforward
from cri.wire.aio import spdy
from cri.wire.aio.buffer import Buffer
from cri.wire.aio.websocket import WebSocket
from cri.wire.errors import RemoteProtocolError

CHUNK_BYTES = 32 * 1024


Connect = Callable[[int], asyncio.Future[socket.socket]]
"""Opens a connection to a port of the sandbox on a worker thread. Raises StreamFault, OSError."""


async def serve_spdy(session: spdy.Session, connect: Connect) -> None:
    """Serve pairs of streams until the client is gone; many at a time."""
    pairs: dict[str, _Pair] = {}
    async with asyncio.TaskGroup() as group:
        while stream := await session.accept():
            try:
                role = portforward.role(stream.stream_id, stream.headers)
            except RemoteProtocolError:
                await stream.reset()
                continue
            pair = pairs.get(role.request_id)
            if pair is None:
                pair = pairs[role.request_id] = _Pair(role.port)
                group.create_task(_serve_pair(pairs, role.request_id, pair, connect))
            if role.kind in pair.streams or role.port != pair.port:
                await stream.reset()
                continue
            await session.reply(stream)
            pair.streams[role.kind] = stream
            if len(pair.streams) == 2:
                pair.complete.set()


class _Pair:
    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: dict[str, spdy.Stream] = {}
        self.complete = asyncio.Event()


async def _serve_pair(pairs: dict[str, _Pair], request_id: str, pair: _Pair, connect: Connect) -> None:
    try:
        async with asyncio.timeout(CREATION_TIMEOUT_S):
            await pair.complete.wait()
    except TimeoutError:
        return
    finally:
        del pairs[request_id]
        if not pair.complete.is_set():
            for stream in pair.streams.values():
                with contextlib.suppress(ConnectionError):
                    await stream.reset()
    data, error = pair.streams[portforward.DATA], pair.streams[portforward.ERROR]
    error.received.discard()
    with contextlib.suppress(ConnectionError):
        try:
            connected = await _connected(connect, pair.port)
        except (OSError, backends.StreamFault) as err:
            # The data stream is reset so that the client lets go of its connection, as upstream does.
            await error.write(f"error forwarding port {pair.port}: {err}".encode())
            await error.end()
            await data.reset()
            return
        try:
            await _carry(data.received, data.write, data.end, connected)
        except OSError:
            # The client is done with this connection (it resets it then), or the Pod broke it off. A message
            # on the error stream would make kubectl give up the whole session.
            await data.reset()
        await error.end()
    data.received.discard()


async def _connected(connect: Connect, port: int) -> socket.socket:
    return await claim.claim(connect(port), socket.socket.close)


async def _carry(
    received: Buffer,
    write: Callable[[bytes], Awaitable[None]],
    end: Callable[[], Awaitable[None]],
    connected: socket.socket,
) -> None:
    """Copy both ways with half-close until both directions ended. Raises OSError."""
    connected.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connected)

    async def to_pod() -> None:
        while data := await received.take():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def from_pod() -> None:
        while data := await reader.read(CHUNK_BYTES):
            await write(data)
        await end()

    failures: ExceptionGroup[OSError] | None = None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(to_pod())
            group.create_task(from_pod())
    except* OSError as errors:
        failures = errors
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if failures is not None:  # raised in the clause it would be a group again before Python 3.11.4
        raise ConnectionResetError(str(failures.exceptions[0])) from failures


class WebSocketForward:
    """Port-forward by numbered channels: port i of the request has data 2i and error 2i + 1."""

    def __init__(
        self, websocket: WebSocket, dialect: channels.Dialect, ports: Sequence[int], connect: Connect
    ) -> None:
        self._websocket, self._dialect, self._ports, self._connect = websocket, dialect, ports, connect
        self._buffers = [Buffer() for _ in ports]

    async def run(self) -> None:
        """Read until the client is gone. Raises RemoteProtocolError."""
        decoder = channels.Decoder(self._dialect, 2 * len(self._ports))
        try:
            async for piece in self._websocket.pieces():
                for event in decoder.receive(piece.data, is_last=piece.is_last):
                    if event.channel % 2:
                        continue
                    buffer = self._buffers[event.channel // 2]
                    if isinstance(event, channels.Data):
                        await buffer.put(event.data)
                    else:
                        buffer.end()
        except ConnectionError:
            return
        finally:
            for buffer in self._buffers:
                buffer.end(ConnectionResetError("connection is closed"))

    async def serve(self) -> None:
        """Carry every port until all have ended, then close."""
        async with asyncio.TaskGroup() as group:
            for index in range(len(self._ports)):
                group.create_task(self._serve_port(index))
        await self._websocket.close()

    async def _serve_port(self, index: int) -> None:
        port = self._ports[index]
        for channel in (2 * index, 2 * index + 1):
            await self._send(channel, portforward.port_prefix(port))

        async def write(data: bytes) -> None:
            await self._send(2 * index, data)

        async def end() -> None:
            self._buffers[index].end()  # channels have no half-close towards the client

        try:
            connected = await _connected(self._connect, port)
        except (OSError, backends.StreamFault) as err:
            with contextlib.suppress(ConnectionError):
                await self._send(2 * index + 1, f"error forwarding port {port}: {err}".encode())
        else:
            with contextlib.suppress(OSError):
                await _carry(self._buffers[index], write, end, connected)
        self._buffers[index].discard()

    async def _send(self, channel: int, data: bytes) -> None:
        payload = channels.encode(self._dialect, channel, data)
        await self._websocket.send(payload, as_text=self._dialect.is_base64)
