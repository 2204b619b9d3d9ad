"""Which Service may use an address or node port, where several servers give them out.

Each server's allocator follows all Services, and is behind the others by a moment. So before a Service is
written, a key of the store is made for each number that it takes: who makes it first has it. Alone on its
store, a server does without.

    /registry/serviceclaims/10.96.0.17     "namespace/name"
    /registry/serviceclaims/TCP-30080      "namespace/name"

A claim goes with its Service. One that never got a Service (its server died in between) is seen twice by the
sweep, and removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Never

from nanokube.api import errors, objects
from nanokube.apiserver.cache.cache import DELETED, Change
from nanokube.apiserver.cache.caches import Caches, store_key
from nanokube.apiserver.cache.item import encode
from nanokube.apiserver.registry import outage, services
from nanokube.apiserver.registry.services import ServiceHooks
from nanokube.storage.store import Conflict, KeyExists, NotFound, Store, StoreError, Unavailable, Uncertain

log = logging.getLogger(__name__)

NAME: Final = "serviceclaims"
SWEEP_S: Final = 60.0


class Claims:
    """Follows the Services of all servers, for the allocators' sake too."""

    def __init__(self, store: Store, caches: Caches, hooks: ServiceHooks) -> None:
        self._store = store
        self._caches = caches
        self._hooks = hooks
        self._dropped: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._orphans: set[tuple[str, int]] = set()
        hooks.share(self._claim)
        caches.of("services").attach(self)

    def offer(self, change: Change) -> None:
        """A Service changed, here or elsewhere."""
        before = services.numbers(change.previous.object()) if change.previous else set[str]()
        after = set[str]() if change.type == DELETED else services.numbers(change.item.object())
        self._hooks.note(taken=after - before, dropped=before - after)
        for number in before - after:
            self._dropped.put_nowait((number, change.item.key))

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on the caches' time."""

    async def run(self) -> Never:
        """Remove the claims of what goes; sweep now and then, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                if loop.time() >= due:
                    await self.sweep()
                    due = loop.time() + SWEEP_S
                async with asyncio.timeout_at(due):
                    number, owner = await self._dropped.get()
                await self._release(number, owner)
            except TimeoutError:
                continue
            except StoreError as err:
                log.warning("cannot keep claims of services: %s", err)
                due = max(due, loop.time() + 1.0)

    async def sweep(self) -> None:
        """Claim what Services have without; remove what was without a Service twice in a row."""
        owners = {
            number: item.key
            for item in self._caches.of("services").scan()
            for number in services.numbers(item.object())
        }
        known = {item.key: item for item in self._caches.of(NAME).scan()}
        for number in owners.keys() - known.keys():
            await self._make(number, owners[number])
        orphans = {(n, item.revision) for n, item in known.items() if n not in owners}
        for number, revision in orphans & self._orphans:
            await self._remove(number, revision)
        self._orphans = orphans

    async def _claim(self, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """Claim what a Service is about to take. Raises ApiError (409) when another was first."""
        owner = f"{objects.namespace(new)}/{objects.name(new)}"
        wanted = services.numbers(new) - services.numbers(old)
        for number in wanted:
            try:
                has = await self._make(number, owner)
            except (Unavailable, Uncertain) as err:
                raise outage.explained(err) from err
            if has != owner:
                self._hooks.note(taken={number}, dropped=set())
                for mine in wanted:
                    self._dropped.put_nowait((mine, owner))
                about = f"{number} was given to {has} at the same time"
                raise errors.ApiError("Conflict", 409, f'cannot allocate for Service "{owner}": {about}')

    async def _make(self, number: str, owner: str) -> str:
        """Make a claim; return who has it then."""
        try:
            await self._store.put(store_key(NAME, number), _encoded(number, owner), expect=0)
        except KeyExists:
            live = self._caches.of(NAME).find(number)
            return str(live.object()["spec"]["owner"]) if live else "another Service"
        return owner

    async def _release(self, number: str, owner: str) -> None:
        live = self._caches.of(NAME).find(number)
        if live is not None and live.object()["spec"]["owner"] == owner:
            await self._remove(number, live.revision)

    async def _remove(self, number: str, revision: int) -> None:
        try:
            await self._store.delete(store_key(NAME, number), expect=revision)
        except (NotFound, Conflict):
            return  # another server was faster


def _encoded(number: str, owner: str) -> bytes:
    """Encode a claim as caches want what they hold: like an object."""
    return encode(
        {"kind": "Claim", "apiVersion": "v1", "metadata": {"name": number}, "spec": {"owner": owner}}
    )
