"""The versions in which one object can be shown, and its conversion between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import defaults, errors, facts, resources, schema
from nanokube.api.custom.kind import CustomKind
from nanokube.api.resources import Resource
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.extensions.convert import Converter
from nanokube.apiserver.extensions.kinds import Kinds
from nanokube.apiserver.registry import views
from nanokube.apiserver.registry.registry import storage_of

Object = Mapping[str, Any]


class Versions:
    """kinds, converter: who know the custom resources."""

    def __init__(self, kinds: Kinds, converter: Converter) -> None:
        self._kinds = kinds
        self._converter = converter

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """Find the resource whose objects have that apiVersion and kind."""
        return self._kinds.by_kind(api_version, kind)

    def others(self, resource: Resource) -> Sequence[Resource]:
        """List the other resources that show the same objects, in order of group and version."""
        found: Sequence[Resource]
        if resource.custom is not None:
            definition = self._kinds.definition(resource.storage_name)
            found = definition.served if definition is not None else ()
        else:
            found = tuple(resources.versions_of(resource))
        return [r for r in found if (r.group, r.version) != (resource.group, resource.version)]

    async def show(self, resource: Resource, item: Item) -> Object:
        """Give a stored object as a resource shows it; nobody's to change. Raises ApiError."""
        if resource.custom is not None:
            return (await self._converter.show_all(resource, [item]))[0].view()
        return item.view() if not resource.stored_as else views.from_storage(resource, item.object())

    async def convert(self, obj: Object, source: Resource, wanted: Resource) -> dict[str, Any]:
        """Give an object of one resource as another shows it; may be the same object. Raises ApiError."""
        if source.custom is not None:
            return await self._custom(obj, source, wanted)
        stored = views.to_storage(source, dict(obj)) if source.stored_as else dict(obj)
        return views.from_storage(wanted, stored)

    async def _custom(self, obj: Object, source: Resource, wanted: Resource) -> dict[str, Any]:
        if source.version == wanted.version:
            return dict(obj)
        return dict(await self._converter.convert(source, obj, wanted))

    def clean(self, obj: Object, resource: Resource, *, is_strict: bool = False) -> dict[str, Any]:
        """Prune an object that was changed and fill in its defaults.

        is_strict: what would be pruned is an error. Raises ApiError (400).
        """
        found, problems = _cleaner(resource).clean(dict(obj))
        if is_strict and problems:
            raise errors.internal(f"strict decoding error: {', '.join(problems)}")
        if resource.custom is not None:
            resource.custom.apply_defaults(found)
            return found
        found["apiVersion"], found["kind"] = resource.api_version, resource.kind
        if storage_of(resource) is resource:
            defaults.apply(resource, found)
        return found

    def check(self, resource: Resource, kind: str, config: Any) -> tuple[facts.Definition | None, list[str]]:
        """Compare an apply configuration with the schema of what it is for; list fields it does not have.

        Raises ApiError (400): wrong types.
        """
        if kind != resource.kind:
            return None, []
        cleaner = _cleaner(resource)
        about = {"apiVersion": resource.api_version, "kind": resource.kind}
        problems = cleaner.clean({**config, **about})[1] if isinstance(config, dict) else []
        return cleaner.definition, problems


def _cleaner(resource: Resource) -> schema.Schema | CustomKind:
    if resource.custom is not None:
        return resource.custom
    known = schema.get(resource.group, resource.version, resource.kind)
    if known is None:
        raise errors.internal(f"no schema for {resource.name}")
    return known
