"""Where the verbs meet the store: finding, encoding, committing; and the parts they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from nanokube.api import errors, resources, timestamps
from nanokube.api.resources import Resource
from nanokube.apiserver.admission.chain import Chain
from nanokube.apiserver.cache.cache import Cache
from nanokube.apiserver.cache.caches import Caches, store_key
from nanokube.apiserver.cache.item import Item, encode, splice
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.extensions import selectable
from nanokube.apiserver.extensions.convert import Converter
from nanokube.apiserver.extensions.kinds import Kinds
from nanokube.apiserver.registry import outage
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.hooks import Hooks
from nanokube.kit.clock import Clock
from nanokube.storage.store import KeyExists, Store, Unavailable, Uncertain

EVENT_TTL_S: Final = 3600.0  # kube-apiserver --event-ttl
NO_HOOKS: Final = Hooks()


class Registry:
    """What verbs need. hooks: by storage name, for kinds that own more than their object (Services: IPs)."""

    def __init__(
        self,
        store: Store,
        caches: Caches,
        clock: Clock,
        admission: Chain,
        hooks: Mapping[str, Hooks],
        random_uid: Callable[[], str] | None = None,
        kinds: Kinds | None = None,
        converter: Converter | None = None,
    ) -> None:
        self.store = store
        self.caches = caches
        self.clock = clock
        self.admission = admission
        self.random_uid = random_uid or draw_uid
        self.kinds = kinds or Kinds()
        self.converter = converter or Converter(self.kinds)
        self._hooks = hooks

    def hooks(self, resource: Resource) -> Hooks:
        """Give the hooks of a kind."""
        return self._hooks.get(resource.storage_name, NO_HOOKS)

    def cache(self, resource: Resource) -> Cache:
        """Give the cache of a kind."""
        return self.caches.of(resource.storage_name)

    def find(self, name: str, key: str) -> dict[str, Any] | None:
        """Look an object up by storage name ("pods") and key; a copy of the caller's own."""
        item = self.caches.of(name).find(key)
        return item.object() if item else None

    def get(self, call: Call) -> Item:
        """Get the object of a call. Raises ApiError (404)."""
        item = self.cache(call.resource).find(call.key)
        if item is None:
            raise errors.not_found(call.resource, call.name)
        return item

    async def load(self, call: Call) -> Item:
        """Get the object of a call in the version of its resource. Raises ApiError (404, 500)."""
        item = self.get(call)
        return item if call.resource.custom is None else await self.shown(call.resource, item)

    async def shown(self, resource: Resource, item: Item) -> Item:
        """Give an object in the version of a resource; a webhook may be asked. Raises ApiError."""
        return (await self.converter.show_all(resource, [item]))[0]

    async def select(self, resource: Resource, selection: Selection, start: str = "") -> list[Item]:
        """List what is selected, in the version of a resource and in order of key. Raises ApiError."""
        cache = self.cache(resource)
        if resource.custom is None:
            return cache.select(selection, start)
        found = cache.select(selectable.without_fields(selection), start)
        is_as_stored = self.converter.shows_as_stored(resource, cache)
        shown = found if is_as_stored else await self.converter.show_all(resource, found)
        return shown if selection.fields.is_empty else selectable.filtered(resource, selection, shown)

    def now(self) -> str:
        """The time as objects carry it."""
        return timestamps.format_time(self.clock.time())

    def random_letters(self, alphabet: str, count: int) -> str:
        """Draw letters for a generated name."""
        return draw_letters(alphabet, count)

    async def commit(
        self, call: Call, obj: Mapping[str, Any], expect: int, *, spec: bytes | None = None
    ) -> Item:
        """Write an object whose mod revision must be `expect` (0: absent). spec: its spec, if encoded before.

        Raises KeyExists, Conflict, Broken, ApiError (503, 504: the store cannot be reached).
        """
        storage = storage_of(call.resource)
        key = object_key(storage, obj)
        if storage.custom is not None:
            return await self._commit_custom(call, key, obj, expect)
        encoded = encode(obj, spec)
        if call.is_dry_run:
            if not expect and self.caches.of(storage.name).find(key) is not None:
                raise KeyExists(f"cannot create {key}: it exists")
            return Item(key, splice(encoded, expect) if expect else encoded, expect, expect)
        expires = self.clock.time() + EVENT_TTL_S if storage.name == "events" else 0.0
        revision = await self._put(store_key(storage.name, key), encoded, expect, expires)
        if self.caches.outbox.is_full:
            await self.caches.outbox.room()
        written = self.caches.of(storage.name).find(key)  # the cache has heard of it before we have
        if written is not None and written.revision == revision:
            return written
        return Item(key, splice(encoded, revision), revision, 0)  # and it was changed again since

    async def _put(self, key: str, value: bytes, expect: int, expires: float = 0.0) -> int:
        try:
            return await self.store.put(key, value, expect=expect, expires=expires)
        except (Unavailable, Uncertain) as err:
            raise outage.explained(err) from err

    async def is_stale(self, call: Call, item: Item) -> bool:
        """Tell whether another server wrote the object since; for who is about to write nothing."""
        if not self.store.is_shared:
            return False
        await outage.synchronize(self.store)
        live = self.cache(call.resource).find(item.key)
        return live is None or live.revision != item.revision

    async def _commit_custom(self, call: Call, key: str, obj: Mapping[str, Any], expect: int) -> Item:
        """Write a custom resource in the version in which it is stored; give it in the one of the call."""
        name = call.resource.storage_name
        if call.is_dry_run:
            if not expect and self.caches.of(name).find(key) is not None:
                raise KeyExists(f"cannot create {key}: it exists")
            encoded = encode(obj)
            return Item(key, splice(encoded, expect) if expect else encoded, expect, expect)
        known = self.kinds.definition(name)
        encoded = encode(await self.converter.store(call.resource, obj))
        revision = await self._put(store_key(name, key), encoded, expect)
        if self.kinds.definition(name) is not known:
            self.kinds.soil(name, revision)
        if self.caches.outbox.is_full:
            await self.caches.outbox.room()
        written = self.caches.of(name).find(key)
        if written is None or written.revision != revision:
            written = Item(key, splice(encoded, revision), revision, 0)
        return await self.shown(call.resource, written)

    async def remove(self, call: Call, key: str, expect: int) -> int:
        """Delete an object at mod revision `expect`. Raises as commit, and NotFound."""
        if call.is_dry_run:
            return expect
        try:
            revision = await self.store.delete(store_key(call.resource.storage_name, key), expect=expect)
        except (Unavailable, Uncertain) as err:
            raise outage.explained(err) from err
        if self.caches.outbox.is_full:
            await self.caches.outbox.room()
        return revision


def draw_uid() -> str:
    """Draw a random UUID (RFC 9562 5.4), at a third of uuid.uuid4's price."""
    text = os.urandom(16).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def draw_letters(alphabet: str, count: int) -> str:
    """Draw random letters, with one question to the kernel."""
    number, letters = int.from_bytes(os.urandom(count + 8)), []  # 8 more: no letter is likelier to be noticed
    for _ in range(count):
        number, rest = divmod(number, len(alphabet))
        letters.append(alphabet[rest])
    return "".join(letters)


def storage_of(resource: Resource) -> Resource:
    """Give the resource under which a resource's objects are stored."""
    return resources.get(resource.storage_name) if resource.stored_as else resource


def object_key(resource: Resource, obj: Mapping[str, Any]) -> str:
    """ "namespace/name" or "name" of an object."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if resource.namespaced else str(metadata["name"])
