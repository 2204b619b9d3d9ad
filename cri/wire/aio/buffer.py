"""A bounded buffer of bytes between the task that reads a connection and the task that uses a stream."""

import asyncio
from collections import deque

LIMIT_BYTES = 256 * 1024


class Buffer:
    """Bytes with an end. One task puts, one takes; both may wait."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit, self._size = limit, 0
        self._parts: deque[bytes] = deque()
        self._is_ended = self._is_discarding = False
        self._failure: ConnectionError | None = None
        self._changed = asyncio.Event()

    async def put(self, data: bytes) -> None:
        """Add bytes once fewer than the limit wait. Bytes after the end or after discard() vanish."""
        while self._size >= self._limit and not self._is_discarding and not self._is_ended:
            await self._wait()
        if not self._is_discarding and not self._is_ended and data:
            self._parts.append(data)
            self._size += len(data)
            self._changed.set()

    def end(self, failure: ConnectionError | None = None) -> None:
        """Mark the end; takers get what is left, then b"" or the failure."""
        if not self._is_ended:
            self._is_ended, self._failure = True, failure
            self._changed.set()

    def discard(self) -> None:
        """Nobody takes any more: let putting go on without effect."""
        self._is_discarding = True
        self._parts.clear()
        self._size = 0
        self._changed.set()

    async def take(self) -> bytes:
        """Return the next part; b"" at the end. Raises the failure it ended with."""
        while not self._parts and not self._is_ended:
            await self._wait()
        if self._parts:
            part = self._parts.popleft()
            self._size -= len(part)
            self._changed.set()
            return part
        if self._failure:
            raise self._failure
        return b""

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
