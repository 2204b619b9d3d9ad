"""The caches of all resources, fed by one watch of the store.

Keys of the store are /registry/<resource>[.<group>]/[<namespace>/]<name>.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Never

from nanokube.apiserver.cache.cache import Cache
from nanokube.apiserver.cache.item import Item, splice
from nanokube.apiserver.cache.outbox import Outbox
from nanokube.kit.clock import Clock
from nanokube.storage.store import Entry, Event, Store, prefix_end

ROOT: Final = "/registry/"
TICK_S: Final = 10.0


def store_key(storage_name: str, key: str) -> str:
    """Name an object in the store."""
    return f"{ROOT}{storage_name}/{key}"


def split_store_key(key: str) -> tuple[str, str]:
    """Split a store key into resource and object key."""
    resource, _, rest = key.removeprefix(ROOT).partition("/")
    return resource, rest


class Caches:
    """Get one with `of`; all are filled by `start`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.outbox = Outbox()
        self._caches: dict[str, Cache] = {}
        self._revision = store.revision

    async def start(self) -> None:
        """Read the whole store, then follow it."""
        found = await self.store.range(ROOT, prefix_end(ROOT))
        self._revision = found.revision
        entries: dict[str, list[tuple[str, Entry]]] = {}
        for entry in found.entries:
            resource, key = split_store_key(entry.key)
            entries.setdefault(resource, []).append((key, entry))
        for resource, pairs in entries.items():
            self.of(resource).load(pairs)
        await self.store.watch(ROOT, found.revision, self._deliver)

    def of(self, storage_name: str) -> Cache:
        """Give the cache of a resource by its storage name ("pods", "deployments.apps")."""
        cache = self._caches.get(storage_name)
        if cache is None:
            cache = self._caches[storage_name] = Cache(storage_name, self._revision, self.outbox)
        return cache

    def pods_of_node(self, node: str, namespace: str) -> list[Mapping[str, Any]]:
        """List the Pods of a namespace that are bound to a node."""
        cache = self.of("pods")
        items = cache.scan(namespace)
        return [i.object() for i in items if i.fields(cache.read_fields).get("spec.nodeName") == node]

    @property
    def revision(self) -> int:
        """The revision of the newest write of any resource."""
        return self.store.revision

    async def past(self, storage_name: str, namespace: str, revision: int) -> list[Item]:
        """List the objects of a resource as they were at a revision. Raises as Store.range."""
        prefix = store_key(storage_name, f"{namespace}/" if namespace else "")
        found = await self.store.range(prefix, prefix_end(prefix), revision=revision)
        return [_item(entry) for entry in found.entries]

    async def tick(self, clock: Clock) -> Never:
        """Let watchers send their bookmarks, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            for cache in tuple(self._caches.values()):
                cache.tick(clock.monotonic(), self.store.revision)

    def counts(self) -> dict[str, int]:
        """Count the objects of each resource."""
        return {name: len(cache) for name, cache in self._caches.items()}

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            resource, key = split_store_key(event.key)
            self.of(resource).apply(key, event)
        self.outbox.flush()


def _item(entry: Entry) -> Item:
    key = split_store_key(entry.key)[1]
    return Item(key, splice(entry.value, entry.mod_revision), entry.mod_revision, entry.create_revision)
