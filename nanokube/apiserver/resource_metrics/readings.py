"""What kubelets say that is used, asked when somebody wants to know and kept for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from cri.wire.errors import ProtocolError
from nanokube.api import errors, objects, resource_metrics
from nanokube.api.resource_metrics import Reading
from nanokube.kit.clock import Clock

log = logging.getLogger(__name__)

FRESH_S: Final = 10.0  # metrics-server reads every 15 s (--metric-resolution)
BASE_S: Final = 120.0  # an older reading tells nothing of now
FIRST_WINDOW_S: Final = 1.0
AT_ONCE: Final = 32

Pair = tuple[Reading, Reading]
Fetch = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
Sleep = Callable[[float], Awaitable[None]]


class Readings:
    """The last two readings of each node; nobody is asked while nobody asks."""

    def __init__(self, fetch: Fetch, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        """fetch: reads the document of a Node's kubelet."""
        self._fetch = fetch
        self._clock = clock
        self._sleep = sleep
        self._pairs: dict[str, tuple[Reading | None, Reading]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def of(self, nodes: Iterable[Mapping[str, Any]]) -> dict[str, Pair]:
        """Give the newest reading and the one before, by node; who does not answer is left out."""
        found: dict[str, Pair] = {}

        async def ask(node: Mapping[str, Any]) -> None:
            name = objects.name(node)
            try:
                async with self._locks.setdefault(name, asyncio.Lock()):
                    found[name] = await self._pair(name, node)
            except (OSError, ProtocolError, orjson.JSONDecodeError, errors.ApiError) as err:
                log.info("usage not read: node=%s error=%s", name, err)

        async with asyncio.TaskGroup() as group:
            for node in nodes:
                group.create_task(ask(node), name=f"usage of {objects.name(node)}")
        return found

    def forget(self, present: set[str]) -> None:
        """Drop what was read of nodes that are gone."""
        for name in self._pairs.keys() - present:
            del self._pairs[name]
            self._locks.pop(name, None)

    async def _pair(self, name: str, node: Mapping[str, Any]) -> Pair:
        old, new = self._pairs.get(name, (None, None))
        now = self._clock.time()
        if new is not None and old is not None and now - new.at < FRESH_S:
            return new, old
        if new is None or now - new.at > BASE_S:
            new = await self._read(node)
        if self._clock.time() - new.at < FIRST_WINDOW_S:
            await self._sleep(FIRST_WINDOW_S)
        old, new = new, await self._read(node)
        self._pairs[name] = (old, new)
        return new, old

    async def _read(self, node: Mapping[str, Any]) -> Reading:
        async with self._slots:
            summary = await self._fetch(node)
        return resource_metrics.read(summary, self._clock.time())
