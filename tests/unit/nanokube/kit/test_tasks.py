"""Shapes of long-running tasks."""

import asyncio

from nanokube.kit import tasks, virtual_time


def test_a_failed_group_leaves_no_request_to_cancel_for_the_next_run() -> None:
    async def scenario() -> None:
        seen: list[int] = []

        async def fail() -> None:
            await asyncio.sleep(1)
            raise RuntimeError("no")

        async def part() -> None:
            task = asyncio.current_task()
            assert task is not None
            seen.append(task.cancelling())
            await tasks.all_of(fail(), asyncio.sleep(60))

        async with asyncio.TaskGroup() as group:
            looping = group.create_task(tasks.every(1, part, name="part"))
            await asyncio.sleep(30)
            looping.cancel()
        assert len(seen) > 4
        assert set(seen) == {0}

    virtual_time.run(scenario())
