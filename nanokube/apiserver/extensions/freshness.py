"""Tells at once that all objects of a definition can go out as they are stored.

Source: none; upstream decodes every object that it lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nanokube.apiserver.cache.cache import DELETED, Cache, Change
from nanokube.apiserver.cache.item import Item

if TYPE_CHECKING:
    from nanokube.apiserver.extensions.kinds import Definition


def is_fresh(definition: Definition, item: Item, version: str) -> bool:
    """Tell whether an object was written under the present definition in a version."""
    return item.written > definition.since and item.raw.startswith(definition.front(version))


class Freshness:
    """Keeps the keys of what is not fresh in the stored version; looks at all once, then at what changes."""

    def __init__(self, definition: Definition, cache: Cache) -> None:
        self._definition = definition
        self._version = definition.storage.version
        self._stale = {item.key for item in cache.scan() if not is_fresh(definition, item, self._version)}
        self.close: Callable[[], None] = cache.attach(self)

    @property
    def is_whole(self) -> bool:
        """Whether every object is fresh."""
        return not self._stale

    def offer(self, change: Change) -> None:
        """An object changed."""
        item = change.item
        if change.type == DELETED or is_fresh(self._definition, item, self._version):
            self._stale.discard(item.key)
        else:
            self._stale.add(item.key)

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""
