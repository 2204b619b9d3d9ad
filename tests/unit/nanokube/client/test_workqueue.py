"""The work queue: each key once, never in two hands."""

import asyncio

import pytest

from nanokube.client import runner, workqueue
from nanokube.kit import virtual_time


def test_key_waits_once_and_comes_back_if_added_while_in_hand() -> None:
    async def scenario() -> None:
        queue = workqueue.WorkQueue()
        queue.add("a")
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert queue.idle

    virtual_time.run(scenario())


def test_earliest_timer_of_a_key_holds() -> None:
    async def scenario() -> None:
        queue = workqueue.WorkQueue()
        queue.add_after("a", 10)
        queue.add_after("a", 2)
        queue.add_after("a", 5)
        await queue.get()
        assert asyncio.get_running_loop().time() == pytest.approx(2)
        queue.close()

    virtual_time.run(scenario())


def test_cancelled_getter_loses_no_key() -> None:
    async def scenario() -> None:
        queue = workqueue.WorkQueue()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(queue.get())
            second = group.create_task(queue.get())
            await virtual_time.settle()
            queue.add("a")
            first.cancel()
            await virtual_time.settle()
            assert second.result() == "a"

    virtual_time.run(scenario())


def test_failing_key_backs_off_and_success_forgets() -> None:
    times: list[float] = []

    async def reconcile(key: str) -> float | None:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 4:
            raise ConnectionError("no")
        return None

    async def scenario() -> None:
        shell = runner.Runner("test", reconcile, workers=2)
        shell.queue.add("a")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(shell.run())
            await asyncio.sleep(1)
            task.cancel()
        assert times == pytest.approx([0, 0.005, 0.015, 0.035])
        assert shell.queue.failures("a") == 0

    virtual_time.run(scenario())
