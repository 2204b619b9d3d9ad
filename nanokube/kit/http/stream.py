"""What a handler holds while a body or a tunnel lives: Stream, BodyStream, Tunnel. One event loop only.

Writes never block: `write` puts bytes into the transport and `drain` waits until the peer has taken enough.
A writer that does not drain is stopped by the bound on buffered bytes: the connection of a slow reader is
aborted (the rule for watches: cut off, never waited for).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable

MAX_BUFFERED_BYTES = 8 << 20


class Flow:
    """Write side of a transport: back-pressure, the bound, and whether it is lost."""

    __slots__ = ("_closed", "_resumed", "lost", "max_buffered", "paused_at", "transport")

    def __init__(self, transport: asyncio.Transport, max_buffered: int = MAX_BUFFERED_BYTES) -> None:
        self.transport = transport
        self.max_buffered = max_buffered
        self.lost = False
        self.paused_at = 0.0  # monotonic
        self._resumed: asyncio.Event | None = None
        self._closed: asyncio.Event | None = None

    def write(self, data: bytes) -> None:
        """Queue data. Raises ConnectionResetError when the peer is gone or too slow."""
        if self.lost:
            raise ConnectionResetError("peer is gone")
        self.transport.write(data)
        if self.transport.get_write_buffer_size() > self.max_buffered:
            self.abort()
            raise ConnectionResetError("peer reads too slowly")

    async def drain(self) -> None:
        """Wait until the peer has taken what was written. Raises ConnectionResetError when it is gone."""
        if self._resumed is not None:
            await self._resumed.wait()
        if self.lost:
            raise ConnectionResetError("peer is gone")

    async def wait_closed(self) -> None:
        """Wait until the connection is lost."""
        if not self.lost:
            if self._closed is None:
                self._closed = asyncio.Event()
            await self._closed.wait()

    def abort(self) -> None:
        """Drop the connection and what is buffered."""
        self.transport.abort()

    def pause(self) -> None:
        """The transport's buffer is above its high-water mark."""
        if self._resumed is None:
            self._resumed = asyncio.Event()
            self.paused_at = time.monotonic()

    @property
    def is_paused(self) -> bool:
        """The peer has yet to take what was written."""
        return self._resumed is not None

    def resume(self) -> None:
        """The transport's buffer is below its low-water mark."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    def set_lost(self) -> None:
        """The connection is lost: wake everyone."""
        self.lost = True
        self.resume()
        if self._closed is not None:
            self._closed.set()


def frame(data: bytes) -> bytes:
    """Frame data as one chunk of the chunked coding, to be written to many streams (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def joined(frames: Iterable[bytes]) -> bytes:
    """Make one chunk of several that frame() made."""
    return frame(b"".join([memoryview(each)[each.index(b"\r\n") + 2 : -2] for each in frames]))


class Stream:
    """The body of a StreamResponse."""

    __slots__ = ("_chunked", "_flow", "_silent")

    def __init__(self, flow: Flow, *, chunked: bool, silent: bool = False) -> None:
        self._flow = flow
        self._chunked = chunked  # False for HTTP/1.0 peers: the end of the connection ends the body
        self._silent = silent  # the answer to HEAD has no body

    def write(self, data: bytes) -> None:
        """Send data as one chunk. Raises ConnectionResetError when the peer is gone or too slow."""
        if data and not self._silent:
            self._flow.write(frame(data) if self._chunked else data)

    def write_framed(self, framed: bytes) -> None:
        """Send what frame() made. Raises as write does."""
        if self._chunked and not self._silent:
            self._flow.write(framed)
        elif not self._silent:
            self._flow.write(framed[framed.index(b"\r\n") + 2 : -2])

    async def drain(self) -> None:
        """Wait until the peer has taken what was written."""
        await self._flow.drain()

    async def wait_closed(self) -> None:
        """Wait until the peer is gone."""
        await self._flow.wait_closed()

    @property
    def closed(self) -> bool:
        """The peer is gone."""
        return self._flow.lost

    def abort(self) -> None:
        """Drop the connection, so that the peer sees that the body is incomplete."""
        self._flow.abort()

    def end(self) -> None:
        """Send the last chunk; the server does this when the handler's run returns."""
        if self._chunked and not self._silent and not self._flow.lost:
            self._flow.transport.write(b"0\r\n\r\n")


class _Inbox:
    """Bytes that arrived, for one reader that pulls; pauses the transport above high_bytes."""

    __slots__ = ("_eof", "_parts", "_paused", "_size", "_transport", "_wake", "high_bytes")

    def __init__(self, transport: asyncio.Transport, high_bytes: int = 1 << 18) -> None:
        self._transport = transport
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._eof = False
        self._paused = False
        self._wake: asyncio.Future[None] | None = None
        self.high_bytes = high_bytes

    def feed(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self.high_bytes and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
        self._notify()

    def feed_eof(self) -> None:
        self._eof = True
        self._notify()

    async def read(self) -> bytes:
        while not self._parts:
            if self._eof:
                return b""
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class BodyStream:
    """The body of a request that the handler pulls."""

    __slots__ = ("_broken", "_inbox")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._inbox = _Inbox(transport)
        self._broken = False

    async def read(self) -> bytes:
        """Take what has arrived; b"" is the end. Raises ConnectionResetError if it was cut."""
        data = await self._inbox.read()
        if not data and self._broken:
            raise ConnectionResetError("peer is gone before the end of the request's body")
        return data

    def feed(self, data: bytes) -> None:
        """Server side: more bytes came."""
        self._inbox.feed(data)

    def feed_eof(self, *, broken: bool = False) -> None:
        """Server side: the body is complete, or broken off."""
        self._broken = broken
        self._inbox.feed_eof()


class Tunnel:
    """A connection that left HTTP. Read by pulling (`read`) or by callbacks (`receive`), not both."""

    __slots__ = ("_flow", "_inbox", "_on_data", "_on_eof")

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._inbox = _Inbox(flow.transport)
        self._on_data: Callable[[bytes], None] | None = None
        self._on_eof: Callable[[], None] | None = None

    async def read(self) -> bytes:
        """Take what has arrived; b"" when the peer closed. Pauses the peer while unread."""
        return await self._inbox.read()

    def receive(self, on_data: Callable[[bytes], None], on_eof: Callable[[], None]) -> None:
        """Have bytes delivered to on_data and the peer's close to on_eof (once), what has arrived first."""
        self._on_data, self._on_eof = on_data, on_eof
        parts, self._inbox._parts = self._inbox._parts, deque()
        for part in parts:
            on_data(part)
        if self._inbox._paused:
            self._inbox._paused = False
            self._flow.transport.resume_reading()
        if self._inbox._eof:
            on_eof()

    def write(self, data: bytes) -> None:
        """Send data. Raises ConnectionResetError when the peer is gone, or leaves 8 MiB unread."""
        self._flow.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken what was written. Raises ConnectionResetError when it is gone."""
        await self._flow.drain()

    def pause_reading(self) -> None:
        """Stop reading from the peer."""
        if not self._flow.transport.is_closing():
            self._flow.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the peer again."""
        if not self._flow.transport.is_closing():
            self._flow.transport.resume_reading()

    def close(self) -> None:
        """Send what is buffered, then close."""
        self._flow.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._flow.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is lost."""
        await self._flow.wait_closed()

    @property
    def closed(self) -> bool:
        """The peer is gone."""
        return self._flow.lost

    def feed(self, data: bytes) -> None:
        """Server side: bytes came."""
        if self._on_data is not None:
            self._on_data(data)
        else:
            self._inbox.feed(data)

    def feed_eof(self) -> None:
        """Server side: the peer closed."""
        if self._inbox._eof:
            return
        self._inbox.feed_eof()
        if self._on_eof is not None:
            self._on_eof()
