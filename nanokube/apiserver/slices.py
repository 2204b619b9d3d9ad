"""Long work in slices: between them the server answers others.

Whoever needs the result does the work, one at a time; if that one goes away, the next goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from nanokube.api.steps import Steps

SLICE_S: Final = 0.005  # as long as a thread may keep others from running

T = TypeVar("T")


class Work(Generic[T]):
    """begin: makes the steps, each of some milliseconds at most. clock: seconds."""

    def __init__(self, begin: Callable[[], Steps[T]], clock: Callable[[], float] = time.perf_counter) -> None:
        self._begin = begin
        self._clock = clock
        self._steps: Steps[T] | None = None
        self._lock = asyncio.Lock()
        self._result: tuple[T] | None = None
        self.slices = 0

    @property
    def is_done(self) -> bool:
        """Whether the result is there."""
        return self._result is not None

    @property
    def value(self) -> T:
        """The result, once it is there."""
        assert self._result is not None
        return self._result[0]

    async def result(self) -> T:
        """Give the result once it is there. What a step raises is raised, and the next begins again."""
        if self._result is not None:
            return self._result[0]
        async with self._lock:
            while self._result is None:
                if self.slices:
                    await asyncio.sleep(0)
                self.slices += 1
                self._go_on(self._clock() + SLICE_S)
        return self._result[0]

    def _go_on(self, until: float) -> None:
        steps = self._steps or self._begin()
        self._steps = None
        try:
            while True:
                next(steps)
                if self._clock() >= until:
                    self._steps = steps
                    return
        except StopIteration as end:
            self._result = (end.value,)
