"""Custom resources between the version they are stored in and the one a request names.

What was written under the present definition in the version asked for goes out as it is stored. Everything
else is made once, pruned and with the defaults of today's schema, and remembered with the stored object.
Source: staging apiextensions-apiserver pkg/apiserver/{customresource_handler.go,conversion}.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from nanokube.api import errors, objects
from nanokube.api.custom import conversion
from nanokube.api.resources import Resource
from nanokube.apiserver.cache.cache import Cache
from nanokube.apiserver.cache.item import Item, encode, splice
from nanokube.apiserver.extensions.conversion_webhook import ConversionWebhook
from nanokube.apiserver.extensions.freshness import is_fresh
from nanokube.apiserver.extensions.kinds import Definition, Kinds


class NotReady(Exception):
    """A webhook must be asked first."""


class Converter:
    """Shows stored objects in the versions of requests. Built-in resources are shown as they are."""

    def __init__(self, kinds: Kinds, webhook: ConversionWebhook | None = None) -> None:
        self._kinds = kinds
        self._webhook = webhook or ConversionWebhook(None)

    def show(self, resource: Resource, item: Item) -> Item:
        """Give an object in a resource's version. Raises ApiError (404), NotReady."""
        if resource.custom is None:
            return item
        definition, wanted = self._definition(resource)
        if is_fresh(definition, item, wanted.version):
            return item
        key = definition.number, wanted.version
        if item.shown is not None and key in item.shown:
            return item.shown[key]
        if definition.webhook is not None and version_of(item) != wanted.version:
            raise NotReady
        found = _shown(item, self._convert(definition, item, wanted))
        _remember(item, key, found)
        return found

    def shows_as_stored(self, resource: Resource, cache: Cache) -> bool:
        """Tell, without looking at each, whether all objects in a cache are as a resource shows them."""
        definition, wanted = self._definition(resource)
        return definition.is_whole(cache, wanted.version)

    async def show_all(self, resource: Resource, items: Sequence[Item]) -> list[Item]:
        """Give objects in a resource's version, asking a webhook at most once. Raises ApiError."""
        if resource.custom is None:
            return list(items)
        if not items:
            return []
        definition, wanted = self._definition(resource)
        if definition.webhook is None:
            since, front = definition.since, definition.front(wanted.version)
            return [  # as show() looks, without a call for each of many
                item if item.written > since and item.raw.startswith(front) else self.show(resource, item)
                for item in items
            ]
        found: list[Item | None] = []
        for item in items:
            try:
                found.append(self.show(resource, item))
            except NotReady:
                found.append(None)
        missing = [item for item, shown in zip(items, found, strict=True) if shown is None]
        if missing:
            made = iter(await self._ask(definition, wanted, missing))
            found = [next(made) if shown is None else shown for shown in found]
        return [shown for shown in found if shown is not None]

    async def store(self, resource: Resource, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give an object of a request in the version in which it is stored. Raises ApiError."""
        if resource.custom is None:
            return obj
        return await self.convert(resource, obj, self._definition(resource)[0].storage)

    async def convert(self, source: Resource, obj: Mapping[str, Any], wanted: Resource) -> Mapping[str, Any]:
        """Give an object of one version as another shows it; may be the same object. Raises ApiError."""
        definition, _ = self._definition(source)
        if source.version == wanted.version:
            return obj
        if definition.webhook is not None:
            made = await self._webhook.convert(definition, [obj], wanted.api_version)
            return _fit(wanted, made[0])
        found = conversion.rename(obj, wanted.api_version)
        if definition.has_same_schema(source.version, wanted.version):
            return found
        return _fit(wanted, objects.copy(found))

    def _definition(self, resource: Resource) -> tuple[Definition, Resource]:
        definition = self._kinds.definition(resource.storage_name)
        wanted = definition.versions.get(resource.version) if definition is not None else None
        if definition is None or wanted is None:
            raise errors.no_such_path()
        return definition, wanted

    def _convert(self, definition: Definition, item: Item, wanted: Resource) -> Mapping[str, Any]:
        """Convert by strategy None: the name of the version changes, and what its schema makes of that."""
        obj, version = item.object(), version_of(item)
        stored = definition.versions.get(version)
        if stored is not None and version != wanted.version:
            obj = _fit(stored, obj)
        return _fit(wanted, conversion.rename(obj, wanted.api_version))

    async def _ask(self, definition: Definition, wanted: Resource, items: Sequence[Item]) -> list[Item]:
        objs = []
        for item in items:
            stored = definition.versions.get(version_of(item))
            objs.append(_fit(stored, item.object()) if stored is not None else item.object())
        converted = await self._webhook.convert(definition, objs, wanted.api_version)
        found = []
        for item, obj in zip(items, converted, strict=True):
            shown = _shown(item, _fit(wanted, obj))
            _remember(item, (definition.number, wanted.version), shown)
            found.append(shown)
        return found


def version_of(item: Item) -> str:
    """Read the version in which an object is stored, off the front of its bytes."""
    front = item.raw[: item.raw.index(b',"metadata":')]
    found = orjson.loads(front + b"}")
    return str(found["apiVersion"]).rpartition("/")[2]


def _fit(resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
    """Prune an object and fill in defaults, as today's schema of a version has it."""
    kind = resource.custom
    assert kind is not None
    found, _ = kind.clean(dict(obj))
    kind.apply_defaults(found)
    return found


def _shown(item: Item, obj: Mapping[str, Any]) -> Item:
    shown = Item(item.key, splice(encode(obj), item.revision), item.revision, item.create_revision)
    shown.written = sys.maxsize  # as today's definition has it; nobody keeps it longer than that
    return shown


def _remember(item: Item, key: tuple[int, str], shown: Item) -> None:
    """Keep what was made, and drop what was made under an older definition."""
    kept = {k: v for k, v in (item.shown or {}).items() if k[0] == key[0]}
    item.shown = {**kept, key: shown}
