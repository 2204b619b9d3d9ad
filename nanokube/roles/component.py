"""How a component runs in its process: an event loop that ends cleanly on SIGTERM.

SIGUSR1 writes the stack of every task to the log, as SIGQUIT does for Go programs: what a component
that seems to hang waits for.
"""

import asyncio
import contextlib
import io
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Never

import uvloop

log = logging.getLogger(__name__)

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
    loop.add_signal_handler(signal.SIGUSR1, _dump_tasks)
    with contextlib.suppress(asyncio.CancelledError):
        await run()


def _dump_tasks() -> None:
    for task in asyncio.all_tasks():
        stack = io.StringIO()
        with contextlib.suppress(TypeError):  # linecache of compiled code without source
            task.print_stack(file=stack)
        log.warning("task %s\n%s", task.get_name(), stack.getvalue())
