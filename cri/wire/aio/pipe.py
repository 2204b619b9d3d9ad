"""A byte pipe: what every driver here reads from and writes to."""

import asyncio
import contextlib
from typing import Protocol

from cri.wire.aio import race

CHUNK_BYTES = 64 * 1024
LEAVE_S = 10.0  # how long what a peer sent before it left may take to get through


class BytePipe(Protocol):
    """A connection as bytes. Reading less is how the peer is slowed; write waits while the peer is slow."""

    async def read(self) -> bytes:
        """Return some bytes; b"" at the end. Raises ConnectionError."""
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes, then wait until little enough is unsent. Raises ConnectionError."""
        ...

    async def close(self) -> None:
        """Send what is unsent and close; never raises."""
        ...


class StreamPipe:
    """A BytePipe over asyncio's streams. first: bytes that were read already."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b""
    ) -> None:
        self._reader, self._writer, self._first = reader, writer, first

    async def read(self) -> bytes:
        """Return some bytes; b"" at the end."""
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._reader.read(CHUNK_BYTES)

    async def write(self, data: bytes) -> None:
        """Send bytes and wait for room. Many may write at once; each call's bytes stay together."""
        if self._writer.is_closing():
            raise ConnectionResetError("connection is closed")
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """Send what is unsent and close."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def relay(one: BytePipe, other: BytePipe) -> None:
    """Copy bytes both ways until one side has ended and all that it sent was written. Closes neither."""
    await race.first(_copy(one, other), _copy(other, one))


async def _copy(source: BytePipe, target: BytePipe) -> None:
    is_gone = False
    with contextlib.suppress(ConnectionError):
        while data := await source.read():
            if not is_gone:
                try:
                    await target.write(data)
                except ConnectionError:
                    is_gone = True  # what the target sent before may be unread: the other copy ends with it
