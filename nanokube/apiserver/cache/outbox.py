"""Who has something to send to a client, and whose turn it is: watches take turns with everything else.

A change is given to all its watches at once, which is cheap, but sent to a slice of them at a time, which
is not: TLS and the kernel take some 25 us for each. Between slices the loop serves requests. What comes
meanwhile for a watch whose turn has not come yet is sent along, in one piece: the busier the server, the
less an event costs. So slices are short: the next commit may be near. Writers wait while too much is left
to send, or they would run away from their watchers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from nanokube.kit.http.stream import joined

SLICE: Final = 16  # watches at a time: under 0.5 ms
MOST: Final = 1500  # events left to send above which writers wait: some 30 ms


class Sender(Protocol):
    """Who was added to an outbox."""

    def send(self) -> int:
        """Send what has gathered and tell how many events that was. Must neither block nor raise."""
        ...


class Outbox:
    """One a server; belongs to its loop."""

    def __init__(self) -> None:
        self._turns: deque[Sender] = deque()
        self._is_scheduled = False
        self._left = 0
        self._writers: list[asyncio.Future[None]] = []
        self._frames: Sequence[bytes] = ()
        self._joined = b""

    def add(self, sender: Sender, *, is_first: bool) -> None:
        """Count an event that sender wants to send. is_first: it waits for no turn yet."""
        self._left += 1
        if is_first:
            self._turns.append(sender)
            self._schedule()

    def flush(self) -> None:
        """Let a slice of the senders send; the others follow soon."""
        turns = self._turns
        try:
            for _ in range(min(SLICE, len(turns))):
                self._left -= turns.popleft().send()
        finally:
            if turns:
                self._schedule()
            else:
                self._left, self._frames, self._joined = 0, (), b""
        if self._writers and self._left <= MOST:
            writers, self._writers = self._writers, []
            for writer in writers:
                if not writer.done():
                    writer.set_result(None)

    def one_piece(self, frames: Sequence[bytes]) -> bytes:
        """Join frames into one; watches that follow each other mostly send the same."""
        if len(frames) == 1:
            return frames[0]
        if frames != self._frames:
            self._frames, self._joined = frames, joined(frames)
        return self._joined

    def forget(self, count: int) -> None:
        """Take back events that were sent out of turn."""
        self._left -= count

    @property
    def is_full(self) -> bool:
        """Writers should wait."""
        return self._left > MOST

    async def room(self) -> None:
        """Wait until less is left to send. What clients do not read is no part of that."""
        writer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writers.append(writer)
        await writer

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        self.flush()
