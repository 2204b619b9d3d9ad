"""Tasks of which the first to end ends all."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class _Over(Exception):
    """One racer came in."""


async def first(*racers: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until one returns, then cancel the others and wait for them.

    Raises what one raised, bare: a group of errors is reduced to its first.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for racer in racers:
                group.create_task(_run(racer))
    except BaseExceptionGroup as errors:
        failures = errors.subgroup(lambda error: not isinstance(error, _Over | BaseExceptionGroup))
        if failures:
            raise leaf(failures) from errors


def leaf(error: BaseException) -> BaseException:
    """Return the first error inside nested groups."""
    return leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _run(racer: Coroutine[Any, Any, None]) -> None:
    await racer
    raise _Over
