"""A SPDY connection over a byte pipe: streams to read and write, with back-pressure. Either end."""

import asyncio
import contextlib
from collections import deque

from cri.wire.aio.buffer import Buffer
from cri.wire.aio.pipe import BytePipe
from cri.wire.errors import ProtocolError
from cri.wire.spdy import connection, frames
from cri.wire.spdy.headers import Headers

DATA_BYTES = 32 * 1024  # a frame's payload; what Go's io.Copy sends


class Stream:
    """One stream of a session."""

    def __init__(self, session: "Session", stream_id: int, headers: Headers) -> None:
        self.stream_id, self.headers = stream_id, headers
        self._session = session
        self.received = Buffer()
        self.replied = asyncio.Event()

    async def read(self) -> bytes:
        """Return some bytes; b"" when the peer ended its direction. Raises ConnectionResetError."""
        data = await self.received.take()
        if data:
            await self._session.acknowledge(self, len(data))
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes and wait for room. Raises ConnectionError when the stream or connection is gone."""
        await self._session.send(self, data)

    async def end(self) -> None:
        """End our direction; nothing happens on a stream that is closed."""
        await self._session.end(self)

    async def reset(self) -> None:
        """End both directions at once; nothing happens on a stream that is closed."""
        self.received.discard()
        self.received.end(ConnectionResetError("stream was reset"))
        await self._session.reset(self)


class Session:
    """One connection. run() must be under way for anything to arrive."""

    def __init__(self, pipe: BytePipe, *, server: bool, flow_control: bool = False) -> None:
        self._pipe = pipe
        self._connection = connection.Connection(server=server, flow_control=flow_control)
        self._streams: dict[int, Stream] = {}
        self._accepted: deque[Stream] = deque()
        self._changed = asyncio.Condition()
        self._is_over = False

    async def run(self) -> None:
        """Read until the connection ends; then every stream has ended. Raises ProtocolError."""
        try:
            while data := await self._pipe.read():
                events = self._connection.receive(data)
                await self._flush()  # pings are answered before a slow stream is waited for
                for event in events:
                    await self._handle(event)
        except ConnectionError:
            pass
        finally:
            self._is_over = True
            for stream in self._streams.values():
                stream.received.end(ConnectionResetError("connection is closed"))
                stream.replied.set()
            async with self._changed:
                self._changed.notify_all()

    async def accept(self) -> Stream | None:
        """Wait for a stream that the peer opens, to be answered with reply() or reset(). None at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._accepted or self._is_over)
            return self._accepted.popleft() if self._accepted else None

    async def open(self, headers: Headers) -> Stream:
        """Open a stream; does not wait for the reply."""
        stream = Stream(self, self._connection.open(headers), headers)
        self._streams[stream.stream_id] = stream
        await self._flush()
        return stream

    async def reply(self, stream: Stream) -> None:
        """Accept a stream."""
        with contextlib.suppress(ProtocolError):  # reset or half-closed meanwhile
            self._connection.reply(stream.stream_id)
        await self._flush()

    async def leave(self) -> None:
        """Send GOAWAY."""
        self._connection.leave()
        with contextlib.suppress(ConnectionError):
            await self._flush()

    async def send(self, stream: Stream, data: bytes) -> None:
        """Send a stream's bytes. Raises ConnectionError."""
        position = 0
        while position < len(data):
            if self._is_over or not self._connection.is_sendable(stream.stream_id):
                raise ConnectionResetError(f"stream {stream.stream_id} is closed")
            room = min(DATA_BYTES, self._connection.window(stream.stream_id))
            if not room:
                async with self._changed:
                    await self._changed.wait()
                continue
            self._connection.send_data(stream.stream_id, data[position : position + room])
            position += room
            await self._flush()

    async def end(self, stream: Stream) -> None:
        """End our direction of a stream."""
        if self._connection.is_sendable(stream.stream_id) and not self._is_over:
            self._connection.send_data(stream.stream_id, b"", fin=True)
            await self._flush()

    async def reset(self, stream: Stream) -> None:
        """Reset a stream."""
        self._connection.reset(stream.stream_id, frames.Status.CANCEL)
        self._streams.pop(stream.stream_id, None)
        await self._flush()

    async def acknowledge(self, stream: Stream, count: int) -> None:
        """Report bytes that were consumed."""
        self._connection.acknowledge(stream.stream_id, count)
        await self._flush()

    async def _flush(self) -> None:
        if data := self._connection.data_to_send():
            await self._pipe.write(data)

    async def _handle(self, event: connection.Event) -> None:
        match event:
            case connection.StreamOpened():
                stream = Stream(self, event.stream_id, event.headers)
                self._streams[event.stream_id] = stream
                async with self._changed:
                    self._accepted.append(stream)
                    self._changed.notify_all()
            case connection.StreamReplied():
                if event.stream_id in self._streams:
                    self._streams[event.stream_id].replied.set()
            case connection.DataReceived():
                if event.stream_id in self._streams:
                    await self._streams[event.stream_id].received.put(event.data)
            case connection.StreamEnded():
                self._ended(event.stream_id, None)
            case connection.StreamReset():
                self._ended(event.stream_id, ConnectionResetError("stream was reset by the peer"))
            case connection.WindowOpened():
                async with self._changed:
                    self._changed.notify_all()
            case connection.PeerLeaving():
                pass  # the streams under way go on

    def _ended(self, stream_id: int, failure: ConnectionError | None) -> None:
        if stream := self._streams.get(stream_id):
            stream.received.end(failure)
            stream.replied.set()
            if not self._connection.is_sendable(stream_id):
                del self._streams[stream_id]
