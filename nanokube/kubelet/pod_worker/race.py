"""Work that is given up when something happens first, or told of while it goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class Interrupted(Exception):
    """The event came first; the work was cancelled."""


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, _Value]) -> _Value:
    """Return what work returns, or raise what it raises; raise Interrupted if event is set before."""
    if event.is_set():
        work.close()
        raise Interrupted
    outcome: list[_Value] = []
    failure: list[Exception] = []

    async def guarded() -> None:
        # Errors are carried around the TaskGroup, which would wrap them.
        try:
            outcome.append(await work)
        except Exception as error:
            failure.append(error)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(guarded())
        watch = group.create_task(event.wait())
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        task.cancel()
    if failure:
        raise failure[0]
    if not outcome:
        raise Interrupted
    return outcome[0]


async def telling(
    event: asyncio.Event, tell: Callable[[], None], work: Coroutine[Any, Any, _Value]
) -> _Value:
    """Return what work returns, or raise what it raises; call tell each time event is set meanwhile."""
    outcome: list[_Value] = []
    failure: list[Exception] = []

    async def follow() -> None:
        while True:
            event.clear()
            await event.wait()
            tell()

    async with asyncio.TaskGroup() as group:
        watch = group.create_task(follow())
        try:
            outcome.append(await work)
        except Exception as error:  # carried around the TaskGroup, which would wrap it
            failure.append(error)
        finally:
            watch.cancel()
    if failure:
        raise failure[0]
    return outcome[0]
