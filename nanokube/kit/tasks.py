"""Shapes of long-running tasks. Every task is a child of a TaskGroup; none outlives its caller."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Never

log = logging.getLogger(__name__)


async def all_of(*parts: Coroutine[Any, Any, object]) -> None:
    """Run the parts together; the first failure cancels the others and is raised in an ExceptionGroup."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part)


async def every(
    interval_s: float, step: Callable[[], Awaitable[object]], *, name: str, at_once: bool = True
) -> Never:
    """Await step() each interval_s seconds; a failing step is logged and tried again at the next."""
    if not at_once:
        await asyncio.sleep(interval_s)
    while True:
        try:
            await step()
        except Exception as err:
            recover()
            log.warning("periodic step failed: step=%s error=%s", name, describe(err))
        await asyncio.sleep(interval_s)


def recover() -> None:
    """Take back the request to cancel that a failed TaskGroup leaves with the task that awaited it.

    To be called where its error is caught by a task that goes on. Python before 3.11.3 (Debian 12 has 3.11.2)
    takes what is left for a request from outside: the task's next asyncio.timeout raises CancelledError in
    place of TimeoutError, and the task ends without anybody hearing of it. Source: python/cpython gh-102780.
    From 3.13 on a group takes its own request back, and what is there came from outside: that stays.
    """
    if sys.version_info >= (3, 13):
        return
    task = asyncio.current_task()
    while task is not None and task.uncancel():
        pass


def describe(err: BaseException) -> str:
    """Put an error on one line: its class where the message alone would say nothing."""
    text = str(err)
    return text if text and type(err).__module__.startswith("nanokube.") else f"{type(err).__name__}: {text}"
