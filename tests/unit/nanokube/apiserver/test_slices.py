"""Long work leaves others their turns, and ends whoever goes away."""

from __future__ import annotations

import asyncio

import pytest

from nanokube.api import steps
from nanokube.api.steps import Steps
from nanokube.apiserver.slices import SLICE_S, Work


class Clock:
    """Each step takes a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0
        self.begun = 0

    def __call__(self) -> float:
        return self.now

    def steps(self, count: int = 50) -> Steps[str]:
        self.begun += 1
        for _ in range(count):
            self.now += 0.001
            yield
        return "done"


async def test_work_is_done_in_slices_once() -> None:
    clock = Clock()
    work = Work(clock.steps, clock)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while not work.is_done:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(other())
        waiting = [group.create_task(work.result()) for _ in range(3)]
    assert [task.result() for task in waiting] == ["done"] * 3
    assert (clock.begun, work.slices) == (1, 1 + 50 * 0.001 // SLICE_S)
    assert turns >= work.slices - 1
    assert work.value == await work.result() == "done"


async def test_another_goes_on_when_one_goes_away() -> None:
    clock = Clock()
    work = Work(clock.steps, clock)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(work.result())
        second = group.create_task(work.result())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
    assert first.cancelled()
    assert (second.result(), clock.begun) == ("done", 1)


async def test_what_fails_is_begun_again() -> None:
    clock = Clock()

    def steps() -> Steps[str]:
        found = yield from clock.steps(2)
        if clock.begun == 1:
            raise ValueError("cannot")
        return found

    work = Work(steps, clock)
    with pytest.raises(ValueError, match="cannot"):
        await work.result()
    assert await work.result() == "done"


def test_all_at_once() -> None:
    assert steps.finish(Clock().steps()) == "done"
