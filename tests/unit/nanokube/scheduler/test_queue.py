"""The scheduling queue: order, back-off, and what wakes an unschedulable Pod."""

import asyncio
from typing import Any

import pytest

from nanokube.kit import clock, virtual_time
from nanokube.scheduler import queue
from nanokube.scheduler.framework import Change
from nanokube.scheduler.model import PodInfo, pod_info


def pod(name: str, **spec: Any) -> PodInfo:
    return pod_info({"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": spec})


async def popped(waiting: queue.Queue) -> str:
    async with asyncio.timeout(1000):
        return (await waiting.pop()).pod.uid


def test_higher_priority_first_then_older() -> None:
    async def scenario() -> None:
        waiting = queue.Queue(clock.LoopClock())
        for name, priority in (("low", 0), ("high", 10), ("later", 0)):
            waiting.put(pod(name, priority=priority))
        assert [await popped(waiting) for _ in range(3)] == ["high", "low", "later"]

    virtual_time.run(scenario())


def test_only_a_change_that_may_help_wakes_an_unschedulable_pod() -> None:
    async def scenario() -> None:
        waiting = queue.Queue(clock.LoopClock())
        waiting.put(pod("a"))
        waiting.back(await waiting.pop(), Change.POD_GONE)
        await asyncio.sleep(5)
        waiting.changed(Change.NODE_CHANGED)
        assert waiting.place("a") == "unschedulable"
        waiting.changed(Change.POD_GONE)
        assert waiting.place("a") == "active"

    virtual_time.run(scenario())


def test_change_during_the_cycle_is_not_lost() -> None:
    async def scenario() -> None:
        waiting = queue.Queue(clock.LoopClock())
        waiting.put(pod("a"))
        taken = await waiting.pop()
        waiting.changed(Change.NODE_ADDED)
        waiting.back(taken, Change.NODE)
        assert waiting.place("a") == "backoff"
        assert await popped(waiting) == "a"
        assert asyncio.get_running_loop().time() == pytest.approx(queue.FIRST_BACKOFF_S, abs=0.01)

    virtual_time.run(scenario())


def test_backoff_doubles_to_its_limit() -> None:
    async def scenario() -> None:
        waiting = queue.Queue(clock.LoopClock())
        waiting.put(pod("a"))
        gaps, last = [], 0.0
        for _ in range(6):
            taken = await waiting.pop()
            now = asyncio.get_running_loop().time()
            gaps.append(round(now - last))
            last = now
            waiting.failed(taken)
        assert gaps == [0, 1, 2, 4, 8, 10]

    virtual_time.run(scenario())


def test_forgotten_pod_is_tried_again_in_five_minutes() -> None:
    async def scenario() -> None:
        waiting = queue.Queue(clock.LoopClock())
        waiting.put(pod("a"))
        waiting.back(await waiting.pop(), Change.POD_GONE)
        assert await popped(waiting) == "a"
        assert asyncio.get_running_loop().time() == pytest.approx(300, abs=0.01)

    virtual_time.run(scenario())


def test_gated_pod_waits_for_its_gates() -> None:
    async def scenario() -> None:
        waiting = queue.Queue(clock.LoopClock())
        waiting.put(pod("a", schedulingGates=[{"name": "x"}]))
        assert waiting.place("a") == "gated"
        waiting.changed(Change.ANY)
        assert waiting.place("a") == "gated"
        waiting.put(pod("a"))
        assert await popped(waiting) == "a"

    virtual_time.run(scenario())


def test_removed_pod_never_comes() -> None:
    async def scenario() -> None:
        waiting = queue.Queue(clock.LoopClock())
        waiting.put(pod("a"))
        waiting.put(pod("b"))
        waiting.remove("a")
        assert await popped(waiting) == "b"
        waiting.remove("b")
        assert len(waiting) == 0

    virtual_time.run(scenario())
