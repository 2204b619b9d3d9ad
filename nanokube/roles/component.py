"""How a component runs in its process: an event loop that ends cleanly on SIGTERM."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import Never

import uvloop

Run = Callable[[], Awaitable[Never]]


def run_until_stopped(run: Run) -> None:
    """Run a component until SIGTERM or SIGINT cancels it, or until it fails."""
    uvloop.run(_supervised(run))


async def _supervised(run: Run) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await run()
