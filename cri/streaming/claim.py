"""Waits for a resource that a worker thread opens, without losing it when the waiter is cancelled."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def claim(opening: asyncio.Future[T], discard: Callable[[T], object]) -> T:
    """Return what `opening` yields; if cancelled meanwhile, what it yields later goes to `discard`."""

    def late(done: asyncio.Future[T]) -> None:
        if not done.cancelled() and done.exception() is None:
            discard(done.result())

    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(late)
        raise
