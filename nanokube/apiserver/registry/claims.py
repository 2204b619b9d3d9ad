"""Which Service may use an address or node port, where several servers give them out.

Each server's allocator follows all Services, and is behind the others by a moment. So before a Service is
written, a key of the store is made for each number that it takes: who makes it first has it. Alone on its
store, a server does without.

    /registry/serviceclaims/10.96.0.17     "namespace/name/uid"
    /registry/serviceclaims/TCP-30080      "namespace/name/uid"

A claim goes with its Service (not with the next of that name). One that never got a Service (its server
died in between) is seen twice by the sweep, and removed.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Any, Final, Never

from nanokube.api import objects
from nanokube.apiserver.cache.cache import DELETED, Change
from nanokube.apiserver.cache.caches import Caches, store_key
from nanokube.apiserver.cache.item import Item, encode
from nanokube.apiserver.registry import outage, services
from nanokube.apiserver.registry.hooks import Lost
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
        self._dropped: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._orphans: set[tuple[str, int]] = set()
        hooks.share(self._claim)
        caches.of("services").attach(self)
        caches.of(NAME).attach(_Ends(hooks))

    def offer(self, change: Change) -> None:
        """A Service changed, here or elsewhere."""
        before = services.numbers(change.previous.object()) if change.previous else set[str]()
        after = set[str]() if change.type == DELETED else services.numbers(change.item.object())
        self._hooks.note(taken=after - before, dropped=before - after)
        for number in before - after:
            live = self._caches.of(NAME).find(number)
            if live is not None:  # else the sweep sees it
                self._dropped.put_nowait((number, live.revision))

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
                    number, revision = await self._dropped.get()
                await self._remove(number, revision)
            except TimeoutError:
                continue
            except StoreError as err:
                log.warning("cannot keep claims of services: %s", err)
                due = max(due, loop.time() + 1.0)

    async def sweep(self) -> None:
        """Claim what Services have without; remove what was without a Service twice in a row."""
        owners = {
            number: _owner(service)
            for service in map(Item.object, self._caches.of("services").scan())
            for number in services.numbers(service)
        }
        known = {item.key: item for item in self._caches.of(NAME).scan()}
        for number in owners.keys() - known.keys():
            await self._make(number, owners[number])
        orphans = {(n, item.revision) for n, item in known.items() if n not in owners}
        for number, revision in orphans & self._orphans:
            await self._remove(number, revision)
        self._orphans = orphans

    async def _claim(self, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """Claim what a Service is about to take. Raises Lost, ApiError (503, 504)."""
        owner = _owner(new)
        wanted = services.numbers(new) - services.numbers(old)
        made: dict[str, int] = {}
        for number in wanted:
            try:
                has, made[number] = await self._make(number, owner)
            except (Unavailable, Uncertain) as err:
                raise outage.explained(err) from err
            if has != owner:
                del made[number]
                for mine, revision in made.items():  # before another attempt, which may want it again
                    await self._remove(mine, revision)
                learn = functools.partial(self._hooks.note, taken={number}, dropped=set())
                raise Lost(f"{number} was given to {has} at the same time", learn)

    async def _make(self, number: str, owner: str) -> tuple[str, int]:
        """Make a claim; return who has it then, and since which revision."""
        live = self._caches.of(NAME).find(number)
        has = str(live.object()["spec"]["owner"]) if live else ""
        if live is not None and has != owner:
            return has, live.revision
        expect = live.revision if live else 0  # one's own is written anew, or its late removal would take it
        try:
            return owner, await self._store.put(
                store_key(NAME, number), _encoded(number, owner), expect=expect
            )
        except (KeyExists, Conflict):
            return "another Service", 0

    async def _remove(self, number: str, revision: int) -> None:
        try:
            await self._store.delete(store_key(NAME, number), expect=revision)
        except (NotFound, Conflict):
            return  # another server was faster


class _Ends:
    """Frees the number of a claim that went: one without a Service is taken in no other way."""

    def __init__(self, hooks: ServiceHooks) -> None:
        self._hooks = hooks

    def offer(self, change: Change) -> None:
        """A claim changed, here or elsewhere."""
        if change.type == DELETED:
            self._hooks.note(taken=set(), dropped={change.item.key})

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on the caches' time."""


def _owner(service: Mapping[str, Any]) -> str:
    return f"{objects.namespace(service)}/{objects.name(service)}/{objects.uid(service)}"


def _encoded(number: str, owner: str) -> bytes:
    """Encode a claim as caches want what they hold: like an object."""
    return encode(
        {"kind": "Claim", "apiVersion": "v1", "metadata": {"name": number}, "spec": {"owner": owner}}
    )
