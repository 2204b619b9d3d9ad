"""Long work leaves others their turns, and ends whoever goes away."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from nanokube.apiserver.admission.policies import batches, policy, slices
from nanokube.apiserver.admission.policies.slices import SLICE_S, Steps, Work
from tests.unit.nanokube.apiserver.admission.policies.conftest import MAPS, bind, check, config_map
from tests.unit.nanokube.apiserver.conftest import Api


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
    assert slices.finish(Clock().steps()) == "done"


async def test_compiling_policies_does_not_keep_others(api: Api) -> None:
    """Counts turns, not time: with no patience each step is a slice."""
    with mock.patch.object(slices, "SLICE_S", 0.0), mock.patch.object(batches, "SIZE", 4):
        for number in range(20):
            condition = {"name": "only", "expression": f"size(object.metadata.name) > {number + 100}"}
            await bind(
                api, "validating", {"matchConditions": [condition], **check("false")}, name=f"p{number}"
            )
        turns, is_done = 0, False

        async def other() -> None:
            nonlocal turns
            while not is_done:
                turns += 1
                assert (await api("GET", f"{MAPS}/none")).code == 404
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(other())
            both = [group.create_task(api("POST", MAPS, config_map(name))) for name in ("a", "b")]
            for task in both:
                assert (await task).code == 201
            is_done = True
        assert turns > 3 * 20  # read, chosen, compiled


async def test_a_change_reads_only_what_changed(api: Api) -> None:
    for number in range(5):
        await bind(api, "validating", check("true"), name=f"p{number}")
    assert (await api("POST", MAPS, config_map("a"))).code == 201
    with mock.patch.object(policy, "read", side_effect=policy.read) as read:
        await bind(api, "validating", check("object.metadata.name != 'c'", message="never"), name="p7")
        assert (await api("POST", MAPS, config_map("b"))).code == 201
        assert (await api("POST", MAPS, config_map("c"))).code == 422
        assert read.call_count == 1
