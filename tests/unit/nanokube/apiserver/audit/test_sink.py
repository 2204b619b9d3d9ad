"""Batches, bounds, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from nanokube.apiserver.audit import event as events
from nanokube.apiserver.audit import sink as sinks
from nanokube.apiserver.audit.metrics import AuditMetrics
from nanokube.apiserver.audit.settings import BATCH, BLOCKING, Delivery
from nanokube.apiserver.audit.sink import Sink


class Taken:
    """A backend that keeps batches, at the speed of its gate."""

    name = "taken"

    def __init__(self, *, is_parallel: bool = False, works: bool = True) -> None:
        self.is_parallel = is_parallel
        self.works = works
        self.batches: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def render(self, event: Mapping[str, Any], encoded: bytes) -> bytes:
        return encoded

    async def deliver(self, items: list[bytes]) -> bool:
        self.batches.append(items)
        await self.gate.wait()
        return self.works

    async def close(self) -> None:
        pass

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


def offer(sink: Sink, count: int = 1, **fields: Any) -> list[asyncio.Future[bool] | None]:
    event = {"level": "Request", **fields}
    return [sink.offer(event, events.encode(event)) for _ in range(count)]


async def run(sink: Sink, seconds: float = 0.02) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await sink.run()


async def test_a_full_batch_goes_at_once_and_the_rest_after_a_wait() -> None:
    backend = Taken(is_parallel=True)
    sink = Sink(backend, Delivery(BATCH, max_size=4, max_wait_s=0.05), AuditMetrics())
    assert offer(sink, 10) == [None] * 10
    await run(sink)
    assert backend.sizes == [4, 4]
    await run(sink, 0.1)
    assert backend.sizes == [4, 4, 2]


async def test_what_exceeds_the_buffer_is_lost_and_counted() -> None:
    metrics, backend = AuditMetrics(), Taken(is_parallel=True)
    sink = Sink(backend, Delivery(BATCH, buffer_size=3, max_size=2), metrics)
    offer(sink, 5)
    await sink.close()
    assert backend.sizes == [2, 1]
    assert metrics.errors.labels("buffered")._value.get() == 2
    offer(sink)
    assert metrics.errors.labels("buffered")._value.get() == 3


async def test_a_slow_backend_is_sent_no_more_than_it_is_let(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "IN_FLIGHT", 2)
    monkeypatch.setattr(sinks, "DRAIN_S", 0.05)
    metrics, backend = AuditMetrics(), Taken(is_parallel=True)
    backend.gate.clear()
    sink = Sink(backend, Delivery(BATCH, max_size=1), metrics)
    offer(sink, 5)
    await run(sink)
    assert backend.sizes == [1, 1]
    backend.batches.clear()
    await sink.close()
    assert metrics.errors.labels("buffered")._value.get() > 0


async def test_batches_are_throttled() -> None:
    backend = Taken(is_parallel=True)
    sink = Sink(backend, Delivery(BATCH, max_size=1, qps=20, burst=2), AuditMetrics())
    offer(sink, 6)
    await run(sink, 0.12)
    assert 3 <= len(backend.batches) <= 5


@pytest.mark.parametrize("works", [True, False])
async def test_blocking_tells_whether_it_worked(*, works: bool) -> None:
    backend = Taken(works=works)
    sink = Sink(backend, Delivery(BLOCKING), AuditMetrics())
    waiters = offer(sink, 3)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(sink.run())
        assert [await waiter for waiter in waiters if waiter] == [works] * 3
        running.cancel()
    assert backend.sizes == [3]


async def test_bodies_are_left_out_of_what_is_too_long() -> None:
    metrics, backend = AuditMetrics(), Taken()
    sink = Sink(backend, Delivery(BATCH, max_size=9, max_event_bytes=200), metrics)
    offer(sink, requestObject={"a": "x" * 300}, responseObject={}, annotations={"b": "c"})
    offer(sink, requestURI="x" * 300)
    await sink.close()
    ((only,),) = backend.batches
    assert orjson.loads(only) == {
        "level": "Request",
        "annotations": {"b": "c", "audit.k8s.io/truncated": "true"},
    }
    assert metrics.errors.labels("truncate")._value.get() == 1


async def test_a_batch_is_split_by_bytes() -> None:
    backend = Taken(is_parallel=True)
    sink = Sink(backend, Delivery(BATCH, max_size=9, max_batch_bytes=50), AuditMetrics())
    offer(sink, 5)
    await sink.close()
    assert backend.sizes == [2, 2, 1]
