"""Takes events to one backend: in batches from a bounded buffer, or with whoever waits for them.

What cannot be delivered is counted and logged, and lost: the server does not stop for its records, except
that STRICT lets requests fail.

Source: staging apiserver plugin/pkg/audit/{buffered,truncate}.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

from nanokube.apiserver.audit import event as events
from nanokube.apiserver.audit.metrics import AuditMetrics
from nanokube.apiserver.audit.settings import BATCH, STRICT, Delivery

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 64  # batches a parallel backend is sent at a time
DRAIN_S: Final = 3.0  # what the end of the server waits for what is buffered
GROUP: Final = 1024  # events of requests that wait which are delivered as one

Entry = tuple[bytes, "asyncio.Future[bool] | None"]


class Backend(Protocol):
    """Where events end up. name: in metrics. is_parallel: several batches may be under way."""

    name: str
    is_parallel: bool

    def render(self, event: Mapping[str, Any], encoded: bytes) -> bytes:
        """Give an event the form in which it is delivered."""
        ...

    async def deliver(self, items: list[bytes]) -> bool:
        """Deliver what render() made; tell whether that worked. Counts and logs what did not."""
        ...

    async def close(self) -> None:
        """Give back what is held."""
        ...


class Sink:
    """One backend and its queue."""

    def __init__(self, backend: Backend, delivery: Delivery, metrics: AuditMetrics) -> None:
        self._backend = backend
        self._delivery = delivery
        self._metrics = metrics
        self._waiting: deque[Entry] = deque()
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Semaphore(IN_FLIGHT if backend.is_parallel else 1)
        self._sending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tokens = float(delivery.burst)
        self._refilled = 0.0
        self._is_closed = False

    @property
    def is_strict(self) -> bool:
        """Requests whose first event is not delivered are refused."""
        return self._delivery.mode == STRICT

    def offer(self, event: Mapping[str, Any], encoded: bytes) -> asyncio.Future[bool] | None:
        """Take an event. Returns what the answer must wait for: whether it was delivered."""
        bound = self._delivery.max_event_bytes
        if bound and len(encoded) > bound:
            event = events.truncated(event)
            encoded = events.encode(event)
            if len(encoded) > bound:
                self._lost("truncate", 1, "event is too large even without bodies")
                return None
        is_batch = self._delivery.mode == BATCH
        if self._is_closed or (is_batch and len(self._waiting) >= self._delivery.buffer_size):
            self._lost("buffered", 1, "shut down" if self._is_closed else "buffer is full")
            return None
        waiter = None if is_batch else asyncio.get_running_loop().create_future()
        self._waiting.append((self._backend.render(event, encoded), waiter))
        self._some.set()
        if len(self._waiting) >= self._delivery.max_size:
            self._full.set()
        return waiter

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._await_batch()
                await self._throttle()
                await self._room.acquire()
                batch = self._take()
                if self._backend.is_parallel:
                    group.create_task(self._send(batch))
                else:
                    await self._send(batch)

    async def close(self) -> None:
        """Deliver what is buffered, within DRAIN_S; then close the backend."""
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._waiting:
                    await self._room.acquire()
                    await self._send(self._take())
                await self._idle.wait()
        if self._waiting:
            self._lost("buffered", len(self._waiting), "not delivered before the end")
            self._waiting.clear()
        await self._backend.close()

    async def _await_batch(self) -> None:
        """Wait until a batch is full, or has waited long enough."""
        await self._some.wait()
        if self._delivery.mode == BATCH and self._delivery.max_wait_s and self._delivery.max_size > 1:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delivery.max_wait_s):
                    await self._full.wait()

    async def _throttle(self) -> None:
        if not self._delivery.qps:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        gained = (now - self._refilled) * self._delivery.qps
        self._tokens = min(float(self._delivery.burst), self._tokens + gained) - 1
        self._refilled = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._delivery.qps)

    def _take(self) -> list[Entry]:
        """Take the next batch out of the queue, not longer than it may be."""
        # Nothing is gained by delivering lines of a log one by one.
        count = self._delivery.max_size if self._backend.is_parallel else GROUP
        found: list[Entry] = []
        size, bound = 0, self._delivery.max_batch_bytes
        while self._waiting and len(found) < count:
            size += len(self._waiting[0][0])
            if found and bound and size > bound:
                break
            found.append(self._waiting.popleft())
        if not self._waiting:
            self._some.clear()
        if len(self._waiting) < self._delivery.max_size:
            self._full.clear()
        return found

    async def _send(self, batch: list[Entry]) -> None:
        """Deliver a batch for which there is room."""
        self._sending += 1
        self._idle.clear()
        delivered = False
        try:
            delivered = not batch or await self._backend.deliver([item for item, _ in batch])
        except Exception as err:
            self._lost(self._backend.name, len(batch), str(err))
        finally:
            self._sending -= 1
            if not self._sending:
                self._idle.set()
            self._room.release()
            for _, waiter in batch:
                if waiter is not None and not waiter.done():
                    waiter.set_result(delivered)

    def _lost(self, plugin: str, count: int, cause: str) -> None:
        self._metrics.errors.labels(plugin).inc(count)
        log.error("audit events lost: plugin=%s count=%d cause=%s", plugin, count, cause)
